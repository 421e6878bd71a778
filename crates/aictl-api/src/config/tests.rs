//! Tests of the configuration.

use std::{path::Path, time::Duration};

use super::{
    reader::distance,
    sandbox::{PerLimit, show},
    *,
};
use crate::{
    authorisation::RateClass,
    endpoint::Endpoint,
    limits::{self, LimitSpec},
    provider::Provider,
    service::{MAX_SERVICES, Service, Verbs},
};

const EXAMPLE: &str = include_str!("../../../../examples/aictl.toml");

fn config(texts: &[&str]) -> Result<Config, ConfigError> {
    let mut merged = Settings::default();
    for (index, text) in texts.iter().enumerate() {
        merged = Settings::parse(&format!("{index}.toml"), text)?.over(merged);
    }
    Config::try_from(merged)
}

fn values(config: &Config) -> (PerLimit<u64>, PerLimit<u64>) {
    (config.sandbox.defaults, config.sandbox.max.clone().map(|(value, _)| value))
}

#[test]
fn nothing_set_is_the_table_of_limits() {
    for text in ["", "\n# only this\n", "[sandbox]\n[sandbox.max]\n[sandbox.limits]\n", EXAMPLE] {
        assert_eq!(config(&[text]), Ok(Config::default()), "{text:?}");
    }
    let sandbox = Config::default().sandbox;
    assert_eq!(sandbox.python(), None);
    for spec in limits::ALL {
        assert_eq!(sandbox.limit(&spec, None), Ok(spec.default), "{}", spec.name);
        assert_eq!(sandbox.limit(&spec, Some(spec.max)), Ok(spec.max), "{}", spec.name);
        assert!(sandbox.limit(&spec, Some(spec.max + 1)).is_err(), "{}", spec.name);
    }
}

/// The lines of the example, and its text with every setting set.
fn example() -> (Vec<&'static str>, String) {
    // A setting or a table is commented out without a space, as distinct from prose.
    let is_set = |line: &&str| {
        line.strip_prefix('#')
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '['))
    };
    let lines: Vec<_> = EXAMPLE.lines().collect();
    let text =
        lines.iter().map(|line| if is_set(line) { &line[1..] } else { line }).collect::<Vec<_>>();
    let text = text.join("\n");
    (lines, text)
}

#[test]
fn the_example_shows_every_key_with_its_default_and_range() {
    let (lines, text) = example();
    // The comment right above a line, on one line.
    let comment = |place: &Place| {
        let mut above: Vec<_> = lines[..place.line - 1]
            .iter()
            .rev()
            .map_while(|line| line.strip_prefix("# "))
            .collect();
        above.reverse();
        above.join(" ")
    };
    let settings = Settings::parse("aictl.toml", &text).unwrap();
    for (index, spec) in limits::ALL.iter().enumerate() {
        let value = |setting: &Option<Setting<u64>>| setting.as_ref().map(|s| s.value);
        let Settings { sandbox, .. } = &settings;
        assert_eq!(value(&sandbox.limits[index]), Some(spec.default), "limits.{}", spec.name);
        assert_eq!(value(&sandbox.max[index]), Some(spec.max), "max.{}", spec.name);
        let place = &sandbox.limits[index].as_ref().unwrap().place;
        let range = format!("({} to {})", show(spec, spec.min), show(spec, spec.max));
        assert_eq!(comment(place), format!("{} {range}.", schema::LIMITS[index]));
    }
    assert_eq!(settings.sandbox.python.as_ref().unwrap().value, Path::new("/usr/bin/python3"));
    let set: Vec<_> = settings.helper.places().collect();
    for (key, (name, place)) in helper::KEYS.iter().zip(&set) {
        assert!(name.ends_with(&format!(
            "{}{}{}",
            key.table,
            if key.table.is_empty() { "" } else { "." },
            key.spec.name
        )));
        let range =
            format!("({} to {})", show(&key.spec, key.spec.min), show(&key.spec, key.spec.max));
        assert!(comment(place).contains(&range), "{name}: {range}");
    }
    assert_eq!(set.len(), helper::KEYS.len());

    for (key, (_, place)) in status::KEYS.iter().zip(settings.status.places()) {
        let about = comment(&place);
        let range = format!("({}", key.spec.range_text());
        assert!(about.starts_with(key.about) && about.contains(&range), "{about}");
        assert!(about.contains(key.variable), "{about}");
    }
    assert_eq!(settings.status.places().count(), status::KEYS.len());

    let config = Config::try_from(settings).unwrap();
    let (helper, audit) = (Config::default().helper, Config::default().audit);
    assert_eq!((config.helper, config.audit), (helper, audit));
    assert_eq!(config.status, Config::default().status);
    assert!(config.shown().iter().any(|row| row.key == "audit.required" && row.place.is_some()));
    let builtin = Catalogue::builtin();
    // The example sets an endpoint where none is built in.
    let ollama = Service {
        endpoint: Some(Endpoint::parse("http://127.0.0.1:11434").unwrap()),
        ..builtin.get("ollama").unwrap().clone()
    };
    assert_eq!(config.services().get("ollama"), Some(&ollama));
    for key in services::KEYS {
        let key = format!("services.ollama.{key}");
        assert!(config.shown().iter().any(|row| row.key == key && row.place.is_some()), "{key}");
    }
    let own = config.services().get("my-model").unwrap();
    assert_eq!(
        (own.unit.as_ref(), own.verbs, own.required),
        ("my-model.service", Verbs::ALL, false)
    );
    assert_eq!(own.display, "my-model");
    assert_eq!((own.provider, own.endpoint.as_ref()), (Some(Provider::LlamaServer), None));
    assert_eq!(config.services().len(), builtin.len() + 1);
    let words = EXAMPLE.replace(['\n', '#', ','], " ");
    let words: Vec<&str> = words.split_whitespace().collect();
    assert!(
        Provider::NAMES
            .iter()
            .all(|name| words.iter().any(|word| { word.trim_end_matches([';', '.']) == *name })),
        "the example names every provider"
    );
    let named = builtin.iter().all(|service| {
        words.iter().any(|word| word.trim_end_matches(';') == service.name.as_ref())
    });
    assert!(named, "the example names every built-in service");
}

#[test]
fn values_are_texts_or_numbers() {
    let good = [
        ("timeout = \"5s\"", limits::TIMEOUT, 5000),
        ("timeout = '500ms'", limits::TIMEOUT, 500),
        ("timeout = \"5\"", limits::TIMEOUT, 5000),
        ("cpu = \"0.5s\"", limits::CPU, 500),
        ("memory = \"256M\"", limits::MEMORY, 256 << 20),
        ("memory = 268_435_456", limits::MEMORY, 256 << 20),
        ("memory = 0x1000_0000", limits::MEMORY, 256 << 20),
        ("max-processes = 8", limits::PROCESSES, 8),
        ("max-processes = +8", limits::PROCESSES, 8),
        ("max-processes = \"8\"", limits::PROCESSES, 8),
        ("max-output = 1", limits::OUTPUT, 1),
        ("work-size = \"64K\"", limits::WORK, 65536),
        ("max-source = \"16M\"", limits::SOURCE, 16 << 20),
        ("\"cpu\" = \"1h\"", limits::CPU, 3_600_000),
    ];
    for (line, spec, value) in good {
        let config = config(&[&format!("[sandbox.limits]\n{line}\n")]).unwrap();
        assert_eq!(config.sandbox.limit(&spec, None), Ok(value), "{line}");
    }
    // The same thing in every way of TOML, with a byte order mark and other line ends too.
    for text in [
        "sandbox.limits.memory = \"32M\"",
        "[sandbox]\nlimits = { memory = \"32M\" }",
        "sandbox = { limits.memory = \"32M\" }",
        "\u{feff}[sandbox.limits]\r\nmemory = \"32M\"\r\n",
    ] {
        let config = config(&[text]).unwrap();
        assert_eq!(config.sandbox.limit(&limits::MEMORY, None), Ok(32 << 20), "{text:?}");
    }
}

#[test]
fn every_error_says_where_and_what_is_accepted() {
    let table = [
        (
            "\n\n\n\n\n[sandbox.limits]\ntimeout = \"0\"",
            "0.toml:7: sandbox.limits.timeout = \"0\": 0 is out of range: 10ms to 1h",
        ),
        (
            "[sandbox.limits]\ntimeout = \"2h\"",
            "0.toml:2: sandbox.limits.timeout = \"2h\": 2h is out of range: 10ms to 1h",
        ),
        (
            "[sandbox.max]\nmemory = \"65G\"",
            "0.toml:2: sandbox.max.memory = \"65G\": 65G is out of range: 16M to 64G",
        ),
        (
            "[sandbox.limits]\nmemory = 1024",
            "0.toml:2: sandbox.limits.memory = 1024: 1024 is out of range: 16M to 64G",
        ),
        (
            "[sandbox.limits]\nmax-processes = -1",
            "0.toml:2: sandbox.limits.max-processes = -1: -1 is out of range: 1 to 4096",
        ),
        (
            "[sandbox.limits]\nmax-processes = 99999999999999999999999",
            "0.toml:2: sandbox.limits.max-processes = 99999999999999999999999: \
             99999999999999999999999 is out of range: 1 to 4096",
        ),
        (
            "[sandbox.limits]\nmax-processes = \"abc\"",
            "0.toml:2: sandbox.limits.max-processes = \"abc\": \"abc\" is not a whole \
             number (1 to 4096)",
        ),
        (
            "[sandbox.limits]\nmax-processes = 1.5",
            "0.toml:2: sandbox.limits.max-processes = 1.5: a number with a point, where a \
             whole number is needed",
        ),
        (
            "[sandbox.limits]\ntimeout = \"5 s\"",
            "0.toml:2: sandbox.limits.timeout = \"5 s\": \"5 s\" is not a time such as 500ms, \
             5s, 2m or 1h (10ms to 1h)",
        ),
        (
            "[sandbox.limits]\ntimeout = 30",
            "0.toml:2: sandbox.limits.timeout = 30: an integer, where a time in quotes such \
             as \"30s\" is needed",
        ),
        (
            "[sandbox.limits]\nmemory = true",
            "0.toml:2: sandbox.limits.memory = true: a boolean, where a size such as \"256M\", \
             or a number of bytes, is needed",
        ),
        (
            "[sandbox.limits]\nmemory = [\n1,\n2]",
            "0.toml:2: sandbox.limits.memory = [\\n1,\\n2]: an array, where a size such as \
             \"256M\", or a number of bytes, is needed",
        ),
        (
            "[sandbox.limits.memory]\n",
            "0.toml:1: sandbox.limits.memory: a table, where a size such as \"256M\", or a \
             number of bytes, is needed",
        ),
        (
            "[sandbox.limits]\ntimout = \"5s\"",
            "0.toml:2: sandbox.limits.timout = \"5s\": unknown key; did you mean timeout?",
        ),
        (
            "[sandbox.max]\nstack = 1979-05-27",
            "0.toml:2: sandbox.max.stack = 1979-05-27: unknown key; known here: timeout, cpu, \
             memory, max-processes, max-output, work-size, max-source",
        ),
        (
            "[sandbox]\npyhton = \"/usr/bin/python3\"",
            "0.toml:2: sandbox.pyhton = \"/usr/bin/python3\": unknown key; did you mean python?",
        ),
        (
            "\n[sandbox]\ntimeout = \"5s\"",
            "0.toml:3: sandbox.timeout = \"5s\": unknown key; known here: python, limits, max",
        ),
        ("[sandbx]\n", "0.toml:1: sandbx: unknown key; did you mean sandbox?"),
        ("Sandbox.max = 1", "0.toml:1: Sandbox: unknown key; did you mean sandbox?"),
        (
            "[network]\n",
            "0.toml:1: network: unknown key; known here: sandbox, services, status, \
             helper, audit",
        ),
        ("sandbox = 1", "0.toml:1: sandbox = 1: an integer, where a table is needed"),
        ("[[sandbox]]\n", "0.toml:1: sandbox = [[sandbox]]: an array, where a table is needed"),
        (
            "[sandbox]\nmax = \"1G\"",
            "0.toml:2: sandbox.max = \"1G\": a text, where a table is needed",
        ),
        (
            "[sandbox]\npython = 3.13",
            "0.toml:2: sandbox.python = 3.13: a number with a point, where an absolute path \
             in quotes is needed",
        ),
        (
            "[sandbox]\npython = \"python3\"",
            "0.toml:2: sandbox.python = \"python3\": not an absolute path, which begins with \
             / as in \"/usr/bin/python3\"",
        ),
        (
            "[sandbox]\npython = \"\"",
            "0.toml:2: sandbox.python = \"\": not an absolute path, which begins with / as in \
             \"/usr/bin/python3\"",
        ),
        (
            "[sandbox]\npython = \"/usr\\u0000\"",
            "0.toml:2: sandbox.python = \"/usr\\u0000\": a path cannot hold a NUL character",
        ),
        (
            "[sandbox.limits]\ncpu = \"1s\"\ncpu = \"2s\"",
            "0.toml:3: cpu = \"2s\": not valid TOML: duplicate key",
        ),
        (
            "[sandbox.max]\n\n[sandbox.max]",
            "0.toml:3: [sandbox.max]: not valid TOML: duplicate key",
        ),
        (
            "sandbox = {}\nsandbox.limits.cpu = \"1s\"",
            "0.toml:2: sandbox.limits.cpu = \"1s\": not valid TOML: ",
        ),
        ("[sandbox.limits]\ntimeout = 5s", "0.toml:2: timeout = 5s: not valid TOML: "),
        ("[sandbox\n", "0.toml:1: [sandbox: not valid TOML: "),
        ("sandbox\n", "0.toml:1: sandbox: not valid TOML: "),
        ("a\0 = 1", "0.toml:1: a\\0 = 1: not valid TOML: "),
    ];
    for (text, message) in table {
        let error = config(&[text]).unwrap_err().to_string();
        // Most of the parser's own words are the parser's to choose.
        let cut = if message.ends_with(": ") { message.len() } else { error.len() };
        assert_eq!(error.get(..cut), Some(message), "{text:?}: {error}");
    }
}

#[test]
fn the_first_error_of_a_table_is_the_one_that_is_told() {
    let text = "[sandbox.limits]\nmemory = 1\ncpu = 1\nzzz = 1";
    assert_eq!(config(&[text]).unwrap_err().place.line, 2);
}

#[test]
fn messages_are_short_and_do_nothing_to_a_terminal() {
    let long = "9".repeat(100_000);
    for text in [
        format!("[sandbox.limits]\nmemory = \"{long}\""),
        format!("[sandbox.limits]\nmemory = \"{long}x\""),
        format!("[sandbox.limits]\nmemory = {long}"),
        format!("[sandbox.limits]\n{long} = 1"),
        format!("[sandbox.limits]\nmemory = {long} {long}"),
        format!("\"{long}\" = 1"),
        "[sandbox]\n\"\\u001b[2J\\n\" = \"\u{202e}x\"".to_owned(),
        "\"\u{1b}\" = 1".to_owned(),
    ] {
        let message = Settings::parse("a\n\u{1b}.toml", &text).unwrap_err().to_string();
        assert!(message.chars().count() < 400, "{message}");
        assert!(!message.contains(|c: char| c.is_control() || c == '\u{202e}'), "{message:?}");
    }
}

#[test]
fn deep_or_huge_texts_are_errors_and_no_crash() {
    const SIZE: usize = MAX_BYTES as usize;
    for text in [
        "[".repeat(SIZE),
        format!("a = {}", "[".repeat(SIZE - 4)),
        format!("a = {}", "{a=".repeat(SIZE / 3 - 4)),
        format!("{}a = 1", "a.".repeat(SIZE / 2 - 4)),
        format!("[{}a]", "a.".repeat(SIZE / 2 - 4)),
        (0..60_000).map(|n| format!("k{n}=1\n")).collect(),
    ] {
        assert!(Settings::parse("a.toml", &text).is_err(), "{:?}", &text[..9]);
    }
}

#[test]
fn the_later_file_decides_and_each_key_alone() {
    let first = "[sandbox]\npython = \"/a\"\n[sandbox.limits]\ncpu = \"1s\"\nmemory = \"32M\"\n\
                 [sandbox.max]\ncpu = \"30s\"";
    let second = "[sandbox.limits]\ncpu = \"2s\"\n[sandbox.max]\nmax-processes = 100";
    let third = "[sandbox]\npython = \"/b\"\n";
    let set = |changes: &[(LimitSpec, u64)], mut values: PerLimit<u64>| {
        for (spec, value) in changes {
            let index = limits::ALL.iter().position(|known| known == spec).unwrap();
            values[index] = *value;
        }
        values
    };
    let (defaults, max) = values(&Config::default());
    for (texts, python, expected, highest) in [
        (&[first][..], "/a", [(limits::CPU, 1000), (limits::MEMORY, 32 << 20)], (4096, 30_000)),
        (&[first, second], "/a", [(limits::CPU, 2000), (limits::MEMORY, 32 << 20)], (100, 30_000)),
        (
            &[second, first, third],
            "/b",
            [(limits::CPU, 1000), (limits::MEMORY, 32 << 20)],
            (100, 30_000),
        ),
    ] {
        let merged = config(texts).unwrap();
        assert_eq!(merged.sandbox.python().unwrap().0, Path::new(python));
        let max = set(&[(limits::PROCESSES, highest.0), (limits::CPU, highest.1)], max);
        assert_eq!(values(&merged), (set(&expected, defaults), max), "{texts:?}");
    }
}

#[test]
fn a_default_above_the_most_is_an_error_wherever_they_are() {
    let limit = "[sandbox.limits]\ntimeout = \"2m\"";
    let max = "[sandbox.max]\ntimeout = \"1m\"";
    let low = "\n[sandbox.max]\ntimeout = \"10s\"";
    for (texts, message) in [
        (
            &[limit, max][..],
            "0.toml:2: sandbox.limits.timeout = \"2m\": above the highest value, 1m, set at \
             1.toml:2",
        ),
        (
            &[max, limit],
            "1.toml:2: sandbox.limits.timeout = \"2m\": above the highest value, 1m, set at \
             0.toml:2",
        ),
        (
            &[low],
            "0.toml:3: sandbox.max.timeout = \"10s\": below the default, 30s: set \
             sandbox.limits.timeout to no more than this",
        ),
    ] {
        assert_eq!(config(texts).unwrap_err().to_string(), message);
    }
    // A later file can put it right; equal is right.
    assert!(config(&[limit, max, "sandbox.limits.timeout = \"1m\""]).is_ok());
    assert!(config(&[low, "sandbox.limits.timeout = \"10s\""]).is_ok());
}

#[test]
fn a_caller_may_ask_for_the_most_and_no_more() {
    let config = config(&["[sandbox.max]\nmax-processes = 100\ntimeout = \"1m\""]).unwrap();
    let sandbox = config.sandbox;
    for (spec, asked, expected) in [
        (limits::TIMEOUT, None, Ok(30_000)),
        (limits::TIMEOUT, Some(10), Ok(10)),
        (limits::TIMEOUT, Some(60_000), Ok(60_000)),
        (
            limits::TIMEOUT,
            Some(60_001),
            Err("timeout 60001ms is more than allowed: at most 1m, by sandbox.max.timeout at \
                 0.toml:3"),
        ),
        (
            limits::PROCESSES,
            Some(4096),
            Err("max-processes 4096 is more than allowed: at most 100, by \
                 sandbox.max.max-processes at 0.toml:2"),
        ),
        (limits::CPU, Some(3_600_000), Ok(3_600_000)),
    ] {
        let got = sandbox.limit(&spec, asked).map_err(|error| error.to_string());
        assert_eq!(got, expected.map_err(str::to_owned), "{} {asked:?}", spec.name);
    }
}

#[test]
fn distances_are_edits() {
    for (a, b, edits) in [
        ("", "", 0),
        ("cpu", "cpu", 0),
        ("cpu", "", 3),
        ("timout", "timeout", 1),
        ("pyhton", "python", 2),
        ("größe", "grösse", 2),
    ] {
        assert_eq!(distance(a, b), edits, "{a:?} {b:?}");
    }
}

// Services.

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
         [services.zeta]\nverbs = []\n[services.tgi]\nunit = \"vllm.service\"",
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
    assert_eq!((*provider, endpoint), (Some(Provider::Tgi), &endpoint_of("unix:/run/zeta.sock")));
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

// The helper.

#[test]
fn what_the_helper_does_has_the_documented_defaults() {
    let Config { helper, audit, .. } = Config::default();
    assert_eq!(helper.idle_timeout, Duration::from_secs(60));
    assert_eq!(helper.action_timeout, Duration::from_secs(90));
    assert_eq!(helper.calls_in_flight, 16);
    assert_eq!(helper.rate(RateClass::Read), Rate { per_minute: 600, burst: 100 });
    assert_eq!(helper.rate(RateClass::Change), Rate { per_minute: 60, burst: 10 });
    assert!(audit.required);
}

#[test]
fn each_key_of_the_helper_is_set_alone() {
    let texts = [
        "[helper]\nidle-timeout = \"1s\"\nread-rate = { per-minute = 1 }",
        "[helper]\naction-timeout = \"1h\"\ncalls-in-flight = 256\n[helper.read-rate]\nburst = 2\n\
         [helper.change-rate]\nper-minute = 3\nburst = 4\n[audit]\nrequired = false",
    ];
    let Config { helper, audit, .. } = config(&texts).unwrap();
    let expected = Helper {
        idle_timeout: Duration::from_secs(1),
        action_timeout: Duration::from_secs(3600),
        calls_in_flight: 256,
        read_rate: Rate { per_minute: 1, burst: 2 },
        change_rate: Rate { per_minute: 3, burst: 4 },
    };
    assert_eq!((helper, audit.required), (expected, false));
}

#[test]
fn every_error_of_the_helper_says_where_and_what_is_accepted() {
    for (text, message) in [
        (
            "helper.idle-timeout = \"999ms\"",
            "0.toml:1: helper.idle-timeout = \"999ms\": 999ms is out of range: 1s to 1h",
        ),
        (
            "helper.action-timeout = 90",
            "0.toml:1: helper.action-timeout = 90: an integer, where a time in quotes such as \
             \"30s\" is needed",
        ),
        (
            "helper.calls-in-flight = 0",
            "0.toml:1: helper.calls-in-flight = 0: 0 is out of range: 1 to 256",
        ),
        (
            "helper.read-rate = 600",
            "0.toml:1: helper.read-rate = 600: an integer, where a table is needed",
        ),
        (
            "helper.read-rate = { per-minute = 0 }",
            "0.toml:1: helper.read-rate.per-minute = 0: 0 is out of range: 1 to 60000",
        ),
        (
            "helper.change-rate.burst = 10001",
            "0.toml:1: helper.change-rate.burst = 10001: 10001 is out of range: 1 to 10000",
        ),
        (
            "helper.change-rate.per-second = 1",
            "0.toml:1: helper.change-rate.per-second = 1: unknown key; known here: per-minute, \
             burst",
        ),
        (
            "helper.user = \"root\"",
            "0.toml:1: helper.user = \"root\": unknown key; known here: idle-timeout, \
             action-timeout, calls-in-flight, read-rate, change-rate",
        ),
        (
            "audit.required = 0",
            "0.toml:1: audit.required = 0: an integer, where true or false is needed",
        ),
        (
            "audit.require = false",
            "0.toml:1: audit.require = false: unknown key; did you mean required?",
        ),
    ] {
        assert_eq!(config(&[text]).unwrap_err().to_string(), message, "{text}");
    }
}

// What the commands that look do.

use status::{Status, VARIABLES};

#[test]
fn what_the_commands_that_look_do_has_the_documented_defaults() {
    let expected = Status {
        http_timeout: Duration::from_secs(3),
        unit_timeout: Duration::from_secs(8),
        refresh_interval: Duration::from_secs(5),
        log_height: 12,
    };
    assert_eq!((Status::default(), Config::default().status), (expected, expected));
}

#[test]
fn each_key_of_status_is_set_alone_and_the_environment_goes_over_it() {
    let texts = [
        "[status]\nhttp-timeout = \"500ms\"\nlog-height = 50",
        "[status]\nhttp-timeout = \"30s\"\nunit-timeout = \"1s\"\nrefresh-interval = \"1m\"",
    ];
    let of_files = Status {
        http_timeout: Duration::from_secs(30),
        unit_timeout: Duration::from_secs(1),
        refresh_interval: Duration::from_secs(60),
        log_height: 50,
    };
    let status = config(&texts).unwrap().status;
    assert_eq!(status, of_files);
    assert_eq!(status.with_environment(|_| None), Ok(of_files));
    // A variable alone, and all of them.
    let http = |variable| (variable == "AICTL_HTTP_TIMEOUT").then(|| "0.5".into());
    assert_eq!(
        status.with_environment(http),
        Ok(Status { http_timeout: Duration::from_millis(500), ..of_files })
    );
    let values = ["10", "2.5s", "2", "5"];
    let all = |variable| {
        let index = VARIABLES.iter().position(|known| *known == variable)?;
        Some(values[index].into())
    };
    assert_eq!(
        status.with_environment(all),
        Ok(Status {
            http_timeout: Duration::from_secs(10),
            unit_timeout: Duration::from_millis(2500),
            refresh_interval: Duration::from_secs(2),
            log_height: 5,
        })
    );
}

#[test]
fn a_value_of_the_environment_that_does_not_fit_is_told_with_its_variable_and_range() {
    let long = "9".repeat(1 << 20);
    for (variable, value, message) in [
        ("AICTL_HTTP_TIMEOUT", "0.4", "0.4 is out of range: 500ms to 30s"),
        ("AICTL_HTTP_TIMEOUT", "31s", "31s is out of range: 500ms to 30s"),
        (
            "AICTL_HTTP_TIMEOUT",
            "abc",
            "\"abc\" is not a time such as 500ms, 5s, 2m or 1h (500ms to 30s)",
        ),
        ("AICTL_HTTP_TIMEOUT", "", "\"\" is not a time such as 500ms, 5s, 2m or 1h (500ms to 30s)"),
        ("AICTL_REFRESH_INTERVAL", "999ms", "999ms is out of range: 1s to 1m"),
        ("AICTL_UNIT_TIMEOUT", "0", "0 is out of range: 1s to 30s"),
        ("AICTL_LOG_HEIGHT", "4", "4 is out of range: 5 to 50"),
        ("AICTL_LOG_HEIGHT", "51", "51 is out of range: 5 to 50"),
        ("AICTL_LOG_HEIGHT", "-1", "\"-1\" is not a whole number (5 to 50)"),
        ("AICTL_LOG_HEIGHT", "5\u{1b}[2J", "\"5\\u{1b}[2J\" is not a whole number (5 to 50)"),
        ("AICTL_LOG_HEIGHT", &long, &format!("{}… is out of range: 5 to 50", "9".repeat(SHOWN))),
    ] {
        let read = |name| (name == variable).then(|| value.into());
        let error = Status::default().with_environment(read).unwrap_err();
        assert_eq!(error.to_string(), format!("{variable}: {message}"));
    }
    let not_utf8 = |name| {
        use std::os::unix::ffi::OsStringExt;
        (name == "AICTL_LOG_HEIGHT").then(|| std::ffi::OsString::from_vec(vec![b'5', 0xff]))
    };
    assert!(Status::default().with_environment(not_utf8).is_err());
}

#[test]
fn every_error_of_status_says_where_and_what_is_accepted() {
    for (text, message) in [
        (
            "status.http-timeout = \"100ms\"",
            "0.toml:1: status.http-timeout = \"100ms\": 100ms is out of range: 500ms to 30s",
        ),
        (
            "status.refresh-interval = 5",
            "0.toml:1: status.refresh-interval = 5: an integer, where a time in quotes such as \
             \"30s\" is needed",
        ),
        (
            "status.log-height = 100",
            "0.toml:1: status.log-height = 100: 100 is out of range: 5 to 50",
        ),
        (
            "status.timeout = \"1s\"",
            "0.toml:1: status.timeout = \"1s\": unknown key; known here: http-timeout, \
             unit-timeout, refresh-interval, log-height",
        ),
    ] {
        assert_eq!(config(&[text]).unwrap_err().to_string(), message, "{text}");
    }
}

// All errors, all values, and the schema.

#[test]
fn all_errors_of_a_file_are_told_in_its_order() {
    let text = "[sandbox]\npython = 1\n[services.tgi]\nunit = \"x\"\nverbs = [\"kill\"]\n\
                [helper]\nidle-timeout = \"2h\"\nread-rate = { burst = 0, per-minute = 0 }\nx = 1\n\
                [zzz]";
    let lines = |errors: Vec<ConfigError>| -> Vec<usize> {
        errors.into_iter().map(|error| error.place.line).collect()
    };
    assert_eq!(lines(Settings::parse_all("a", text).unwrap_err()), [2, 4, 5, 7, 8, 8, 9, 10]);
    assert_eq!(lines(Settings::parse_all("a", "x = 1\n[").unwrap_err()), [2]);
    let many: String = (0..1000).map(|n| format!("k{n} = 1\n")).collect();
    assert_eq!(Settings::parse_all("a", &many).unwrap_err().len(), MAX_ERRORS);

    let text = "[sandbox.max]\ncpu = \"1s\"\n[services.a]\n[services.b]\nunit = \"tgi.service\"";
    let settings = Settings::parse_all("a", text).unwrap();
    assert_eq!(lines(Config::check(settings).unwrap_err()), [2, 3, 5]);
}

#[test]
fn what_is_shown_can_be_read_back_as_the_same_configuration() {
    let text = "[sandbox]\npython = \"/opt/\\\"py\\\"\"\n[sandbox.limits]\ncpu = \"1s\"\n[services.vllm]\n\
                enabled = false\n[services.a]\nunit = \"a\\\\x2d.service\"\nverbs = [\"stop\"]\n\
                endpoint = \"unix:/run/a\"\nprovider = \"tgi\"\n\
                [helper]\nread-rate = { burst = 5 }\n[audit]\nrequired = false\n\
                [status]\nlog-height = 5";
    let config = config(&[text]).unwrap();
    let rows = config.shown();
    let again: String = rows
        .iter()
        .filter_map(|row| row.value.as_ref().map(|value| format!("{} = {value}\n", row.key)))
        .collect();
    let again = Config::try_from(Settings::parse("again", &again).unwrap()).unwrap();
    let (sandbox, other) = (values(&config), values(&again));
    assert_eq!(sandbox, other);
    assert_eq!(config.sandbox.python().unwrap().0, again.sandbox.python().unwrap().0);
    assert_eq!((config.helper, config.audit), (again.helper, again.audit));
    assert_eq!(config.status, again.status);
    assert_eq!((config.services(), &config.taken_out), (again.services(), &again.taken_out));
    let set: Vec<_> = rows
        .iter()
        .filter_map(|row| row.place.as_ref().map(|place| (row.key.as_str(), place.line)))
        .collect();
    assert_eq!(
        set,
        [
            ("sandbox.python", 2),
            ("sandbox.limits.cpu", 4),
            ("status.log-height", 17),
            ("helper.read-rate.burst", 13),
            ("audit.required", 15),
            ("services.a.unit", 8),
            ("services.a.verbs", 9),
            ("services.a.provider", 11),
            ("services.a.endpoint", 10),
            ("services.vllm.enabled", 6),
        ]
    );
}

#[test]
fn nothing_set_is_shown_as_built_in() {
    let rows = Config::default().shown();
    assert!(rows.iter().all(|row| row.place.is_none()));
    let unset: Vec<_> = rows.iter().filter(|row| row.value.is_none()).collect();
    let unset: Vec<_> = unset.iter().map(|row| row.key.as_str()).collect();
    let (python, endpoints) = unset.split_first().unwrap();
    assert_eq!((*python, endpoints.len()), ("sandbox.python", Catalogue::builtin().len()));
    assert!(endpoints.iter().all(|key| key.ends_with(".endpoint")), "{endpoints:?}");
}

/// The keys below a schema with their own schemas; a service's stand under the name `tgi`.
fn keys(path: &str, schema: &serde_json::Value) -> Vec<(String, serde_json::Value)> {
    let below = |name: &str, schema| {
        keys(&if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }, schema)
    };
    if let Some(properties) = schema["properties"].as_object() {
        assert_eq!(schema["additionalProperties"], false, "{path}");
        properties.iter().flat_map(|(name, schema)| below(name, schema)).collect()
    } else if schema["additionalProperties"].is_object() {
        below("tgi", &schema["additionalProperties"])
    } else {
        vec![(path.to_owned(), schema.clone())]
    }
}

#[test]
fn the_schema_has_every_key_that_is_read_and_no_other() {
    let schema = keys("", &schema());
    let mut in_schema: Vec<_> = schema.iter().map(|(key, _)| key.clone()).collect();
    let of_service =
        |row: &Shown| !row.key.starts_with("services.") || row.key.starts_with("services.tgi.");
    let shown = Config::default().shown();
    let mut read: Vec<_> = shown.into_iter().filter(of_service).map(|row| row.key).collect();
    in_schema.sort();
    read.sort();
    assert_eq!(in_schema, read);
    for (key, schema) in schema {
        let error = Settings::parse("a", &format!("{key} = 1979-05-27")).unwrap_err();
        assert!(matches!(*error.problem, Problem::Kind { .. }), "{error}");
        assert!(schema["description"].is_string(), "{key}");
        let Some(default) = schema.get("default") else { continue };
        let same = config(&[&format!("{key} = {default}")]).unwrap();
        let Config { sandbox, status, helper, audit, services, .. } = Config::default();
        let built_in = (sandbox.defaults, sandbox.max.map(|(value, _)| value));
        assert_eq!(values(&same), built_in, "{key}");
        assert_eq!((same.helper, same.audit, same.services()), (helper, audit, &services), "{key}");
        assert_eq!(same.status, status, "{key}");
    }
}
