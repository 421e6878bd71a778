//! Where a service's server is asked, and whether its key may go there.

use std::net::SocketAddr;

use aictl_api::{endpoint::Endpoint, service::Service};
use aictl_core::listeners;

use super::{facts::Listener, health::forwards};

/// The most places in which one service is asked.
const MAX_ENDPOINTS: usize = 4;

/// A listening TCP socket, and whose it is from one service's view; never [`Listener::Nobody`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Socket {
    /// Where it listens.
    pub at: listeners::Listener,
    /// Whose it is.
    pub owner: Listener,
}

/// A place to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Where.
    pub endpoint: Endpoint,
    /// Who listens there.
    pub listener: Listener,
}

/// Where to ask, the best place first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The places.
    pub places: Vec<Place>,
    /// Where the service listens, if that is nowhere where it can be asked.
    pub elsewhere: Option<SocketAddr>,
    /// A port that it should have, and the other unit that has it.
    pub taken: Option<(u16, String)>,
}

/// Where to ask a service that runs or not, as far as is known, by the machine's sockets; `None` if
/// they cannot be listed.
///
/// A configured endpoint is asked in any case. Else the sockets that the service itself has are,
/// those on a usual port before the others; else, if nothing speaks against it, the usual ports.
#[must_use]
pub fn plan(service: &Service, runs: Option<bool>, sockets: Option<&[Socket]>) -> Plan {
    let place = |endpoint: Endpoint| {
        let listener = listener(&endpoint, sockets);
        Place { endpoint, listener }
    };
    let taken = |places: &[Place]| places.iter().find_map(taken);
    if let Some(endpoint) = &service.endpoint {
        let places = vec![place(endpoint.clone())];
        return Plan { taken: taken(&places), places, elsewhere: None };
    }
    let ports = service.provider.map_or(&[][..], |provider| provider.ports());
    let usual = ports.iter().filter_map(|port| Endpoint::on_port(*port)).map(place);
    let usual: Vec<Place> = usual.collect();
    if runs == Some(false) {
        // Somebody may have started it in another way.
        let is_by_hand = |place: &&Place| sockets.is_some() && is_of_no_service(&place.listener);
        let places = usual.iter().filter(is_by_hand).cloned().map(keyless).collect();
        return Plan { taken: taken(&usual), places, elsewhere: None };
    }
    let rank = |port: u16| ports.iter().position(|usual| *usual == port);
    // IPv4 first: where both are, they are the same server.
    let order = |address: &SocketAddr| {
        let port = address.port();
        (rank(port).unwrap_or(usize::MAX), port, address.is_ipv6(), address.ip())
    };
    let own = sockets.unwrap_or_default().iter().filter(|socket| socket.owner == Listener::Own);
    let mut own: Vec<SocketAddr> = own.map(|socket| socket.at.address).collect();
    own.sort_by_key(order);
    let reachable =
        own.iter().filter_map(|address| Some((address.port(), Endpoint::of_listener(*address)?)));
    let mut reachable: Vec<(u16, Endpoint)> = reachable.collect();
    reachable.dedup_by_key(|(port, _)| *port);
    if reachable.iter().any(|(port, _)| rank(*port).is_some()) {
        reachable.retain(|(port, _)| rank(*port).is_some());
    }
    if !reachable.is_empty() {
        let places = reachable.into_iter().take(MAX_ENDPOINTS).map(|(_, endpoint)| place(endpoint));
        return Plan { places: places.collect(), ..Plan::default() };
    }
    if let Some(elsewhere) = own.first() {
        return Plan { elsewhere: Some(*elsewhere), ..Plan::default() };
    }
    let taken = taken(&usual);
    let is_there = |place: &&Place| place.listener != Listener::Nobody;
    let mut places: Vec<Place> = usual.iter().filter(is_there).cloned().collect();
    if places.is_empty() {
        places = usual.into_iter().take(1).collect();
    }
    Plan { places, elsewhere: None, taken }
}

/// A place for which no key is, whoever listens there: it need not be the service at all.
fn keyless(place: Place) -> Place {
    let listener = match place.listener {
        Listener::Other { unit, .. } => Listener::Other { unit, mine: false },
        Listener::Unknown { .. } | Listener::Own => Listener::Unknown { mine: false },
        Listener::Nobody => Listener::Nobody,
    };
    Place { listener, ..place }
}

/// Whether somebody listens who was not started as a service of systemd's: a program of a person's
/// session, a container's, or one that cannot be told.
fn is_of_no_service(listener: &Listener) -> bool {
    match listener {
        Listener::Other { unit, .. } => {
            unit.ends_with(".scope") || unit.starts_with("user@") || forwards(unit)
        }
        Listener::Unknown { .. } => true,
        Listener::Own | Listener::Nobody => false,
    }
}

/// The port of this place and the other unit that has it, if one has.
fn taken(place: &Place) -> Option<(u16, String)> {
    match (&place.endpoint, &place.listener) {
        (Endpoint::Tcp(tcp), Listener::Other { unit, .. }) => Some((tcp.port(), unit.clone())),
        _ => None,
    }
}

/// Who listens where this endpoint leads, to whichever of its addresses. Of several, one that may
/// have no key: it may be the one that gets the connection.
fn listener(endpoint: &Endpoint, sockets: Option<&[Socket]>) -> Listener {
    let addresses = endpoint.addresses();
    let (Some(sockets), false) = (sockets, addresses.is_empty()) else {
        return Listener::Unknown { mine: false };
    };
    let takes = |socket: &&Socket| addresses.iter().any(|address| socket.at.takes(*address));
    let owners = || sockets.iter().filter(takes).map(|socket| &socket.owner);
    let stranger = owners().find(|owner| !owner.may_have_key());
    let not_own = || owners().find(|owner| **owner != Listener::Own);
    stranger.or_else(not_own).or_else(|| owners().next()).unwrap_or(&Listener::Nobody).clone()
}

#[cfg(test)]
mod tests {
    use aictl_api::{provider::Provider, service::Catalogue};

    use super::*;

    fn service(name: &str) -> Service {
        Catalogue::builtin().get(name).unwrap().clone()
    }

    fn socket(address: &str, owner: &str) -> Socket {
        let owner = match owner {
            "own" => Listener::Own,
            "?" => Listener::Unknown { mine: false },
            "mine" => Listener::Unknown { mine: true },
            unit => Listener::Other { unit: unit.to_owned(), mine: unit.ends_with(".scope") },
        };
        let address = address.parse().unwrap();
        let at = listeners::Listener { address, only_v6: false, uid: 0, control_group: None };
        Socket { at, owner }
    }

    /// The plan in short: `URL owner`, …
    fn places(service: &Service, runs: Option<bool>, sockets: Option<&[Socket]>) -> Vec<String> {
        let plan = plan(service, runs, sockets);
        let shown = |place: &Place| {
            let owner = match &place.listener {
                Listener::Own => "own",
                Listener::Nobody => "nobody",
                Listener::Unknown { mine: true } => "mine",
                Listener::Unknown { mine: false } => "?",
                Listener::Other { unit, .. } => unit,
            };
            format!("{} {owner}", place.endpoint)
        };
        let mut shown: Vec<_> = plan.places.iter().map(shown).collect();
        shown.extend(plan.elsewhere.map(|address| format!("elsewhere {address}")));
        shown.extend(plan.taken.map(|(port, unit)| format!("{port} taken by {unit}")));
        shown
    }

    #[test]
    fn a_service_is_asked_where_it_listens() {
        let ollama = service("ollama");
        let llama = service("llama-cpp-native");
        let runs = Some(true);
        type Row<'a> = (&'a Service, Option<Vec<Socket>>, &'a [&'a str]);
        let rows: [Row<'_>; 12] = [
            (&ollama, Some(vec![]), &["http://127.0.0.1:11434 nobody"]),
            (&ollama, None, &["http://127.0.0.1:11434 ?"]),
            (
                &ollama,
                Some(vec![socket("127.0.0.1:11434", "own"), socket("127.0.0.1:38211", "own")]),
                &["http://127.0.0.1:11434 own"],
            ),
            // The port is another one, and its runners have ports of their own.
            (
                &ollama,
                Some(vec![socket("0.0.0.0:9999", "own"), socket("127.0.0.1:38211", "own")]),
                &["http://127.0.0.1:9999 own", "http://127.0.0.1:38211 own"],
            ),
            (
                &ollama,
                Some(vec![socket("[::]:11434", "own"), socket("0.0.0.0:11434", "own")]),
                &["http://127.0.0.1:11434 own"],
            ),
            (&ollama, Some(vec![socket("[::]:11434", "own")]), &["http://[::1]:11434 own"]),
            (
                &ollama,
                Some(vec![socket("127.0.0.1:11434", "nginx.service")]),
                &["http://127.0.0.1:11434 nginx.service", "11434 taken by nginx.service"],
            ),
            (
                &ollama,
                Some(vec![socket("192.168.1.5:11434", "own")]),
                &["elsewhere 192.168.1.5:11434"],
            ),
            // Of several usual ports, those where somebody listens.
            (&llama, Some(vec![]), &["http://127.0.0.1:8080 nobody"]),
            (&llama, Some(vec![socket("127.0.0.1:9931", "?")]), &["http://127.0.0.1:9931 ?"]),
            (
                &llama,
                Some(vec![socket("127.0.0.1:9931", "own"), socket("127.0.0.1:8080", "x.service")]),
                &["http://127.0.0.1:9931 own"],
            ),
            (
                &llama,
                Some((1..9).map(|port| socket(&format!("127.0.0.1:{port}"), "own")).collect()),
                &[
                    "http://127.0.0.1:1 own",
                    "http://127.0.0.1:2 own",
                    "http://127.0.0.1:3 own",
                    "http://127.0.0.1:4 own",
                ],
            ),
        ];
        for (service, sockets, expected) in rows {
            assert_eq!(places(service, runs, sockets.as_deref()), expected, "{sockets:?}");
        }
        assert_eq!(places(&ollama, Some(false), None), Vec::<String>::new());
        // Why it does not run may be that another has its port.
        let other = [socket("127.0.0.1:11434", "nginx.service")];
        assert_eq!(places(&ollama, Some(false), Some(&other)), ["11434 taken by nginx.service"]);
        // Nor need it be its unit that has started its server.
        for owner in ["session-1.scope", "user@1000.service", "docker.service", "?", "mine"] {
            let other = [socket("127.0.0.1:11434", owner)];
            // Least of all a process of the user's is given the service's key.
            let shown = if owner == "mine" { "?" } else { owner };
            let asked = format!("http://127.0.0.1:11434 {shown}");
            let plan = plan(&ollama, Some(false), Some(&other));
            assert!(!plan.places[0].listener.may_have_key(), "{owner}");
            assert_eq!(places(&ollama, Some(false), Some(&other))[0], asked, "{owner}");
        }
        assert_eq!(places(&ollama, Some(false), Some(&[])), Vec::<String>::new());
        // Without systemd the usual port is all that there is.
        assert_eq!(places(&ollama, None, Some(&[])), ["http://127.0.0.1:11434 nobody"]);
    }

    #[test]
    fn a_configured_endpoint_is_the_only_one_and_is_always_asked() {
        let endpoint = Some("http://localhost:9000/v2".parse().unwrap());
        let mine = Service { endpoint, provider: None, ..service("ollama") };
        let sockets = [socket("127.0.0.1:11434", "own"), socket("127.0.0.1:9000", "own")];
        for runs in [Some(true), Some(false), None] {
            assert_eq!(places(&mine, runs, Some(&sockets)), ["http://localhost:9000/v2 own"]);
        }
        // Without a provider there is no usual port.
        let unknown = Service { endpoint: None, ..mine };
        assert_eq!(places(&unknown, Some(true), Some(&[])), Vec::<String>::new());
        let own = [socket("127.0.0.1:7000", "own")];
        assert_eq!(places(&unknown, Some(true), Some(&own)), ["http://127.0.0.1:7000 own"]);
        assert_eq!(service("ollama").provider, Some(Provider::Ollama));
    }

    #[test]
    fn a_key_goes_to_the_service_only_if_nobody_else_could_take_the_connection() {
        let v4 = "http://127.0.0.1:1";
        for (endpoint, sockets, shown, may_have_key) in [
            (v4, &[("127.0.0.1:1", "own")][..], "Own", true),
            (v4, &[("0.0.0.0:1", "own")], "Own", true),
            (v4, &[("[::]:1", "own")], "Own", true),
            (v4, &[("[::ffff:127.0.0.1]:1", "own")], "Own", true),
            (v4, &[("127.0.0.2:1", "own")], "Nobody", false),
            (v4, &[("127.0.0.1:2", "own")], "Nobody", false),
            (v4, &[("[::1]:1", "own")], "Nobody", false),
            (v4, &[], "Nobody", false),
            ("http://[::1]:1", &[("0.0.0.0:1", "own")], "Nobody", false),
            (v4, &[("127.0.0.1:1", "?")], "Unknown { mine: false }", false),
            (v4, &[("127.0.0.1:1", "mine")], "Unknown { mine: true }", true),
            (v4, &[("127.0.0.1:1", "s.scope")], "Other { unit: \"s.scope\", mine: true }", true),
            (
                v4,
                &[("0.0.0.0:1", "own"), ("127.0.0.1:1", "x.service")],
                "Other { unit: \"x.service\", mine: false }",
                false,
            ),
            (
                "http://localhost:1",
                &[("127.0.0.1:1", "own"), ("[::1]:1", "x.service")],
                "Other { unit: \"x.service\", mine: false }",
                false,
            ),
            ("http://localhost:1", &[("[::1]:1", "own")], "Own", true),
            ("unix:/run/x.sock", &[("127.0.0.1:1", "own")], "Unknown { mine: false }", false),
        ] {
            let endpoint: Endpoint = endpoint.parse().unwrap();
            let sockets: Vec<_> = sockets.iter().map(|(at, owner)| socket(at, owner)).collect();
            let found = listener(&endpoint, Some(&sockets));
            assert_eq!(format!("{found:?}"), shown, "{endpoint} {sockets:?}");
            assert_eq!(found.may_have_key(), may_have_key, "{endpoint} {sockets:?}");
            // What cannot be listed is not trusted.
            assert!(!listener(&endpoint, None).may_have_key());
        }
    }
}
