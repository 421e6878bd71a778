//! The introspection document of the helper's object (D-Bus specification, "Introspection Data
//! Format"), with what a call needs as annotations.

use super::{
    Arg, Interface, Kind, Member, OBJECT_PATH, TABLE,
    xml::{escape, prolog},
};

/// The annotation with the text that documents a member or an argument; known to many tools.
pub const DOC_STRING: &str = "org.gtk.GDBus.DocString";
/// The annotation with the polkit action that a method needs.
pub const POLKIT_ACTION: &str = "org.aictl1.PolkitAction";
/// The annotation with what a method does to a unit.
pub const VERB: &str = "org.aictl1.Verb";
/// The annotation with the class of a method's rate limit.
pub const RATE_CLASS: &str = "org.aictl1.RateClass";

/// The document, to be installed as /usr/share/dbus-1/interfaces/org.aictl1.xml. An interface
/// without a member is left out.
#[must_use]
pub fn document() -> String {
    let mut text = prolog(
        "The D-Bus interface of aictl.",
        "node PUBLIC \"-//freedesktop//DTD D-BUS Object Introspection 1.0//EN\"\n  \
         \"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd\"",
    );
    text += &format!("<node name=\"{OBJECT_PATH}\">\n");
    for interface in Interface::ALL {
        let members: String =
            TABLE.iter().filter(|row| row.interface == interface).map(element).collect();
        if !members.is_empty() {
            text +=
                &format!("  <interface name=\"{}\">\n{members}  </interface>\n", interface.name());
        }
    }
    text + "</node>\n"
}

fn element(member: &Member) -> String {
    let annotation = |name: &str, value: &str| {
        format!("      <annotation name=\"{name}\" value=\"{}\"/>\n", escape(value))
    };
    let argument = |arg: &Arg, direction: &str| {
        format!(
            "      <arg name=\"{}\" type=\"{}\"{direction}>\n  {}      </arg>\n",
            arg.name,
            arg.signature,
            annotation(DOC_STRING, arg.about)
        )
    };
    let (tag, way_in) = match member.kind {
        Kind::Method(_) => ("method", " direction=\"in\""),
        Kind::Signal => ("signal", ""),
    };
    // The document type has the arguments first.
    let mut body = String::new();
    body.extend(member.inputs.iter().map(|arg| argument(arg, way_in)));
    body.extend(member.outputs.iter().map(|arg| argument(arg, " direction=\"out\"")));
    body += &annotation(DOC_STRING, member.about);
    if let Some(rule) = member.rule() {
        body += &annotation(POLKIT_ACTION, rule.action.id());
        if let Some(verb) = rule.verb {
            body += &annotation(VERB, verb.name());
        }
        body += &annotation(RATE_CLASS, rule.rate.name());
    }
    format!("    <{tag} name=\"{}\">\n{body}    </{tag}>\n", member.name)
}
