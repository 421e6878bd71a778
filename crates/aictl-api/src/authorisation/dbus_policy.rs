//! The policy of the system bus (dbus-daemon(1), "CONFIGURATION FILE"): who may own the helper's
//! name, what may be sent to it, and what the helper may ask of systemd. All else is denied.

use super::{BUS_NAME, HELPER_USER, OBJECT_PATH, TABLE, xml::prolog};

/// The name of systemd on the bus.
const SYSTEMD: &str = "org.freedesktop.systemd1";
/// The interface of properties, which the bus knows by itself.
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// A call that is allowed beside the table, and why.
struct Allowed {
    interface: &'static str,
    member: &'static str,
    reason: &'static str,
}

/// What every object answers, by the D-Bus specification. `Properties.Set` is left out: nothing
/// can be set.
const STANDARD: [Allowed; 5] = [
    Allowed {
        interface: "org.freedesktop.DBus.Introspectable",
        member: "Introspect",
        reason: "tools show what there is",
    },
    Allowed {
        interface: "org.freedesktop.DBus.Peer",
        member: "Ping",
        reason: "is the helper there?",
    },
    Allowed {
        interface: "org.freedesktop.DBus.Peer",
        member: "GetMachineId",
        reason: "belongs to Peer; tells what /etc/machine-id tells everyone",
    },
    Allowed { interface: PROPERTIES, member: "Get", reason: "reading one property" },
    Allowed { interface: PROPERTIES, member: "GetAll", reason: "what proxies read first" },
];

/// What the helper may ask of others.
struct Peer {
    name: &'static str,
    calls: &'static [Allowed],
}

/// All that the helper may ask of others: of systemd, of polkit and of the bus itself.
const PEERS: [Peer; 3] = [
    Peer { name: SYSTEMD, calls: &OF_SYSTEMD },
    Peer { name: "org.freedesktop.PolicyKit1", calls: &OF_POLKIT },
    Peer { name: BUS, calls: &OF_THE_BUS },
];

/// What the helper may ask of systemd; for the first four, systemd then asks polkit about the
/// unit and the verb. Above all StartTransientUnit is not here: with it, whoever may start a unit
/// by its name may run any program as root under that name.
const OF_SYSTEMD: [Allowed; 10] = [
    Allowed { interface: MANAGER, member: "StartUnit", reason: "the verb start" },
    Allowed { interface: MANAGER, member: "StopUnit", reason: "the verb stop" },
    Allowed { interface: MANAGER, member: "RestartUnit", reason: "the verb restart" },
    Allowed { interface: MANAGER, member: "ReloadUnit", reason: "the verb reload" },
    Allowed { interface: MANAGER, member: "LoadUnit", reason: "finds a unit, running or not" },
    Allowed { interface: MANAGER, member: "ListUnitsByNames", reason: "finds many units at once" },
    Allowed { interface: MANAGER, member: "GetUnitByPID", reason: "the unit of a process" },
    Allowed { interface: MANAGER, member: "Subscribe", reason: "JobRemoved is sent on request" },
    Allowed { interface: PROPERTIES, member: "Get", reason: "a unit's state" },
    Allowed { interface: PROPERTIES, member: "GetAll", reason: "a unit's state" },
];

/// What the helper may ask of polkit.
const OF_POLKIT: [Allowed; 4] = [
    Allowed { interface: AUTHORITY, member: "CheckAuthorization", reason: "may this caller?" },
    Allowed {
        interface: AUTHORITY,
        member: "CancelCheckAuthorization",
        reason: "the caller has gone",
    },
    Allowed { interface: PROPERTIES, member: "Get", reason: "does it answer?" },
    Allowed { interface: PROPERTIES, member: "GetAll", reason: "does it answer?" },
];

/// What the helper may ask of the bus. What the bus itself denies to all, such as
/// UpdateActivationEnvironment, must not be here: a rule for a user would allow it again.
const OF_THE_BUS: [Allowed; 10] = [
    Allowed { interface: BUS, member: "Hello", reason: "every connection begins with it" },
    Allowed { interface: BUS, member: "RequestName", reason: "its own name" },
    Allowed { interface: BUS, member: "ReleaseName", reason: "its own name, at the end" },
    Allowed { interface: BUS, member: "AddMatch", reason: "which signals it hears" },
    Allowed { interface: BUS, member: "RemoveMatch", reason: "which signals it hears" },
    Allowed { interface: BUS, member: "GetNameOwner", reason: "who sent a signal" },
    Allowed { interface: BUS, member: "NameHasOwner", reason: "is the caller still there?" },
    Allowed { interface: BUS, member: "GetConnectionCredentials", reason: "who calls" },
    Allowed { interface: BUS, member: "GetConnectionUnixUser", reason: "who calls" },
    Allowed { interface: BUS, member: "GetConnectionUnixProcessID", reason: "who calls" },
];

/// The interface of systemd's manager object (org.freedesktop.systemd1(5)).
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
/// The interface of polkit.
const AUTHORITY: &str = "org.freedesktop.PolicyKit1.Authority";
/// The name of the bus itself, and of its interface.
const BUS: &str = "org.freedesktop.DBus";

/// The policy file, to be installed as /usr/share/dbus-1/system.d/org.aictl1.conf.
#[must_use]
pub fn policy() -> String {
    let mut text = prolog(
        "The policy of the system bus for aictl.",
        "busconfig PUBLIC \"-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN\"\n  \
         \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\"",
    );
    text += "<busconfig>\n";
    text += &default_policy();
    text += &helper_policy();
    text + "</busconfig>\n"
}

/// What anyone may do, root too.
fn default_policy() -> String {
    // Only calls are denied: signals from systemd and polkit must reach the helper, for which
    // rules by destination count as well.
    let mut text = format!(
        "  <policy context=\"default\">\n    \
           <deny own_prefix=\"{BUS_NAME}\"/>\n    \
           <deny send_destination=\"{BUS_NAME}\" send_type=\"method_call\"/>\n\n"
    );
    for row in TABLE.iter().filter(|row| row.rule().is_some()) {
        let path = format!(" send_path=\"{OBJECT_PATH}\"");
        text += &allow(BUS_NAME, &path, row.interface.name(), row.name);
    }
    text.push('\n');
    for call in &STANDARD {
        text += &format!("    <!-- {} -->\n", call.reason);
        text += &allow(BUS_NAME, "", call.interface, call.member);
    }
    text + "  </policy>\n"
}

/// What the helper's user may do. Rules for a user come after those for all, and the last one
/// that matches counts.
fn helper_policy() -> String {
    // Without a destination: who takes over the helper reaches nobody else on the bus.
    let mut text = format!(
        "  <policy user=\"{HELPER_USER}\">\n    \
           <allow own=\"{BUS_NAME}\"/>\n\n    \
           <deny send_type=\"method_call\"/>\n"
    );
    for peer in &PEERS {
        text.push('\n');
        for call in peer.calls {
            text += &format!("    <!-- {} -->\n", call.reason);
            text += &allow(peer.name, "", call.interface, call.member);
        }
    }
    text + "  </policy>\n"
}

fn allow(destination: &str, path: &str, interface: &str, member: &str) -> String {
    format!(
        "    <allow send_destination=\"{destination}\"{path} send_type=\"method_call\"\n           \
         send_interface=\"{interface}\" send_member=\"{member}\"/>\n"
    )
}
