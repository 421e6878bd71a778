//! Tests of the table of the helper's log.

use super::*;

#[test]
fn each_key_of_the_log_is_set_alone() {
    assert_eq!(Config::default().log, Log { level: LogLevel::Info, format: LogFormat::Text });
    for level in LogLevel::ALL {
        let log = config(&[&format!("log.level = \"{}\"", level.name())]).unwrap().log;
        assert_eq!(log, Log { level, format: LogFormat::Text });
    }
    let texts = ["[log]\nlevel = \"error\"\nformat = \"json\"", "log.level = \"debug\""];
    let log = config(&texts).unwrap().log;
    assert_eq!(log, Log { level: LogLevel::Debug, format: LogFormat::Json });
}

#[test]
fn every_error_of_the_log_says_where_and_what_is_accepted() {
    for (text, message) in [
        (
            "[log]\nlevel = \"verbose\"",
            "0.toml:2: log.level = \"verbose\": \"verbose\" is none of error, warning, notice, \
             info, debug",
        ),
        ("log.level = 7", "0.toml:1: log.level = 7: an integer, where a word in quotes is needed"),
        (
            "log.format = \"JSON\"",
            "0.toml:1: log.format = \"JSON\": \"JSON\" is none of text, json",
        ),
        (
            "log.formt = \"json\"",
            "0.toml:1: log.formt = \"json\": unknown key; did you mean format?",
        ),
        (
            "log.file = \"/x\"",
            "0.toml:1: log.file = \"/x\": unknown key; known here: level, format",
        ),
    ] {
        assert_eq!(config(&[text]).unwrap_err().to_string(), message, "{text}");
    }
}
