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
        Field, action_key, gpu_key, gpu_process_key, health_key, listed_run_key, run_key,
        service_key,
    },
    run,
};

/// The page, to be installed as /usr/share/man/man5/org.aictl1.5.
#[must_use]
pub fn page() -> String {
    let mut page = Page(format!(
        ".\\\" Generated from crates/aictl-api/src/authorisation.rs; do not edit. To make it anew:\n\
         .\\\" {HOW_TO_GENERATE}\n\
         .TH ORG.AICTL1 5 \"\" \"aictl\" \"D-Bus interface\"\n"
    ));
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
    for interface in Interface::ALL {
        let members: Vec<_> = TABLE.iter().filter(|row| row.interface == interface).collect();
        if !members.is_empty() {
            page.section(interface.name());
            members.into_iter().for_each(|row| page.member(row));
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
    page.section("SEE ALSO");
    page.text("aictl(1), polkit(8), systemd.journal-fields(7), org.freedesktop.systemd1(5)");
    page.0
}

/// A page in the making (man(7)).
struct Page(String);

impl Page {
    fn section(&mut self, title: &str) {
        self.0 += &format!(".SH {}\n", quoted(title));
    }

    fn subsection(&mut self, title: &str) {
        self.0 += &format!(".SS {}\n", quoted(title));
    }

    fn text(&mut self, text: &str) {
        self.0 += &format!("{}\n", escape(text));
    }

    fn paragraph(&mut self, text: &str) {
        self.0 += ".PP\n";
        self.text(text);
    }

    fn item(&mut self, tag: &str, text: &str) {
        self.0 += &format!(".TP\n.B {}\n", quoted(tag));
        self.text(text);
    }

    fn member(&mut self, member: &Member) {
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
        self.item(&name, member.about);
        for arg in member.inputs.iter().chain(member.outputs) {
            self.0 += ".br\n";
            self.text(&format!("{}: {}", arg.name, arg.about));
        }
        if let Some(rule) = member.rule() {
            self.0 += ".br\n";
            self.text(&format!(
                "polkit action {}; rate class {}.",
                rule.action.id(),
                rule.rate.name()
            ));
        }
    }
}

/// `text` as an argument of a request.
fn quoted(text: &str) -> String {
    format!("\"{}\"", escape(text).replace('"', "\\(dq"))
}

/// `text` as it stands in a page (groff_char(7)): nothing in it is a request or an escape.
fn escape(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-");
    if escaped.starts_with(['.', '\'']) { format!("\\&{escaped}") } else { escaped }
}
