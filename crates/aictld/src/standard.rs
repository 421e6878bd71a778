//! What every object on a bus answers (D-Bus specification, "Standard Interfaces"): Introspectable,
//! Peer and Properties. The helper has no properties, so that nothing can be read or set by them.

use std::{collections::HashMap, fs};

use aictl_api::authorisation::{OBJECT_PATH, TABLE, introspection};
use zbus::{Message, OwnedVariant};

use crate::{answer::Answer, call::MAX_BODY};

const INTROSPECTABLE: &str = "org.freedesktop.DBus.Introspectable";
const PEER: &str = "org.freedesktop.DBus.Peer";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// Where the machine's identifier stands (machine-id(5)).
const MACHINE_ID: &str = "/etc/machine-id";

/// A method that every object has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standard {
    /// The document of an object.
    Introspect,
    /// Nothing but an answer.
    Ping,
    /// The machine's identifier.
    GetMachineId,
    /// A property.
    Get,
    /// All properties of an interface.
    GetAll,
    /// To set a property.
    Set,
}

/// An error that the D-Bus specification names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StandardError {
    /// No object at the path.
    UnknownObject,
    /// The object has no such interface.
    UnknownInterface,
    /// The interface has no such method.
    UnknownMethod,
    /// The interface has no such property.
    UnknownProperty,
    /// No property can be set.
    PropertyReadOnly,
    /// The arguments are of another type.
    InvalidArgs,
    /// The machine has no identifier.
    Failed,
}

impl StandardError {
    /// The error's name on the bus.
    #[must_use]
    pub const fn dbus_name(self) -> &'static str {
        match self {
            Self::UnknownObject => "org.freedesktop.DBus.Error.UnknownObject",
            Self::UnknownInterface => "org.freedesktop.DBus.Error.UnknownInterface",
            Self::UnknownMethod => "org.freedesktop.DBus.Error.UnknownMethod",
            Self::UnknownProperty => "org.freedesktop.DBus.Error.UnknownProperty",
            Self::PropertyReadOnly => "org.freedesktop.DBus.Error.PropertyReadOnly",
            Self::InvalidArgs => "org.freedesktop.DBus.Error.InvalidArgs",
            Self::Failed => "org.freedesktop.DBus.Error.Failed",
        }
    }

    /// The words for the user.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::UnknownObject => "there is one object only, /org/aictl1",
            Self::UnknownInterface => "the object has no such interface; Introspect names them",
            Self::UnknownMethod => "there is no such method; Introspect names those that there are",
            Self::UnknownProperty => "there are no properties",
            Self::PropertyReadOnly => "no property can be set",
            Self::InvalidArgs => "the arguments are of another type",
            Self::Failed => "this machine has no identifier",
        }
    }
}

impl Standard {
    /// The standard method with this name.
    #[must_use]
    pub fn find(interface: &str, member: &str) -> Option<Self> {
        Some(match (interface, member) {
            (INTROSPECTABLE, "Introspect") => Self::Introspect,
            (PEER, "Ping") => Self::Ping,
            (PEER, "GetMachineId") => Self::GetMachineId,
            (PROPERTIES, "Get") => Self::Get,
            (PROPERTIES, "GetAll") => Self::GetAll,
            (PROPERTIES, "Set") => Self::Set,
            _ => return None,
        })
    }

    /// Whether there is something to call at `path`. Peer is about the process, whatever the path.
    #[must_use]
    pub fn is_offered_at(self, path: &str) -> bool {
        match self {
            Self::Ping | Self::GetMachineId => true,
            Self::Introspect => child(path).is_some() || path == OBJECT_PATH,
            Self::Get | Self::GetAll | Self::Set => path == OBJECT_PATH,
        }
    }

    /// Answers a call.
    ///
    /// # Errors
    /// If the arguments are wrong, or there is nothing to answer with.
    pub fn answer(self, message: &Message) -> Result<Answer, StandardError> {
        let body = message.body();
        let expected = match self {
            Self::Introspect | Self::Ping | Self::GetMachineId => "",
            Self::Get => "ss",
            Self::GetAll => "s",
            // Nothing is looked at: it is refused whatever it holds.
            Self::Set => return Err(StandardError::PropertyReadOnly),
        };
        if body.len() > MAX_BODY || body.signature().to_string_no_parens() != expected {
            return Err(StandardError::InvalidArgs);
        }
        match self {
            Self::Introspect => {
                let header = message.header();
                let path = header.path().map_or("", |path| path.as_str());
                Ok(Answer::Text(child(path).map_or_else(introspect, node)))
            }
            Self::Ping => Ok(Answer::Nothing),
            Self::GetMachineId => fs::read_to_string(MACHINE_ID)
                .map(|id| Answer::Text(id.trim_end().to_owned()))
                .map_err(|_| StandardError::Failed),
            Self::Get => {
                let (interface, _): (&str, &str) =
                    body.deserialize().map_err(|_| StandardError::InvalidArgs)?;
                known(interface).and(Err(StandardError::UnknownProperty))
            }
            Self::GetAll => {
                let (interface,): (&str,) =
                    body.deserialize().map_err(|_| StandardError::InvalidArgs)?;
                known(interface)?;
                Ok(Answer::Record(HashMap::<String, OwnedVariant>::new()))
            }
            Self::Set => Err(StandardError::PropertyReadOnly),
        }
    }
}

/// Whether the object has the interface; the empty name stands for all of them.
fn known(interface: &str) -> Result<(), StandardError> {
    let mut ours = TABLE.iter().map(|row| row.interface.name());
    let of_ours = interface.is_empty() || ours.any(|name| name == interface);
    if of_ours || [INTROSPECTABLE, PEER, PROPERTIES].contains(&interface) {
        Ok(())
    } else {
        Err(StandardError::UnknownInterface)
    }
}

/// The node below `path` on the way to the object; `None` where there is none.
fn child(path: &str) -> Option<&'static str> {
    match path {
        "/" => Some("org"),
        "/org" => Some("aictl1"),
        _ => None,
    }
}

fn node(child: &str) -> String {
    format!(
        "<!DOCTYPE node PUBLIC \"-//freedesktop//DTD D-BUS Object Introspection 1.0//EN\"\n  \
         \"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd\">\n\
         <node>\n  <node name=\"{child}\"/>\n</node>\n"
    )
}

/// The installed document with the standard interfaces, which every object has.
#[must_use]
pub fn introspect() -> String {
    let document = introspection::document();
    let end = document.rfind("</node>").unwrap_or(document.len());
    let (head, tail) = document.split_at(end);
    format!("{head}{INTERFACES}{tail}")
}

/// The standard interfaces, as the specification describes them.
const INTERFACES: &str = r#"  <interface name="org.freedesktop.DBus.Introspectable">
    <method name="Introspect">
      <arg name="xml_data" type="s" direction="out"/>
    </method>
  </interface>
  <interface name="org.freedesktop.DBus.Peer">
    <method name="Ping"/>
    <method name="GetMachineId">
      <arg name="machine_uuid" type="s" direction="out"/>
    </method>
  </interface>
  <interface name="org.freedesktop.DBus.Properties">
    <method name="Get">
      <arg name="interface_name" type="s" direction="in"/>
      <arg name="property_name" type="s" direction="in"/>
      <arg name="value" type="v" direction="out"/>
    </method>
    <method name="GetAll">
      <arg name="interface_name" type="s" direction="in"/>
      <arg name="props" type="a{sv}" direction="out"/>
    </method>
    <method name="Set">
      <arg name="interface_name" type="s" direction="in"/>
      <arg name="property_name" type="s" direction="in"/>
      <arg name="value" type="v" direction="in"/>
    </method>
  </interface>
"#;

#[cfg(test)]
mod tests {
    use aictl_api::authorisation::Interface;

    use super::*;

    #[test]
    fn the_document_is_the_installed_one_and_the_standard_interfaces() {
        let text = introspect();
        let installed = include_str!("../../../dbus/org.aictl1.xml");
        assert_eq!(text.replace(INTERFACES, ""), installed);
        assert!(text.ends_with("  </interface>\n</node>\n"), "{text}");
    }

    #[test]
    fn every_interface_of_the_table_is_known_and_no_other() {
        for name in ["", INTROSPECTABLE, PEER, PROPERTIES, Interface::Services.name()] {
            assert_eq!(known(name), Ok(()), "{name}");
        }
        for name in ["org.aictl1", "org.aictl1.Servicess", "\u{0}", "org.aictl1.services"] {
            assert_eq!(known(name), Err(StandardError::UnknownInterface), "{name}");
        }
    }
}
