//! Tests of the tables of services.

use super::*;

fn names(config: &Config) -> Vec<&str> {
    config.services().iter().map(|service| service.name.as_ref()).collect()
}

#[test]
fn services_are_the_built_in_ones_and_what_the_files_change() {
    assert_eq!(Config::default().services(), &Catalogue::builtin());
    let config = config(&[
        "[services.zeta]\nunit = \"z@1.service\"\ndisplay = \"Zeta größe\"\nverbs = [\"stop\", \"start\"]\n\
         required = true\nprovider = \"tgi\"\nendpoint = \"unix:/run/zeta.sock\"\n[services.alpha]\nunit = \"alpha.service\"\n[services.gone]\n\
         unit = \"gone.service\"\nenabled = false",
        "[services.vllm]\nenabled = false\n[services.ollama]\nunit = \"my-ollama.service\"\n\
         endpoint = \"https://[::1]:1/\"\n[services.litellm]\nprovider = \"vllm\"\n\
         [services.zeta]\nverbs = []\nendpoint = \"unix:/run/later.sock\"\n[services.tgi]\nunit = \"vllm.service\"",
    ])
    .unwrap();
    let builtin: Vec<_> = Catalogue::builtin()
        .iter()
        .map(|service| service.name.to_string())
        .filter(|name| name != "vllm")
        .collect();
    assert_eq!(names(&config)[..builtin.len()], builtin);
    assert_eq!(names(&config)[builtin.len()..], ["alpha", "zeta"]);
    let get = |name: &str| config.services().get(name).unwrap();
    let Service { display, unit, verbs, required, provider, endpoint, .. } = get("zeta");
    let endpoint_of = |text: &str| Some(Endpoint::parse(text).unwrap());
    assert_eq!((*provider, endpoint), (Some(Provider::Tgi), &endpoint_of("unix:/run/later.sock")));
    assert_eq!((get("alpha").provider, &get("alpha").endpoint), (None, &None));
    assert_eq!(get("ollama").provider, Some(Provider::Ollama));
    assert_eq!(get("ollama").endpoint, endpoint_of("https://[::1]:1"));
    assert_eq!(get("litellm").provider, Some(Provider::Vllm));
    assert_eq!((display.as_str(), unit.as_ref()), ("Zeta größe", "z@1.service"));
    assert_eq!((*verbs, *required), (Verbs::NONE, true));
    assert_eq!((get("alpha").verbs, get("alpha").required), (Verbs::ALL, false));
    assert_eq!(get("ollama").unit.as_ref(), "my-ollama.service");
    assert_eq!(get("ollama").display, "Ollama");
    assert_eq!(get("tgi").unit.as_ref(), "vllm.service");
    for gone in ["vllm", "gone"] {
        assert_eq!(config.services().get(gone), None, "{gone}");
    }
}

#[test]
fn a_service_that_is_out_can_come_back_in_a_later_file() {
    let out = "services.vllm.enabled = false";
    let back = "services.vllm.enabled = true";
    assert!(!names(&config(&[out]).unwrap()).contains(&"vllm"));
    assert_eq!(config(&[out, back]).unwrap().services(), &Catalogue::builtin());
    assert!(!names(&config(&[back, out]).unwrap()).contains(&"vllm"));
}

#[test]
fn every_error_of_a_service_says_where_and_what_is_accepted() {
    let unit = "0.toml:2: services.a.unit";
    let table = [
        (
            "[services.olama]\nenabled = false",
            "0.toml:1: services.olama: no service of this name is built in; did you mean ollama? A \
             service of your own needs unit = \"NAME.service\""
                .to_owned(),
        ),
        (
            "[services.mine]\nrequired = true",
            "0.toml:1: services.mine: no service of this name is built in: set its unit, as in \
             unit = \"NAME.service\""
                .to_owned(),
        ),
        (
            "[services.Ollama]\n",
            "0.toml:1: services.Ollama: a name cannot hold 'O', only a-z, 0-9 and \"-\"".to_owned(),
        ),
        (
            "[services.\"\"]\n",
            "0.toml:1: services.: the name is empty".to_owned(),
        ),
        (
            "[services.\"../x\"]\n",
            "0.toml:1: services.../x: a name cannot hold '.', only a-z, 0-9 and \"-\"".to_owned(),
        ),
        ("[services]\na = 1", "0.toml:2: services.a = 1: an integer, where a table is needed".to_owned()),
        ("services = []", "0.toml:1: services = []: an array, where a table is needed".to_owned()),
        (
            "[services.a]\nunits = \"a.service\"",
            "0.toml:2: services.a.units = \"a.service\": unknown key; did you mean unit?".to_owned(),
        ),
        (
            "[services.a]\nport = 1",
            "0.toml:2: services.a.port = 1: unknown key; known here: unit, display, verbs, \
             required, provider, endpoint, enabled"
                .to_owned(),
        ),
        (
            "[services.a]\nunit = 1",
            format!(
                "{unit} = 1: an integer, where a unit's name in quotes such as \"ollama.service\" \
                 is needed"
            ),
        ),
        (
            "[services.a]\nunit = \"a\"",
            format!("{unit} = \"a\": the name of a unit here ends in \".service\""),
        ),
        (
            "[services.a]\nunit = \"*.service\"",
            format!(
                "{unit} = \"*.service\": a name cannot hold '*', only a-z, A-Z, 0-9 and \
                 \":_.\\@-\""
            ),
        ),
        (
            "[services.a]\nunit = \"aictl-unit-file@enable:ssh.service\"",
            format!(
                "{unit} = \"aictl-unit-file@enable:ssh.service\": a unit of aictl itself, which is \
                 no service"
            ),
        ),
        (
            "[services.a]\nunit = \"aictld.service\"",
            format!("{unit} = \"aictld.service\": a unit of aictl itself, which is no service"),
        ),
        (
            "[services.a]\nunit = \"vllm.service\"",
            format!(
                "{unit} = \"vllm.service\": the unit of the built-in service vllm: change \
                 services.vllm instead, or take it out with services.vllm.enabled = false"
            ),
        ),
        (
            "[services.a]\nunit = \"x.service\"\n[services.b]\nunit = \"x.service\"",
            "0.toml:4: services.b.unit = \"x.service\": the unit of the service a, by 0.toml:2"
                .to_owned(),
        ),
        (
            "[services.ollama]\nunit = \"tgi.service\"",
            "0.toml:2: services.ollama.unit = \"tgi.service\": the unit of the built-in service \
             tgi: change services.tgi instead, or take it out with services.tgi.enabled = false"
                .to_owned(),
        ),
        (
            "[services.tgi]\nverbs = [\"start\", \"reboot\"]",
            "0.toml:2: services.tgi.verbs = [\"start\", \"reboot\"]: \"reboot\" is none of start, \
             stop, restart, reload, enable, disable"
                .to_owned(),
        ),
        (
            "[services.tgi]\nverbs = [\"start\", \"start\"]",
            "0.toml:2: services.tgi.verbs = [\"start\", \"start\"]: start stands there twice"
                .to_owned(),
        ),
        (
            "[services.tgi]\nverbs = \"start\"",
            "0.toml:2: services.tgi.verbs = \"start\": a text, where an array of verbs such as \
             [\"start\", \"stop\"] is needed"
                .to_owned(),
        ),
        (
            "[services.tgi]\nverbs = [1]",
            "0.toml:2: services.tgi.verbs = [1]: an array, where an array of verbs such as \
             [\"start\", \"stop\"] is needed"
                .to_owned(),
        ),
        (
            "[services.tgi]\nrequired = \"yes\"",
            "0.toml:2: services.tgi.required = \"yes\": a text, where true or false is needed"
                .to_owned(),
        ),
        (
            "[services.tgi]\nprovider = \"OpenAI\"",
            format!(
                "0.toml:2: services.tgi.provider = \"OpenAI\": \"OpenAI\" is none of {}",
                Provider::NAMES.join(", ")
            ),
        ),
        (
            "[services.tgi]\nprovider = true",
            "0.toml:2: services.tgi.provider = true: a boolean, where a provider's name in quotes \
             such as \"ollama\" is needed"
                .to_owned(),
        ),
        (
            "[services.tgi]\nendpoint = 8000",
            "0.toml:2: services.tgi.endpoint = 8000: an integer, where an endpoint in quotes such \
             as \"http://127.0.0.1:8000\" is needed"
                .to_owned(),
        ),
        (
            "[services.vllm]\nendpoint = \"http://10.1.2.3:8000\"",
            "0.toml:2: services.vllm.endpoint = \"http://10.1.2.3:8000\": the host is an address \
             of a private network; only this machine is asked: 127.0.0.1 or another of \
             127.0.0.0/8, [::1], localhost, or a unix socket"
                .to_owned(),
        ),
        (
            "[services.vllm]\nendpoint = \"http://169.254.169.254:80/latest\"",
            "0.toml:2: services.vllm.endpoint = \"http://169.254.169.254:80/latest\": the host is \
             a cloud's metadata address; only this machine is asked: 127.0.0.1 or another of \
             127.0.0.0/8, [::1], localhost, or a unix socket"
                .to_owned(),
        ),
        (
            "[services.vllm]\nendpoint = \"file:///etc/passwd\"",
            "0.toml:2: services.vllm.endpoint = \"file:///etc/passwd\": an endpoint begins with \
             \"http://\", \"https://\" or \"unix:\", in small letters"
                .to_owned(),
        ),
        (
            "[services.tgi]\ndisplay = \"  \"",
            "0.toml:2: services.tgi.display = \"  \": not 1 to 64 visible characters on one line"
                .to_owned(),
        ),
        (
            "[services.tgi]\ndisplay = \"a\\nb\"",
            "0.toml:2: services.tgi.display = \"a\\nb\": not 1 to 64 visible characters on one \
             line"
                .to_owned(),
        ),
        (
            "[services.tgi]\ndisplay = \"\\u202eb\"",
            "0.toml:2: services.tgi.display = \"\\u202eb\": not 1 to 64 visible characters on one \
             line"
                .to_owned(),
        ),
    ];
    for (text, message) in table {
        assert_eq!(config(&[text]).unwrap_err().to_string(), message, "{text}");
    }
}

#[test]
fn a_unit_of_two_services_is_found_over_several_files() {
    let error = config(&["services.a.unit = \"x.service\"", "services.vllm.unit = \"x.service\""])
        .unwrap_err();
    // The built-in services come first, so the later one is told.
    assert_eq!(
        error.to_string(),
        "0.toml:1: services.a.unit = \"x.service\": the unit of the service vllm, by 1.toml:1"
    );
}

#[test]
fn a_catalogue_has_a_bound() {
    let services = |count: usize| -> String {
        (0..count).map(|n| format!("[services.s{n:04}]\nunit = \"s{n}.service\"\n")).collect()
    };
    let room = MAX_SERVICES - Catalogue::builtin().len();
    assert_eq!(config(&[&services(room)]).unwrap().services().len(), MAX_SERVICES);
    for count in [room + 1, MAX_SERVICES, MAX_SERVICES + 1, 20_000] {
        let error = config(&[&services(count)]).unwrap_err().to_string();
        assert!(error.ends_with(": more than 256 services in all"), "{error}");
    }
}
