//! Tests of the configuration.

use std::{path::Path, time::Duration};

mod of_helper;
mod of_log;
mod of_services;
mod of_status;

use super::{
    reader::distance,
    sandbox::{PerLimit, show},
    strict::ABOUT,
    *,
};
use crate::{
    authorisation::RateClass,
    committed::assert_committed,
    endpoint::Endpoint,
    limits::{self, LimitSpec},
    provider::Provider,
    service::{MAX_SERVICES, Service, Verbs},
    strict::{self as strict_profile, Imports},
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
    let strict = &settings.sandbox.strict;
    assert_eq!(strict.imports.as_ref().unwrap().value, Imports::default());
    for ((spec, about), set) in strict_profile::LIMITS.iter().zip(ABOUT).zip(&strict.limits) {
        let set = set.as_ref().unwrap();
        assert_eq!(set.value, spec.default, "strict.{}", spec.name);
        assert_eq!(comment(&set.place), format!("{about} ({}).", spec.range_text()));
    }
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
    for key in ["log.level", "log.format", "audit.required"] {
        assert!(config.shown().iter().any(|row| row.key == key && row.place.is_some()), "{key}");
    }
    assert_eq!(config.log, Log::default());
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

/// Limits that people know from elsewhere, as a profile.
#[test]
fn what_strict_leaves_to_a_script_can_be_less() {
    let text = "[sandbox]\nruns-per-user = 2\n\
                [sandbox.limits]\ntimeout = \"30s\"\nmemory = \"128M\"\n\
                [sandbox.strict]\nmax-source = 10000\nmax-nodes = 5000\n\
                imports = [\"json\", \"datetime\", \"math\", \"re\", \"typing\", \"collections\", \
                \"itertools\", \"functools\"]\n";
    let strict = config(&[text]).unwrap().sandbox.strict;
    assert_eq!((strict.source, strict.nodes, strict.depth), (10_000, 5000, 100));
    assert_eq!(strict.imports.names().len(), 8);
    assert!(strict.imports.allow("collections.abc") && !strict.imports.allow("random"));
    let none = config(&[text, "[sandbox.strict]\nimports = []\n"]).unwrap().sandbox.strict;
    assert_eq!((none.imports.names().len(), none.source), (0, 10_000));
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
            "[sandbox.strict]\nimports = [\"json\", \"a b\"]",
            "0.toml:2: sandbox.strict.imports = [\"json\", \"a b\"]: \"a b\" is no module's name, \
             such as json or collections.abc",
        ),
        (
            "[sandbox.strict]\nimports = \"json\"",
            "0.toml:2: sandbox.strict.imports = \"json\": a text, where an array of modules such as \
             [\"json\"] is needed",
        ),
        (
            "[sandbox.strict]\nmax-nodes = 0",
            "0.toml:2: sandbox.strict.max-nodes = 0: 0 is out of range: 1 to 100000",
        ),
        (
            "[sandbox.strict]\nimport = []",
            "0.toml:2: sandbox.strict.import = []: unknown key; did you mean imports?",
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
             whole number is needed (1 to 4096)",
        ),
        (
            "[sandbox.limits]\ntimeout = \"5 s\"",
            "0.toml:2: sandbox.limits.timeout = \"5 s\": \"5 s\" is not a time such as 500ms, \
             5s, 2m or 1h (10ms to 1h)",
        ),
        (
            "[sandbox.limits]\ntimeout = 30",
            "0.toml:2: sandbox.limits.timeout = 30: an integer, where a time in quotes such \
             as \"30s\" is needed (10ms to 1h)",
        ),
        (
            "[sandbox.limits]\nmemory = true",
            "0.toml:2: sandbox.limits.memory = true: a boolean, where a size such as \"256M\", \
             or a number of bytes, is needed (16M to 64G)",
        ),
        (
            "[sandbox.limits]\nmemory = [\n1,\n2]",
            "0.toml:2: sandbox.limits.memory = [\\n1,\\n2]: an array, where a size such as \
             \"256M\", or a number of bytes, is needed (16M to 64G)",
        ),
        (
            "[sandbox.limits.memory]\n",
            "0.toml:1: sandbox.limits.memory: a table, where a size such as \"256M\", or a \
             number of bytes, is needed (16M to 64G)",
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
            "0.toml:3: sandbox.timeout = \"5s\": unknown key; known here: python, warm, runs, \
             runs-per-user, queue-per-user, limits, max, strict",
        ),
        ("[sandbx]\n", "0.toml:1: sandbx: unknown key; did you mean sandbox?"),
        ("Sandbox.max = 1", "0.toml:1: Sandbox: unknown key; did you mean sandbox?"),
        (
            "[network]\n",
            "0.toml:1: network: unknown key; known here: sandbox, services, status, \
             helper, log, audit",
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
                [status]\nlog-height = 5\n[log]\nlevel = \"debug\"\nformat = \"json\"";
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
    assert_eq!((config.status, config.log), (again.status, again.log));
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
            ("log.level", 19),
            ("log.format", 20),
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
        let Config { sandbox, status, helper, log, audit, services, .. } = Config::default();
        let built_in = (sandbox.defaults, sandbox.max.map(|(value, _)| value));
        assert_eq!(values(&same), built_in, "{key}");
        assert_eq!((same.helper, same.audit, same.services()), (helper, audit, &services), "{key}");
        assert_eq!((same.status, same.log), (status, log), "{key}");
    }
}

// The manual page.

#[test]
fn the_committed_manual_page_is_what_the_tables_yield() {
    assert_committed("man/aictl.toml.5", &man_page::page());
}

#[test]
fn the_manual_page_describes_every_key() {
    let page = man_page::page();
    for shown in Config::default().shown() {
        let key = shown.key.replace('-', "\\-");
        if shown.key.starts_with("services.") {
            continue;
        }
        let entry = page.split(&format!(".TP\n.B \"{key}")).nth(1);
        let text = entry.and_then(|entry| entry.lines().nth(1));
        assert!(text.is_some_and(|text| text.len() > 10), "{}: {text:?}", shown.key);
    }
}

#[test]
fn the_example_of_the_manual_page_is_a_file() {
    let config = config(&[man_page::EXAMPLE]).unwrap();
    assert_eq!(config.services().iter().filter(|service| service.required).count(), 1);
}

/// What the fuzzer begins with, and what it has found.
#[test]
fn what_was_fuzzed_is_taken_or_told() {
    let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fuzz/seeds/config");
    for seed in std::fs::read_dir(seeds).unwrap() {
        let path = seed.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        for error in Settings::parse_all("a.toml", &text).err().into_iter().flatten() {
            assert!(error.to_string().starts_with("a.toml"), "{path:?}: {error}");
        }
    }
}
