//! The manual page of the helper's interface, org.aictl1(5): the table for those who write
//! clients.

use super::{
    Action, Arg, AuditField, BUS_NAME, Interface, Kind, Member, OBJECT_PATH, TABLE, polkit,
    xml::HOW_TO_GENERATE,
};
use crate::{
    audit::{Decision, KINDS, MESSAGE_IDS, Outcome},
    error::{MEANINGS, NAMES, PREFIX},
    record::{
        Field, action_key, finding_key, gpu_key, gpu_process_key, health_key, listed_run_key,
        run_key, service_key,
    },
    roff::Page,
    run,
};

/// The page, to be installed as /usr/share/man/man5/org.aictl1.5.
#[must_use]
pub fn page() -> String {
    let source = "crates/aictl-api/src/authorisation.rs";
    let mut page = Page::generated(source, HOW_TO_GENERATE, BUS_NAME, 5, "D-Bus interface");
    page.section("NAME");
    page.text(&format!("{BUS_NAME} - the D-Bus interface of aictl's helper"));
    page.section("DESCRIPTION");
    page.text(&format!(
        "The helper aictld owns the name {BUS_NAME} on the system bus, is started by a call to it, \
         and offers one object, {OBJECT_PATH}. It answers Introspect, Ping and GetMachineId as \
         every object does; it has no properties. Whatever is not listed here is refused."
    ));
    page.paragraph(
        "A call is counted against the caller's limits, its arguments are checked, polkit is asked \
         about the caller, and the call is recorded in the journal; if it cannot be, it is refused. \
         polkit asks the user only where the message has the flag ALLOW_INTERACTIVE_AUTHORIZATION. \
         A caller that disconnects cancels its call.",
    );
    page.paragraph(
        "Signals are sent to all who listen, while the helper runs. It ends when nobody has called \
         it for helper.idle-timeout (aictl.toml(5)): who wants to miss none calls it more often \
         than that.",
    );
    page.paragraph(
        "The same interface is there without a bus, peer to peer, on the socket /run/aictl/bus. \
         There are no signals, and a call that needs more than polkit allows everybody is refused \
         where the kernel or polkit cannot tell by a pidfd who is at the other end.",
    );
    for interface in Interface::ALL {
        let members: Vec<_> = TABLE.iter().filter(|row| row.interface == interface).collect();
        if !members.is_empty() {
            page.section(interface.name());
            members.into_iter().for_each(|row| member(&mut page, row));
        }
    }
    page.section("RECORDS");
    page.text("Keys of the records that come out; a client ignores those that it does not know.");
    for (title, fields) in [
        ("A service, of Services.List and Get", &service_key::FIELDS[..]),
        ("An action, of Start and its like", &action_key::FIELDS),
        ("A GPU, of Gpu.List", &gpu_key::FIELDS),
        ("A process on a GPU", &gpu_process_key::FIELDS),
        ("A run, of Sandbox.Wait", &run_key::FIELDS),
        ("A reason why a run was refused", &finding_key::FIELDS),
        ("A run that has not ended, of Sandbox.List", &listed_run_key::FIELDS),
        ("The helper, of Health", &health_key::FIELDS),
    ] {
        page.subsection(title);
        for Field { key, signature, about } in fields {
            page.item(&format!("{key} ({signature})"), about);
        }
    }
    page.section("ERRORS");
    page.text(&format!(
        "The body is (s message), for the user; of {PREFIX}LimitExceeded, (s message, t \
         retry_after_usec)."
    ));
    for (name, meaning) in NAMES.iter().zip(MEANINGS) {
        page.item(&format!("{PREFIX}{name}"), meaning);
    }
    page.section("POLKIT ACTIONS");
    page.text("With what holds by default: for anyone, in an inactive session, in an active one.");
    for action in Action::ALL {
        let polkit::Defaults { any, inactive, active } = polkit::defaults(action);
        page.item(
            action.id(),
            &format!(
                "{}: {}, {}, {}.",
                polkit::description(action),
                any.name(),
                inactive.name(),
                active.name()
            ),
        );
    }
    page.section("AUDIT RECORDS");
    page.text("The kinds of records in the journal, by MESSAGE_ID:");
    for (id, kind) in MESSAGE_IDS.iter().zip(KINDS) {
        page.item(id, kind);
    }
    page.paragraph("Their fields; which of them a record has, depends on the call:");
    for field in AuditField::ALL {
        let words = match field {
            AuditField::Decision => Decision::ALL.map(Decision::name).join(", "),
            AuditField::Result => Outcome::ALL.map(Outcome::name).join(", "),
            AuditField::Outcome => run::Outcome::ALL.map(run::Outcome::name).join(", "),
            _ => String::new(),
        };
        let words = if words.is_empty() { words } else { format!(" One of {words}.") };
        page.item(field.name(), &format!("{}{words}", field.about()));
    }
    page.section("FILES");
    page.text(
        "/usr/share/dbus-1/interfaces/org.aictl1.xml: the interface for programs, as Introspect \
         answers it.",
    );
    page.section("EXAMPLES");
    page.text("Every method that busctl can call, and the signals:");
    let examples = examples();
    page.example(examples.iter().map(String::as_str));
    page.paragraph(
        "Run takes and gives descriptors, and Wait and Cancel are for the connection that called \
         it, which busctl is not. A program that does it in Python is in \
         /usr/share/doc/aictl/examples.",
    );
    page.section("SEE ALSO");
    page.text(
        "aictl(1), aictl.toml(5), aictld(8), polkit(8), busctl(1), systemd.journal-fields(7), \
         org.freedesktop.systemd1(5)",
    );
    page.into_text()
}

/// A command line for each method whose arguments are plain values, and one that shows signals.
fn examples() -> Vec<String> {
    let value = |arg: &Arg| match arg.name {
        "service" => Some("ollama"),
        "lines" => Some("10"),
        "flags" | "timeout_ms" | "since_usec" => Some("0"),
        _ => None,
    };
    let methods = TABLE.iter().filter(|row| row.rule().is_some()).filter_map(|row| {
        let values: Option<Vec<_>> = row.inputs.iter().map(value).collect();
        let signature: String = row.inputs.iter().map(|arg| arg.signature).collect();
        let (interface, name) = (row.interface.name(), row.name);
        let line = format!("busctl call {BUS_NAME} {OBJECT_PATH} {interface} {name}");
        let words = [vec![line, signature], values?.into_iter().map(str::to_owned).collect()];
        Some(words.concat().join(" ").trim_end().to_owned())
    });
    let signals = format!("gdbus monitor --system --dest {BUS_NAME} --object-path {OBJECT_PATH}");
    methods.chain([signals]).collect()
}

fn member(page: &mut Page, member: &Member) {
    let list = |args: &[Arg]| {
        let list: Vec<_> =
            args.iter().map(|arg| format!("{} {}", arg.signature, arg.name)).collect();
        format!("({})", list.join(", "))
    };
    let name = match member.kind {
        Kind::Method(_) => {
            let (inputs, outputs) = (list(member.inputs), list(member.outputs));
            format!("{}{inputs} -> {outputs}", member.name)
        }
        Kind::Signal => format!("signal {}{}", member.name, list(member.inputs)),
    };
    page.item(&name, member.about);
    for arg in member.inputs.iter().chain(member.outputs) {
        page.line(&format!("{}: {}", arg.name, arg.about));
    }
    if let Some(rule) = member.rule() {
        let (action, rate) = (rule.action.id(), rule.rate.name());
        page.line(&format!("polkit action {action}; rate class {rate}."));
    }
}
