//! Tests of the table, and of the files that are generated from it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    process::{Command, Stdio},
};

use roxmltree::{Document, Node, ParsingOptions};

use super::{
    ALL_USERS, Action, Arg, AuditField, BUS_NAME, FOLLOW, HELPER_USER, HOW_TO_GENERATE, Interface,
    Kind, MAX_LOG_LINES, Member, NO_BLOCK, OBJECT_PATH, OF_ACTION, OF_LOGS, OF_RUN, RESULT,
    RateClass, STDIN, TABLE, Verb, dbus_policy, introspection, man_page, method,
    polkit::{self, Defaults, Implicit},
    xml::escape,
};
use crate::{
    audit::MESSAGE_IDS,
    committed::assert_committed,
    error::{NAMES, PREFIX},
    record::{
        action_key, finding_key, gpu_key, gpu_process_key, health_key, listed_run_key, run_key,
        service_key,
    },
};

/// The action that no member needs, but what some members are asked for: another's run.
const OF_OTHERS: Action = Action::SandboxCancelOthers;

fn parse(text: &str) -> Document<'_> {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    Document::parse_with_options(text, options).expect("well-formed XML")
}

/// The elements below `node` that are called `tag`.
fn elements<'a>(node: Node<'a, 'a>, tag: &'static str) -> impl Iterator<Item = Node<'a, 'a>> {
    node.descendants().filter(move |node| node.has_tag_name(tag))
}

/// The text of the one element `tag` below `node`.
fn only_text<'a>(node: Node<'a, 'a>, tag: &'static str) -> &'a str {
    let all: Vec<Node> = elements(node, tag).collect();
    assert_eq!(all.len(), 1, "{tag}");
    all[0].text().unwrap_or_default()
}

#[test]
fn the_committed_polkit_policy_is_what_the_table_yields() {
    assert_committed("polkit/org.aictl1.policy", &polkit::policy());
}

#[test]
fn the_committed_bus_policy_is_what_the_table_yields() {
    assert_committed("dbus/org.aictl1.conf", &dbus_policy::policy());
}

#[test]
fn the_committed_introspection_is_what_the_table_yields() {
    assert_committed("dbus/org.aictl1.xml", &introspection::document());
}

#[test]
fn the_committed_manual_page_is_what_the_table_yields() {
    assert_committed("man/org.aictl1.5", &man_page::page());
}

#[test]
fn every_file_says_that_it_is_generated_and_how() {
    let page = man_page::page();
    assert!(page.contains("do not edit") && page.contains(HOW_TO_GENERATE), "{page}");
    for text in [polkit::policy(), dbus_policy::policy(), introspection::document()] {
        let document = parse(&text);
        let comment = document.root().children().find(Node::is_comment).expect("a comment");
        let comment = comment.text().unwrap_or_default();
        assert!(comment.contains("do not edit") && comment.contains(HOW_TO_GENERATE), "{comment}");
    }
}

// The table.

/// The contract, written out a second time: a change here is a change of the interface.
#[test]
fn the_members_are_those_of_the_design() {
    let row = |member: &Member| {
        let types = |args: &[Arg]| args.iter().map(|arg| arg.signature).collect::<String>();
        let (action, verb, rate) = match member.kind {
            Kind::Method(rule) => {
                (rule.action.id(), rule.verb.map_or("-", Verb::name), rule.rate.name())
            }
            Kind::Signal => ("signal", "-", "-"),
        };
        let interface = member.interface.name();
        let (inputs, outputs) = (types(member.inputs), types(member.outputs));
        format!("{interface}.{} ({inputs}) -> ({outputs}) {action} {verb} {rate}", member.name)
    };
    let rows: Vec<String> = TABLE.iter().map(row).collect();
    assert_eq!(
        rows,
        [
            "org.aictl1.Services.List () -> (aa{sv}) org.aictl1.services.read - read",
            "org.aictl1.Services.Get (s) -> (a{sv}) org.aictl1.services.read - read",
            "org.aictl1.Services.Start (stu) -> (a{sv}) org.aictl1.services.control start change",
            "org.aictl1.Services.Stop (stu) -> (a{sv}) org.aictl1.services.control stop change",
            "org.aictl1.Services.Restart (stu) -> (a{sv}) org.aictl1.services.control restart change",
            "org.aictl1.Services.Reload (stu) -> (a{sv}) org.aictl1.services.control reload change",
            "org.aictl1.Services.Enable (stu) -> (a{sv}) org.aictl1.services.enable enable change",
            "org.aictl1.Services.Disable (stu) -> (a{sv}) org.aictl1.services.enable disable change",
            "org.aictl1.Services.Logs (stut) -> (h) org.aictl1.logs.read - read",
            "org.aictl1.Services.Changed (s) -> () signal - -",
            "org.aictl1.Gpu.List () -> (aa{sv}as) org.aictl1.gpu.read - read",
            "org.aictl1.Sandbox.Run (hssass(tttttt)t) -> (shhah) org.aictl1.sandbox.run - run",
            "org.aictl1.Sandbox.Wait (s) -> (a{sv}) org.aictl1.sandbox.run - read",
            "org.aictl1.Sandbox.Cancel (s) -> () org.aictl1.sandbox.run - read",
            "org.aictl1.Sandbox.List (t) -> (aa{sv}) org.aictl1.sandbox.run - read",
            "org.aictl1.Sandbox.Started (s) -> () signal - -",
            "org.aictl1.Sandbox.Ended (s) -> () signal - -",
            "org.aictl1.Manager.Health () -> (a{sv}) org.aictl1.services.read - read",
        ]
    );
}

#[test]
fn the_arguments_are_those_of_the_design() {
    for row in TABLE {
        let names: Vec<&str> = row.inputs.iter().map(|arg| arg.name).collect();
        let expected = match row.name {
            "List" if row.interface == Interface::Sandbox => "flags",
            "List" | "Health" => "",
            "Get" | "Changed" => "service",
            "Run" => "script name runtime arguments profile limits flags",
            "Wait" | "Cancel" | "Started" | "Ended" => "run",
            "Logs" => "service flags lines since_usec",
            _ => "service flags timeout_ms",
        };
        assert_eq!(names.join(" "), expected, "{row:?}");
    }
    for (flag, args) in [(NO_BLOCK, OF_ACTION), (FOLLOW, OF_LOGS)] {
        assert_eq!(args[1].name, "flags");
        assert!(args[1].about.starts_with(&format!("{flag}: ")), "{args:?}");
    }
    assert!(OF_LOGS[2].about.contains(&format!("{MAX_LOG_LINES} at most")));
    let flags = OF_RUN[6].about;
    assert!(flags.starts_with(&format!("{RESULT}: ")), "{flags}");
    assert!(flags.contains(&format!(" {STDIN}: ")), "{flags}");
    let list = TABLE.iter().find(|row| (row.interface, row.name) == (Interface::Sandbox, "List"));
    assert!(list.is_some_and(|row| row.inputs[0].about.starts_with(&format!("{ALL_USERS}: "))));
}

#[test]
fn no_member_has_two_rows() {
    let mut seen = BTreeSet::new();
    for row in TABLE {
        assert!(seen.insert((row.interface, row.name)), "{row:?}");
    }
}

#[test]
fn a_method_is_found_by_its_exact_names_and_nothing_else_is() {
    for row in TABLE {
        assert_eq!(method(row.interface.name(), row.name), row.rule(), "{row:?}");
    }
    assert!(method("org.aictl1.Services", "Start").is_some());
    for (interface, name) in [
        ("", ""),
        ("", "Start"),
        ("org.aictl1.Services", ""),
        ("org.aictl1.Services", "start"),
        ("org.aictl1.Services", "Start "),
        ("org.aictl1.Services", "Start\0"),
        ("org.aictl1.Services", "Changed"),
        ("org.aictl1.Gpu", "Start"),
        ("org.aictl1.Gpu", "Get"),
        ("org.aictl1.Manager", "List"),
        ("org.aictl1.services", "Start"),
        ("org.aictl1", "Services.Start"),
        ("org.freedesktop.DBus.Properties", "Set"),
    ] {
        assert_eq!(method(interface, name), None, "{interface} {name}");
    }
}

#[test]
fn every_action_is_used() {
    for action in Action::ALL {
        let used = TABLE.iter().filter_map(Member::rule).any(|rule| rule.action == action);
        let named = TABLE.iter().any(|row| row.about.contains(action.id()));
        assert!(used != (action == OF_OTHERS) && named == (action == OF_OTHERS), "{action:?}");
    }
}

#[test]
fn verb_action_rate_and_audit_fit_together() {
    for rule in TABLE.iter().filter_map(Member::rule) {
        let looks =
            matches!(rule.action, Action::ServicesRead | Action::LogsRead | Action::GpuRead);
        let runs = rule.action == Action::SandboxRun;
        // To wait for a run, or to end it, costs nothing.
        assert_eq!(looks || runs, rule.rate != RateClass::Change, "{rule:?}");
        assert_eq!(rule.audit.contains(&AuditField::CodeSha256), rule.rate == RateClass::Run);
        assert_eq!(rule.verb.is_some(), rule.audit.contains(&AuditField::Verb), "{rule:?}");
        match rule.verb {
            Some(Verb::Start | Verb::Stop | Verb::Restart | Verb::Reload) => {
                assert_eq!(rule.action, Action::ServicesControl);
            }
            Some(Verb::Enable | Verb::Disable) => assert_eq!(rule.action, Action::ServicesEnable),
            None => assert!(looks || runs, "{rule:?}"),
        }
        let fields: BTreeSet<_> = rule.audit.iter().chain(&AuditField::OF_EVERY_CALL).collect();
        assert_eq!(fields.len(), rule.audit.len() + AuditField::OF_EVERY_CALL.len(), "{rule:?}");
    }
    for verb in Verb::ALL {
        let rows = TABLE.iter().filter_map(Member::rule).filter(|rule| rule.verb == Some(verb));
        assert_eq!(rows.count(), 1, "{verb:?}");
    }
}

#[test]
fn who_names_a_service_is_recorded_with_it() {
    for row in TABLE {
        let Some(rule) = row.rule() else { continue };
        let names_one = row.inputs.iter().any(|arg| arg.name == "service");
        assert_eq!(names_one, rule.audit.contains(&AuditField::Service), "{row:?}");
        assert_eq!(names_one, rule.audit.contains(&AuditField::Unit), "{row:?}");
    }
}

#[test]
fn the_fields_of_every_call_are_those_of_the_design() {
    assert_eq!(
        AuditField::OF_EVERY_CALL.map(AuditField::name),
        [
            "AICTL_REQUEST_ID",
            "AICTL_METHOD",
            "AICTL_CALLER_UID",
            "AICTL_CALLER_PID",
            "AICTL_CALLER_UNIT",
            "AICTL_DECISION",
            "AICTL_RESULT",
            "AICTL_ERROR",
            "AICTL_DURATION_USEC",
        ]
    );
    let of_some: Vec<_> = AuditField::ALL
        .into_iter()
        .filter(|field| !AuditField::OF_EVERY_CALL.contains(field))
        .map(AuditField::name)
        .collect();
    assert_eq!(
        of_some,
        [
            "AICTL_SERVICE",
            "AICTL_UNIT",
            "AICTL_VERB",
            "AICTL_COUNT",
            "AICTL_RUN",
            "AICTL_CODE_SHA256",
            "AICTL_CODE_BYTES",
            "AICTL_PROFILE",
            "AICTL_ARGUMENT_COUNT",
            "AICTL_OUTCOME",
            "AICTL_EXIT_CODE",
            "AICTL_CPU_USEC",
            "AICTL_PEAK_MEMORY",
        ]
    );
}

#[test]
fn words_are_unique_and_of_their_form() {
    let unique = |words: &[&str]| {
        assert_eq!(words.iter().collect::<BTreeSet<_>>().len(), words.len(), "{words:?}");
    };
    unique(&Action::ALL.map(Action::id));
    unique(&Interface::ALL.map(Interface::name));
    unique(&Verb::ALL.map(Verb::name));
    for verb in Verb::ALL {
        assert_eq!(Verb::from_name(verb.name()), Some(verb));
    }
    for word in ["", "Start", "start ", "kill", "mask", "reboot", "exec", "set-property"] {
        assert_eq!(Verb::from_name(word), None, "{word}");
    }
    unique(&RateClass::ALL.map(RateClass::name));
    unique(&AuditField::ALL.map(AuditField::name));
    assert!(AuditField::OF_EVERY_CALL.iter().all(|field| AuditField::ALL.contains(field)));
    for id in Action::ALL.map(Action::id) {
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c);
        assert!(id.starts_with("org.aictl1.") && id.chars().all(good), "{id}");
    }
    for interface in Interface::ALL.map(Interface::name) {
        assert!(interface.starts_with("org.aictl1."), "{interface}");
    }
    assert_eq!(OBJECT_PATH, format!("/{}", BUS_NAME.replace('.', "/")));
}

/// How many bytes the first complete type in `signature` has (D-Bus specification, "Type
/// System"); `None` if there is none.
fn complete_type(signature: &[u8]) -> Option<usize> {
    match signature.first()? {
        b'y' | b'b' | b'n' | b'q' | b'i' | b'u' | b'x' | b't' | b'd' | b's' | b'o' | b'g'
        | b'h' | b'v' => Some(1),
        b'a' if signature.get(1) == Some(&b'{') => {
            let key = signature.get(2).filter(|key| !b"av({".contains(*key))?;
            complete_type(&[*key])?;
            let value = complete_type(&signature[3..])?;
            (signature.get(3 + value) == Some(&b'}')).then_some(4 + value)
        }
        b'a' => Some(1 + complete_type(&signature[1..])?),
        b'(' => {
            let mut length = 1;
            while *signature.get(length)? != b')' {
                length += complete_type(&signature[length..])?;
            }
            (length > 1).then_some(length + 1)
        }
        _ => None,
    }
}

#[test]
fn complete_types_are_told_from_others() {
    for good in ["s", "as", "a{sv}", "aa{sv}", "(su)", "a(sa{us})", "h", "ay"] {
        assert_eq!(complete_type(good.as_bytes()), Some(good.len()), "{good}");
    }
    for bad in ["", "a", "()", "(s", "{sv}", "a{sv", "a{vs}", "a{s}", "a{svs}", "z", "ss"] {
        assert_ne!(complete_type(bad.as_bytes()), Some(bad.len()), "{bad}");
    }
}

#[test]
fn arguments_are_complete_types_and_nothing_that_goes_in_is_free_form() {
    for row in TABLE {
        for arg in row.inputs.iter().chain(row.outputs) {
            let signature = arg.signature;
            assert_eq!(complete_type(signature.as_bytes()), Some(signature.len()), "{row:?}");
            let good = |c: char| c.is_ascii_lowercase() || c == '_';
            assert!(!arg.name.is_empty() && arg.name.chars().all(good), "{row:?}");
            assert!(arg.about.ends_with('.'), "{row:?}");
        }
        for arg in row.inputs {
            let signature = arg.signature;
            assert!(!signature.contains('v'), "{row:?}");
            // What a script is told is for the script alone.
            assert!(!signature.contains("as") || arg.name == "arguments", "{row:?}");
        }
        // Out come records, which may gain keys, sentences, descriptors, or what a run is called.
        for arg in row.outputs {
            assert!(["a{sv}", "aa{sv}", "ah", "as", "h", "s"].contains(&arg.signature), "{row:?}");
        }
        assert!(row.kind != Kind::Signal || row.outputs.is_empty(), "{row:?}");
        assert!(row.about.ends_with('.'), "{row:?}");
    }
}

#[test]
fn a_signal_carries_no_state() {
    // A broadcast asks polkit nothing.
    for row in TABLE.iter().filter(|row| row.kind == Kind::Signal) {
        let names: Vec<&str> = row.inputs.iter().map(|arg| arg.name).collect();
        assert!(names == ["service"] || names == ["run"], "{row:?}");
    }
}

#[test]
fn xml_is_escaped() {
    for (text, escaped) in [
        ("plain $(verb)", "plain $(verb)"),
        ("a & b", "a &amp; b"),
        ("</message>", "&lt;/message&gt;"),
        ("\"'", "&quot;&apos;"),
        ("&lt;", "&amp;lt;"),
    ] {
        assert_eq!(escape(text), escaped);
        let xml = format!("<a b=\"{escaped}\">{escaped}</a>");
        let document = parse(&xml);
        assert_eq!(document.root_element().attribute("b"), Some(text));
        assert_eq!(document.root_element().text(), Some(text));
    }
}

// The manual page.

#[test]
fn the_manual_page_has_an_entry_for_everything_once() {
    let page = man_page::page();
    let entries: Vec<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix(".B \"")?.strip_suffix('"'))
        .map(|tag| tag.replace("\\-", "-"))
        .collect();
    let args = |args: &[Arg]| {
        let args: Vec<_> =
            args.iter().map(|arg| format!("{} {}", arg.signature, arg.name)).collect();
        args.join(", ")
    };
    let mut expected: Vec<String> = TABLE
        .iter()
        .map(|row| match row.kind {
            Kind::Signal => format!("signal {}({})", row.name, args(row.inputs)),
            Kind::Method(_) => {
                format!("{}({}) -> ({})", row.name, args(row.inputs), args(row.outputs))
            }
        })
        .collect();
    let fields = [
        &service_key::FIELDS[..],
        &action_key::FIELDS,
        &gpu_key::FIELDS,
        &gpu_process_key::FIELDS,
        &run_key::FIELDS,
        &finding_key::FIELDS,
        &listed_run_key::FIELDS,
        &health_key::FIELDS,
    ];
    let keys = fields.iter().copied().flatten();
    expected.extend(keys.map(|field| format!("{} ({})", field.key, field.signature)));
    expected.extend(NAMES.map(|name| format!("{PREFIX}{name}")));
    expected.extend(Action::ALL.map(|action| action.id().to_owned()));
    expected.extend(MESSAGE_IDS.map(str::to_owned));
    expected.extend(AuditField::ALL.map(|field| field.name().to_owned()));
    assert_eq!(entries, expected);
    // Every line is a request that is known or begins as no request does.
    for line in page.lines().filter(|line| line.starts_with(['.', '\''])) {
        let request = line.split(' ').next().unwrap_or_default();
        assert!(
            [".\\\"", ".TH", ".SH", ".SS", ".TP", ".B", ".PP", ".br", ".EX", ".EE"]
                .contains(&request),
            "{line}"
        );
    }
}

#[test]
fn the_manual_page_is_set_without_a_warning() {
    let groff = Command::new("groff")
        .args(["-man", "-Tutf8", "-ww", "-z"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut groff = match groff {
        Ok(groff) => groff,
        Err(error) => return eprintln!("not run: groff cannot be run: {error}"),
    };
    groff.stdin.take().expect("a pipe").write_all(man_page::page().as_bytes()).expect("a reader");
    let output = groff.wait_with_output().expect("an end");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

// polkit.

#[test]
fn the_defaults_are_those_of_the_design() {
    use Implicit::{AuthAdmin as Admin, AuthAdminKeep as Keep, Yes};
    for (action, any, inactive, active) in [
        (Action::ServicesRead, Yes, Yes, Yes),
        (Action::ServicesControl, Admin, Admin, Keep),
        (Action::ServicesEnable, Admin, Admin, Admin),
        (Action::LogsRead, Admin, Admin, Keep),
        (Action::GpuRead, Yes, Yes, Yes),
        (Action::SandboxRun, Admin, Admin, Yes),
        (Action::SandboxCancelOthers, Admin, Admin, Admin),
    ] {
        assert_eq!(polkit::defaults(action), Defaults { any, inactive, active }, "{action:?}");
    }
}

#[test]
fn the_polkit_policy_has_every_action_once_as_the_table_has_it() {
    let text = polkit::policy();
    let document = parse(&text);
    let actions: Vec<Node> = elements(document.root_element(), "action").collect();
    let ids: Vec<_> = actions.iter().filter_map(|node| node.attribute("id")).collect();
    assert_eq!(ids, Action::ALL.map(Action::id));
    for (node, action) in actions.into_iter().zip(Action::ALL) {
        assert_eq!(only_text(node, "description"), polkit::description(action));
        assert_eq!(only_text(node, "message"), polkit::message(action));
        let Defaults { any, inactive, active } = polkit::defaults(action);
        assert_eq!(only_text(node, "allow_any"), any.name());
        assert_eq!(only_text(node, "allow_inactive"), inactive.name());
        assert_eq!(only_text(node, "allow_active"), active.name());
        let annotations: Vec<_> =
            elements(node, "annotate").map(|node| (node.attribute("key"), node.text())).collect();
        let owner = format!("unix-user:{HELPER_USER}");
        assert_eq!(annotations, [(Some("org.freedesktop.policykit.owner"), Some(owner.as_str()))]);
    }
}

#[test]
fn a_message_holds_only_details_that_every_call_gives() {
    for action in Action::ALL {
        let message = polkit::message(action);
        let rules: Vec<_> =
            TABLE.iter().filter_map(Member::rule).filter(|rule| rule.action == action).collect();
        for placeholder in message.split("$(").skip(1) {
            let key = placeholder.split_once(')').map(|(key, _)| key).expect("a closed bracket");
            assert!(!rules.is_empty(), "{message}");
            for rule in &rules {
                let given = rule.audit.iter().filter_map(|field| polkit::detail(*field));
                assert!(given.into_iter().any(|detail| detail == key), "{message}: {rule:?}");
            }
        }
        assert!(message.ends_with('.') && message.starts_with("Authentication is required to "));
        assert!(!polkit::description(action).ends_with('.'), "{action:?}");
    }
}

// Introspection.

#[test]
fn the_introspection_has_every_member_once_as_the_table_has_it() {
    let text = introspection::document();
    let document = parse(&text);
    assert_eq!(document.root_element().attribute("name"), Some(OBJECT_PATH));
    let mut left: BTreeMap<_, &Member> =
        TABLE.iter().map(|row| ((row.interface.name(), row.name), row)).collect();
    for interface in elements(document.root_element(), "interface") {
        let interface_name = interface.attribute("name").unwrap_or_default();
        for node in interface.children().filter(Node::is_element) {
            let name = node.attribute("name").unwrap_or_default();
            let row = left.remove(&(interface_name, name)).expect("one row for each member");
            let documentation = |node: Node<'_, '_>| {
                let mut all = node.children().filter(|node| node.has_tag_name("annotation"));
                let of_node = all.find(|annotation| {
                    annotation.attribute("name") == Some(introspection::DOC_STRING)
                });
                of_node.and_then(|node| node.attribute("value")).map(str::to_owned)
            };
            let args = |direction: Option<&str>, expected: &[Arg]| {
                let written: Vec<_> = node
                    .children()
                    .filter(|arg| arg.has_tag_name("arg"))
                    .filter(|arg| arg.attribute("direction") == direction)
                    .map(|arg| (arg.attribute("name"), arg.attribute("type"), documentation(arg)))
                    .collect();
                let expected: Vec<_> = expected
                    .iter()
                    .map(|arg| (Some(arg.name), Some(arg.signature), Some(arg.about.to_owned())))
                    .collect();
                assert_eq!(written, expected, "{row:?}");
            };
            let annotation = |name: &str| {
                elements(node, "annotation")
                    .find(|node| node.attribute("name") == Some(name))
                    .and_then(|node| node.attribute("value"))
            };
            assert_eq!(documentation(node).as_deref(), Some(row.about));
            let rule = row.rule();
            assert_eq!(node.tag_name().name(), if rule.is_some() { "method" } else { "signal" });
            assert_eq!(annotation(introspection::POLKIT_ACTION), rule.map(|rule| rule.action.id()));
            let verb = rule.and_then(|rule| rule.verb).map(Verb::name);
            assert_eq!(annotation(introspection::VERB), verb);
            let rate = rule.map(|rule| rule.rate.name());
            assert_eq!(annotation(introspection::RATE_CLASS), rate);
            args(rule.map(|_| "in"), row.inputs);
            args(Some("out"), row.outputs);
        }
    }
    assert!(left.is_empty(), "{left:?}");
}

// The policy of the bus.

/// What is wrong with a policy of the system bus, if anything is.
fn lint(text: &str) -> Vec<String> {
    let document = parse(text);
    let mut faults = Vec::new();
    let rules = document
        .descendants()
        .filter(|node| node.has_tag_name("allow") || node.has_tag_name("deny"));
    for rule in rules {
        let mut fault = |what: &str| faults.push(format!("{what}: {rule:?}"));
        let allows = rule.has_tag_name("allow");
        let sends = rule.attributes().any(|attribute| attribute.name().starts_with("send_"));
        let owns = rule.has_attribute("own") || rule.has_attribute("own_prefix");
        let policy = rule.parent().expect("a rule has a parent");
        if rule.attributes().any(|attribute| attribute.value().contains('*')) {
            fault("a wildcard");
        }
        // Such a rule is for every service there is: good for denying the helper all, and for
        // nothing else.
        let of_helper = policy.attribute("user") == Some(HELPER_USER);
        let denies_helper = !allows && of_helper && rule.attributes().len() == 1;
        if sends && !rule.has_attribute("send_destination") && !denies_helper {
            fault("no send_destination");
        }
        if sends && rule.attribute("send_type") != Some("method_call") {
            fault("not for calls only");
        }
        if allows && sends {
            if !rule.has_attribute("send_interface") || !rule.has_attribute("send_member") {
                fault("more than one member allowed");
            }
            if rule.attribute("send_interface") == Some("org.freedesktop.DBus.Properties")
                && !["Get", "GetAll"].map(Some).contains(&rule.attribute("send_member"))
            {
                fault("a property can be set");
            }
        }
        if allows && owns {
            if policy.attribute("user") != Some(HELPER_USER) {
                fault("a name for others than the helper");
            }
            if rule.attribute("own") != Some(BUS_NAME) {
                fault("a name that is not the helper's");
            }
        }
        if !sends && !owns {
            fault("neither sends nor owns");
        }
    }
    faults
}

#[test]
fn the_bus_policy_has_no_fault() {
    assert_eq!(lint(&dbus_policy::policy()), Vec::<String>::new());
}

#[test]
fn the_lint_finds_each_fault() {
    let call = "send_type='method_call'";
    let default = "context='default'";
    for (policy, rule, fault) in [
        (default, format!("<allow send_interface='a.b' send_member='C' {call}/>"), "no send_dest"),
        (default, format!("<deny send_interface='a.b' {call}/>"), "no send_destination"),
        (default, format!("<deny {call}/>"), "no send_destination"),
        ("user='root'", format!("<deny {call}/>"), "no send_destination"),
        ("user='aictl'", format!("<allow {call}/>"), "no send_destination"),
        ("user='aictl'", format!("<deny {call} send_member='A'/>"), "no send_destination"),
        (default, "<deny send_destination='org.aictl1'/>".to_owned(), "not for calls only"),
        (
            default,
            format!("<allow send_destination='*' send_interface='a.b' send_member='C' {call}/>"),
            "a wildcard",
        ),
        (default, format!("<allow send_destination='org.aictl1' {call}/>"), "more than one"),
        (
            default,
            format!("<allow send_destination='org.aictl1' send_interface='a.b' {call}/>"),
            "more than one",
        ),
        (
            default,
            format!(
                "<allow send_destination='org.aictl1' send_member='Set' {call} \
                 send_interface='org.freedesktop.DBus.Properties'/>"
            ),
            "a property can be set",
        ),
        (default, "<allow own='org.aictl1'/>".to_owned(), "for others than the helper"),
        ("user='root'", "<allow own='org.aictl1'/>".to_owned(), "for others than the helper"),
        ("user='aictl'", "<allow own='*'/>".to_owned(), "a wildcard"),
        ("user='aictl'", "<allow own='org.aictl2'/>".to_owned(), "not the helper's"),
        ("user='aictl'", "<allow own_prefix='org.aictl1'/>".to_owned(), "not the helper's"),
        (default, "<allow eavesdrop='true'/>".to_owned(), "neither sends nor owns"),
    ] {
        let text = format!("<busconfig><policy {policy}>{rule}</policy></busconfig>");
        let faults = lint(&text);
        assert!(faults.iter().any(|found| found.contains(fault)), "{rule}: {faults:?}");
    }
}

/// The calls to `destination` that the policies with `attribute` = `value` allow.
fn allowed(text: &str, attribute: &str, value: &str, destination: &str) -> Vec<(String, String)> {
    let document = parse(text);
    elements(document.root_element(), "policy")
        .filter(|policy| policy.attribute(attribute) == Some(value))
        .flat_map(|policy| elements(policy, "allow").collect::<Vec<_>>())
        .filter(|rule| rule.attribute("send_destination") == Some(destination))
        .map(|rule| {
            let field = |name| rule.attribute(name).unwrap_or_default().to_owned();
            (field("send_interface"), field("send_member"))
        })
        .collect()
}

#[test]
fn callers_may_call_the_methods_of_the_table_and_what_every_object_answers() {
    let mut allowed = allowed(&dbus_policy::policy(), "context", "default", BUS_NAME);
    allowed.sort();
    let standard = [
        ("org.freedesktop.DBus.Introspectable", "Introspect"),
        ("org.freedesktop.DBus.Peer", "GetMachineId"),
        ("org.freedesktop.DBus.Peer", "Ping"),
        ("org.freedesktop.DBus.Properties", "Get"),
        ("org.freedesktop.DBus.Properties", "GetAll"),
    ];
    let methods = TABLE.iter().filter(|row| row.rule().is_some());
    let mut expected: Vec<_> = methods
        .map(|row| (row.interface.name(), row.name))
        .chain(standard)
        .map(|(interface, name)| (interface.to_owned(), name.to_owned()))
        .collect();
    expected.sort();
    assert_eq!(allowed, expected);
}

#[test]
fn members_of_the_table_are_allowed_on_the_one_object_only() {
    let text = dbus_policy::policy();
    let document = parse(&text);
    let rules = elements(document.root_element(), "allow").filter(|rule| {
        let interface = rule.attribute("send_interface").unwrap_or_default();
        Interface::ALL.iter().any(|own| own.name() == interface)
    });
    for rule in rules {
        assert_eq!(rule.attribute("send_path"), Some(OBJECT_PATH), "{rule:?}");
    }
}

#[test]
fn the_helper_may_ask_of_others_only_what_it_is_for() {
    let text = dbus_policy::policy();
    let manager = "org.freedesktop.systemd1.Manager";
    let authority = "org.freedesktop.PolicyKit1.Authority";
    let properties = "org.freedesktop.DBus.Properties";
    let bus = "org.freedesktop.DBus";
    let table = [
        (
            "org.freedesktop.systemd1",
            vec![
                (properties, "Get"),
                (properties, "GetAll"),
                (manager, "GetUnitByPID"),
                (manager, "ListUnitsByNames"),
                (manager, "LoadUnit"),
                (manager, "ReloadUnit"),
                (manager, "RestartUnit"),
                (manager, "StartUnit"),
                (manager, "StopUnit"),
                (manager, "Subscribe"),
            ],
        ),
        (
            "org.freedesktop.PolicyKit1",
            vec![
                (properties, "Get"),
                (properties, "GetAll"),
                (authority, "CancelCheckAuthorization"),
                (authority, "CheckAuthorization"),
            ],
        ),
        (
            bus,
            vec![
                (bus, "AddMatch"),
                (bus, "GetConnectionCredentials"),
                (bus, "GetConnectionUnixProcessID"),
                (bus, "GetConnectionUnixUser"),
                (bus, "GetNameOwner"),
                (bus, "Hello"),
                (bus, "NameHasOwner"),
                (bus, "ReleaseName"),
                (bus, "RemoveMatch"),
                (bus, "RequestName"),
            ],
        ),
    ];
    let mut all = 0;
    for (destination, expected) in table {
        let mut allowed = allowed(&text, "user", HELPER_USER, destination);
        allowed.sort();
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(interface, name)| (interface.to_owned(), name.to_owned()))
            .collect();
        assert_eq!(allowed, expected, "{destination}");
        all += expected.len();
    }
    // And nothing of anyone else.
    let document = parse(&text);
    let policy = elements(document.root_element(), "policy")
        .find(|policy| policy.attribute("user") == Some(HELPER_USER))
        .expect("a policy for the helper");
    let sends = elements(policy, "allow").filter(|rule| !rule.has_attribute("own"));
    assert_eq!(sends.count(), all);
}

#[test]
fn each_policy_of_the_bus_denies_before_it_allows() {
    let text = dbus_policy::policy();
    let document = parse(&text);
    let mut contexts = Vec::new();
    for policy in elements(document.root_element(), "policy") {
        contexts.push((policy.attribute("context"), policy.attribute("user")));
        let rules: Vec<Node> = policy.children().filter(Node::is_element).collect();
        // The last rule that matches counts: a denial after an allowance would take it back, and
        // one that names more than a destination would leave gaps.
        let denied: BTreeSet<_> = rules
            .iter()
            .filter(|rule| rule.has_tag_name("deny") && !rule.has_attribute("own_prefix"))
            .map(|rule| {
                let names: BTreeSet<_> =
                    rule.attributes().map(|attribute| attribute.name()).collect();
                assert!(names.is_subset(&BTreeSet::from(["send_destination", "send_type"])));
                rule.attribute("send_destination")
            })
            .collect();
        let first_send = rules
            .iter()
            .position(|rule| rule.has_tag_name("allow") && rule.has_attribute("send_destination"));
        let last_denial = rules.iter().rposition(|rule| rule.has_tag_name("deny"));
        assert!(last_denial < first_send, "{rules:?}");
        for rule in rules.iter().filter(|rule| rule.has_tag_name("allow")) {
            let destination = rule.attribute("send_destination");
            let is_denied = denied.contains(&destination) || denied.contains(&None);
            assert!(rule.has_attribute("own") || is_denied, "{rule:?}");
        }
    }
    assert_eq!(contexts, [(Some("default"), None), (None, Some(HELPER_USER))]);
    let first = document.descendants().find(|node| node.has_tag_name("deny")).expect("a denial");
    assert_eq!(first.attribute("own_prefix"), Some(BUS_NAME));
}
