use std::{
    fs, process,
    sync::atomic::{AtomicU32, Ordering},
};

use serde_json::json;

use super::*;

fn query() -> LogQuery {
    LogQuery {
        unit: UnitName::parse("ollama.service").unwrap(),
        scope: Scope::System,
        lines: 100,
        since_usec: None,
        follow: false,
        priority: None,
    }
}

#[test]
fn the_arguments_are_fixed() {
    let fields = "--output-fields=MESSAGE,PRIORITY,SYSLOG_IDENTIFIER,_COMM,_PID";
    assert_eq!(
        log_arguments(&query()),
        ["--output=json", "--no-pager", "--all", "--unit=ollama.service", "--lines=100", fields]
    );
    let all = LogQuery {
        scope: Scope::User,
        lines: 0,
        since_usec: Some(1_700_000_000_000_042),
        follow: true,
        priority: Some(4),
        ..query()
    };
    assert_eq!(
        log_arguments(&all),
        [
            "--output=json",
            "--no-pager",
            "--all",
            "--since=@1700000000.000042",
            "--user-unit=ollama.service",
            "--lines=0",
            fields,
            "--priority=0..4",
            "--follow",
        ]
    );
    let records = AuditQuery { records: Some(5), since_usec: Some(1) };
    let arguments = audit_arguments(&records);
    assert_eq!(
        arguments[..7],
        [
            "--output=json",
            "--no-pager",
            "--all",
            "--since=@0.000001",
            "--system",
            "--lines=5",
            // Without it, anybody could write such records.
            "_SYSTEMD_UNIT=aictld.service",
        ]
    );
    assert_eq!(arguments[7..], audit::MESSAGE_IDS.map(|id| format!("MESSAGE_ID={id}")));
}

fn line(entry: Value) -> LogLine {
    let Value::Object(fields) = entry else { panic!("no entry") };
    log_line(&fields)
}

#[test]
fn an_entry_is_read_in_each_form() {
    let usual = json!({
        "__REALTIME_TIMESTAMP": "1700000000000042",
        "__CURSOR": "s=1",
        "PRIORITY": "3",
        "_PID": "42",
        "SYSLOG_IDENTIFIER": "ollama",
        "_COMM": "other",
        "MESSAGE": "hello",
    });
    let expected = LogLine {
        time_usec: 1_700_000_000_000_042,
        priority: 3,
        pid: Some(42),
        identifier: "ollama".to_owned(),
        message: "hello".to_owned(),
    };
    assert_eq!(line(usual), expected);
    let missing = "(too long, or empty)";
    let table = [
        (json!({"MESSAGE": [104, 105, 255]}), "hi\u{fffd}"),
        (json!({"MESSAGE": [27, 91, 51, 49, 109, 104, 105]}), "hi"),
        (json!({"MESSAGE": null}), missing),
        (json!({}), missing),
        (json!({"MESSAGE": ["one", "two"]}), "one"),
        (json!({"MESSAGE": [null, "two"]}), "two"),
        (json!({"MESSAGE": [[111, 110, 101], "two"]}), "one"),
        (json!({"MESSAGE": [1, 256]}), missing),
        (json!({"MESSAGE": [-1]}), missing),
        (json!({"MESSAGE": {"a": 1}}), missing),
        (json!({"MESSAGE": 7}), missing),
        (
            json!({"MESSAGE": "a\nNov 22 12:00:00 host sshd[1]: forged"}),
            "a Nov 22 12:00:00 host sshd[1]: forged",
        ),
        (json!({"MESSAGE": "\u{1b}]0;x\u{7}\u{1b}[2Jtext"}), "text"),
    ];
    for (entry, message) in table {
        let words = entry.to_string();
        assert_eq!(line(entry).message, message, "{words}");
    }
    let odd =
        line(json!({"PRIORITY": "8", "_PID": "x", "_COMM": "python3", "__REALTIME_TIMESTAMP": 1}));
    assert_eq!((odd.priority, odd.pid, odd.time_usec), (6, None, 0));
    assert_eq!(odd.identifier, "python3");
}

#[test]
fn a_secret_is_not_shown_even_if_codes_stand_in_it() {
    let message = line(json!({"MESSAGE": "key sk-ab\u{1b}[31mcdefghij0123"})).message;
    assert_eq!(message, "key ***");
}

#[test]
fn an_audit_record_has_its_fields() {
    let entry = json!({
        "__REALTIME_TIMESTAMP": "7",
        "MESSAGE_ID": audit::CALL,
        "MESSAGE": "restart ollama: allowed",
        "AICTL_SERVICE": "ollama",
        "AICTL_CALLER_UID": "1000",
        "AICTL_VERB": "re\u{1b}[31mstart",
        "AICTL_UNKNOWN": "x",
    });
    let Value::Object(fields) = entry else { panic!("no entry") };
    let record = audit_line(&fields);
    assert_eq!(record.time_usec, 7);
    assert_eq!(record.message_id, audit::CALL);
    assert_eq!(record.get(AuditField::Service), Some("ollama"));
    assert_eq!(record.get(AuditField::CallerUid), Some("1000"));
    assert_eq!(record.get(AuditField::Verb), Some("restart"));
    assert_eq!(record.get(AuditField::Unit), None);
    for field in AuditField::ALL {
        let entry = json!({ field.name(): "value" });
        let record = audit_line(entry.as_object().unwrap());
        assert_eq!(record.get(field), Some("value"), "{field:?}");
    }
}

#[test]
fn complaints_are_told_apart() {
    let table = [
        (true, "", "Ok(())"),
        (true, "Hint: You are currently not seeing messages from other users.", "Err(NotAllowed)"),
        (false, "No journal files were opened due to insufficient permissions.", "Err(NotAllowed)"),
        (false, "Failed to x: \u{1b}[31my\n", "Err(Failed(\"Failed to x: y\"))"),
    ];
    for (succeeded, complaints, expected) in table {
        assert_eq!(format!("{:?}", verdict(succeeded, complaints)), expected, "{complaints}");
    }
}

#[tokio::test]
async fn a_line_of_any_length_is_bounded() {
    let text = format!("short\n\n{}\nafter\n{}\nlast", "x".repeat(11), "y".repeat(1000));
    // Small pieces: a line comes in many.
    let mut from = BufReader::with_capacity(4, text.as_bytes());
    let mut line = Vec::new();
    let mut lines = Vec::new();
    loop {
        match read_line(&mut from, &mut line, 10).await.unwrap() {
            Line::End => break,
            Line::TooLong => lines.push("TOO LONG".to_owned()),
            Line::Whole => lines.push(String::from_utf8(line.clone()).unwrap()),
        }
    }
    assert_eq!(lines, ["short", "", "TOO LONG", "after", "TOO LONG", "last"]);
}

/// A program in journalctl's place.
struct Journalctl(PathBuf);

impl Journalctl {
    fn new(script: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("aictl-journalctl-{}-{count}", process::id());
        let path = std::env::temp_dir().join(name);
        aictl_fakes::shell_script(&path, script);
        Self(path)
    }

    fn reader(&self) -> JournalReader {
        JournalReader::with_program(&self.0)
    }
}

impl Drop for Journalctl {
    fn drop(&mut self) {
        let _gone = fs::remove_file(&self.0);
    }
}

#[tokio::test]
async fn lines_are_read_until_the_end() {
    let journalctl = Journalctl::new(
        r#"echo '{"MESSAGE":"one"}'
        echo '-- No entries --'
        echo '{"MESSAGE":"two"'
        head -c 2000000 /dev/zero | tr '\0' x
        echo
        echo '{"MESSAGE":"three"}'"#,
    );
    let lines = journalctl.reader().log_lines(&query()).await.unwrap();
    let messages: Vec<&str> = lines.iter().map(|line| line.message.as_str()).collect();
    assert_eq!(messages, ["one", "(too long, or empty)", "three"]);
}

#[tokio::test]
async fn the_child_has_nothing_of_ours() {
    let _ours = fs::File::open("/dev/zero").unwrap();
    let journalctl = Journalctl::new(
        r#"echo "{\"MESSAGE\":\"$(env | sort | tr '\n' ' ')\",\"SYSLOG_IDENTIFIER\":\"$*\"}"
        echo "{\"MESSAGE\":\"$(readlink /proc/self/fd/* | tr '\n' ' ')\"}"
        echo "{\"MESSAGE\":\"$(readlink /proc/self/fd/0)\"}""#,
    );
    let lines = journalctl.reader().log_lines(&query()).await.unwrap();
    // PWD is what the shell adds by itself.
    assert_eq!(lines[0].message, "LC_ALL=C.UTF-8 PWD=/ ");
    assert_eq!(lines[0].identifier, log_arguments(&query()).join(" "));
    assert!(lines[1].message.starts_with("/dev/null "), "{}", lines[1].message);
    assert!(!lines[1].message.contains("/dev/zero"), "{}", lines[1].message);
    assert_eq!(lines[2].message, "/dev/null");
}

#[tokio::test]
async fn a_failure_has_its_words() {
    let journalctl = Journalctl::new("echo 'Failed to open' >&2; exit 1");
    let error = journalctl.reader().log_lines(&query()).await.unwrap_err();
    assert_eq!(error.to_string(), "journalctl failed: Failed to open");
    // Complaints without end hold up nothing.
    let journalctl = Journalctl::new("exec 1>&-; while echo complaint >&2; do :; done");
    let error = journalctl.reader().log_lines(&query()).await.unwrap_err();
    assert!(matches!(error, ReadError::Failed(_)), "{error:?}");
    let error = JournalReader::with_program("/nonexistent").log_lines(&query()).await.unwrap_err();
    assert!(matches!(error, ReadError::NoJournalctl), "{error:?}");
}

/// More of them than a pipe holds, before the first line and between lines.
#[tokio::test]
async fn complaints_hold_up_no_line() {
    let journalctl = Journalctl::new(
        "warn() { head -c 300000 /dev/zero | tr '\\0' w >&2; }
        echo 'You are currently not seeing messages' >&2
        warn; echo '{\"MESSAGE\":\"one\"}'; warn; echo '{\"MESSAGE\":\"two\"}'",
    );
    let mut stream = journalctl.reader().logs(&query()).unwrap();
    for expected in ["one", "two"] {
        assert_eq!(stream.next().await.unwrap().unwrap().message, expected);
    }
    // The first of them are kept.
    let end = stream.next().await.unwrap_err();
    assert!(matches!(end, ReadError::NotAllowed), "{end:?}");
}

#[tokio::test]
async fn a_follower_gets_lines_as_they_come_and_is_gone_when_dropped() {
    let journalctl =
        Journalctl::new("echo '{\"MESSAGE\":\"one\",\"_PID\":\"'$$'\"}'; exec sleep 1000");
    let mut stream = journalctl.reader().logs(&LogQuery { follow: true, ..query() }).unwrap();
    let line = stream.next().await.unwrap().unwrap();
    assert_eq!(line.message, "one");
    let pid = line.pid.unwrap();
    let stat = format!("/proc/{pid}/stat");
    assert!(Path::new(&stat).exists());
    drop(stream);
    // Killed, and reaped by and by.
    while fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn whoever_may_not_read_the_systems_journal_can_ask_why_nothing_came() {
    for (script, expected) in [
        ("echo '-- No entries --'", "Ok(())"),
        ("echo 'No journal files were found.' >&2", "Ok(())"),
        (
            "echo 'No journal files were opened due to insufficient permissions.' >&2; exit 1",
            "Err(NotAllowed)",
        ),
        // Nothing but that is asked, and of the system's journal.
        (r#"[ "$*" = "--output=json --no-pager --all --system --lines=0" ]"#, "Ok(())"),
    ] {
        let journalctl = Journalctl::new(script);
        let said = journalctl.reader().may_read_system().await;
        assert_eq!(format!("{said:?}"), expected, "{script}");
    }
}
