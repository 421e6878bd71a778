//! Asking the server of each service: where it listens, all at once, and with its key only where
//! nobody else can be listening.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::Path,
    time::Duration,
};

use aictl_api::{endpoint::Endpoint, service::Service};
use aictl_core::listeners;
use aictl_providers::{Reach, Report, Target, Trouble, probe};
use nix::unistd::geteuid;
use tokio::{
    task::JoinSet,
    time::{Instant, timeout_at},
};

use super::{
    facts::{Answer, Asked, KeyUse, Listener, Unit},
    gather::{Gatherer, PROC, left},
    plan::{Place, Plan, Socket, plan},
    unix_socket,
};

/// Less than the whole of its time, a server is given in steps of this.
const STEP: Duration = Duration::from_millis(100);

impl Gatherer<'_> {
    /// Asks the server of each service; also says what is wrong with asking.
    pub(super) async fn ask_servers(
        &self,
        services: &[&Service],
        units: Option<&Vec<Unit>>,
        deadline: Instant,
    ) -> (Vec<Answer>, Option<String>) {
        let (sockets, stuck) = match listeners::listeners(Path::new(PROC)) {
            Ok(sockets) => (Some(sockets), None),
            Err(error) => (
                None,
                Some(format!(
                    "listening sockets cannot be listed ({error}): usual ports are asked"
                )),
            ),
        };
        let own: Vec<_> = match units {
            Some(units) => units.iter().map(|unit| self.own_groups(unit)).collect(),
            None => vec![None; services.len()],
        };
        let names = self.owners(services, &own, sockets.as_deref());
        let mut probes = JoinSet::new();
        let mut answers: Vec<(Vec<Asked>, Answer)> = Vec::new();
        for (index, (service, own)) in services.iter().zip(&own).enumerate() {
            let runs = units.map(|units| units[index].runs());
            let sockets: Option<Vec<Socket>> = sockets.as_ref().map(|sockets| {
                let socket = |at: &listeners::Listener| Socket {
                    at: *at,
                    owner: owner(at, own.as_ref(), &names),
                };
                sockets.iter().map(socket).collect()
            });
            let own = own.clone().unwrap_or_default();
            let Plan { places, elsewhere, taken } = plan(service, runs, sockets.as_deref());
            let answer = Answer { asked: None, elsewhere, taken };
            answers.push((Vec::new(), answer));
            for (rank, place) in places.into_iter().enumerate() {
                let time = time_for(self.settings.http_timeout, deadline);
                let (target, asked) = self.target(service, place, &own, time);
                // What is not back in time, since we were slow ourselves, has not answered.
                answers[index].0.push(asked.clone());
                probes.spawn(async move {
                    let report = probe(&target, time).await;
                    (index, rank, Asked { report, ..asked })
                });
            }
        }
        while let Ok(Some(answer)) = timeout_at(deadline, probes.join_next()).await {
            if let Ok((index, rank, asked)) = answer {
                answers[index].0[rank] = asked;
            }
        }
        let best = |(asked, answer): (Vec<Asked>, Answer)| {
            // Of equals the first: the likeliest place.
            let asked = asked.into_iter().min_by_key(|asked| badness(&asked.report));
            Answer { asked, ..answer }
        };
        (answers.into_iter().map(best).collect(), stuck)
    }

    /// What to ask there, with the key, if that may go there; and what there is to say of it if no
    /// answer comes in this time.
    fn target(
        &self,
        service: &Service,
        place: Place,
        own: &BTreeSet<u64>,
        time: Duration,
    ) -> (Target, Asked) {
        let Place { endpoint, listener } = place;
        let listener = match &endpoint {
            Endpoint::Unix(unix) => unix_socket::listener(Path::new(unix.socket())),
            Endpoint::Tcp(_) => listener,
        };
        let key = self.keys.get(&service.name).cloned();
        let (key, key_use) = match (key, self.keys.source(&service.name).cloned()) {
            (Some(key), Some(source)) if listener.may_have_key() => {
                let (own, is_own) = (own.clone(), listener == Listener::Own);
                // Another may have taken the port since.
                let key = key.guarded(move |client, server| serves(client, server, &own, is_own));
                (Some(key.for_user(geteuid().as_raw())), KeyUse::Sent(source))
            }
            (Some(_), Some(source)) => (None, KeyUse::Withheld(source)),
            _ => (None, KeyUse::None(self.keys.how_to_give(&service.name))),
        };
        let target = Target { provider: service.provider, endpoint: endpoint.clone(), key };
        (target, Asked { endpoint, report: silence(time), listener, key: key_use })
    }

    /// The numbers of a unit's control groups; `None` if nothing is known of the unit.
    fn own_groups(&self, unit: &Unit) -> Option<BTreeSet<u64>> {
        match unit {
            Unit::Known(facts) => {
                let groups = |group: &String| listeners::groups_of(&self.roots, group);
                Some(facts.control_group.as_ref().map(groups).unwrap_or_default())
            }
            Unit::NotFound | Unit::Alias(_) => Some(BTreeSet::new()),
            Unit::Unknown => None,
        }
    }

    /// The units of those who listen where services are asked, by the numbers of their control
    /// groups.
    fn owners(
        &self,
        services: &[&Service],
        own: &[Option<BTreeSet<u64>>],
        sockets: Option<&[listeners::Listener]>,
    ) -> BTreeMap<u64, String> {
        let mut names = BTreeMap::new();
        let mut ports = BTreeSet::new();
        for (service, own) in services.iter().zip(own) {
            let unit = service.unit.to_string();
            names.extend(own.iter().flatten().map(|group| (*group, unit.clone())));
            ports.extend(service.provider.map_or(&[][..], |provider| provider.ports()));
            if let Some(Endpoint::Tcp(tcp)) = &service.endpoint {
                ports.insert(tcp.port());
            }
        }
        let asked_for = |socket: &&listeners::Listener| ports.contains(&socket.address.port());
        let groups = sockets.into_iter().flatten().filter(asked_for);
        let groups = groups.filter_map(|socket| socket.control_group);
        // To find the others, the whole tree of groups is looked through.
        let strangers: BTreeSet<u64> = groups.filter(|group| !names.contains_key(group)).collect();
        if !strangers.is_empty() && own.iter().any(Option::is_some) {
            names.extend(listeners::units_of(&self.roots, &strangers));
        }
        names
    }
}

/// Whether the server at the other end of a connection may have the key: it is in one of these
/// control groups, or else a process of the user's own is all that listens there.
fn serves(client: SocketAddr, server: SocketAddr, own: &BTreeSet<u64>, must_be_own: bool) -> bool {
    if must_be_own {
        let peer = listeners::served_by(client, server);
        return peer.and_then(|peer| peer.belongs_to(own)) == Some(true);
    }
    // The kernel names no user (that is, 0) for a connection that nobody has accepted yet: then
    // those count who could. One that another user has accepted stays his when he has left the port.
    let uid = geteuid().as_raw();
    if listeners::served_by(client, server).is_some_and(|peer| ![0, uid].contains(&peer.uid)) {
        return false;
    }
    let listening = listeners::listeners(Path::new(PROC)).unwrap_or_default();
    let mut there = listening.iter().filter(|listener| listener.takes(server)).peekable();
    there.peek().is_some() && there.all(|listener| is_own(listener.uid, uid))
}

/// Whether a process of `owner` counts as one of the user's own. Of root's none does: many of them
/// listen for others, as docker-proxy does for containers.
const fn is_own(owner: u32, user: u32) -> bool {
    user != 0 && owner == user
}

/// How long a server may take: all of its time, or as much of it as there is left.
fn time_for(http_timeout: Duration, deadline: Instant) -> Duration {
    let left = left(deadline);
    if left >= http_timeout {
        return http_timeout;
    }
    // It is told to people.
    let steps = left.as_millis() / STEP.as_millis();
    STEP * u32::try_from(steps).unwrap_or(u32::MAX)
}

/// Whose a socket is, seen from the service with these control groups.
fn owner(
    socket: &listeners::Listener,
    own: Option<&BTreeSet<u64>>,
    names: &BTreeMap<u64, String>,
) -> Listener {
    let mine = is_own(socket.uid, geteuid().as_raw());
    match (socket.control_group, own) {
        (Some(group), Some(own)) if own.contains(&group) => Listener::Own,
        (Some(group), Some(_)) => match names.get(&group) {
            Some(unit) => Listener::Other { unit: unit.clone(), mine },
            None => Listener::Unknown { mine },
        },
        _ => Listener::Unknown { mine },
    }
}

/// How little an answer is worth: of several places, the one with the best answer is the server's.
fn badness(report: &Report) -> u8 {
    match report.reach {
        Reach::Ready => 0,
        Reach::KeyNeeded | Reach::KeyRefused | Reach::Loading(_) => 1,
        Reach::Trouble(Trouble::Refused) => 4,
        Reach::Trouble(_) => 3,
        Reach::Other(_) => 2,
    }
}

/// The report of a server that has said nothing in this time.
fn silence(time: Duration) -> Report {
    Report {
        reach: Reach::Trouble(Trouble::NoAnswer(time)),
        provider: None,
        came: None,
        latency: None,
        version: None,
        models: None,
        loaded: None,
        requests_running: None,
        gaps: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use aictl_api::{config::Config, service::Catalogue};
    use clap::Parser;

    use super::*;
    use crate::args::Cli;

    #[test]
    fn what_root_runs_does_not_count_as_its_own() {
        assert!(is_own(1000, 1000));
        assert!(!is_own(1001, 1000) && !is_own(0, 1000) && !is_own(0, 0) && !is_own(1000, 0));
    }

    #[tokio::test]
    async fn a_server_whose_answer_is_not_back_in_time_has_not_answered() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = Endpoint::on_port(silent.local_addr().unwrap().port());
        let service = Service { endpoint, ..Catalogue::builtin().get("ollama").unwrap().clone() };
        let config = Config::default();
        let global = Cli::parse_from(["aictl", "status"]).global;
        let gatherer = Gatherer::new(&global, &config, config.status);
        // As where this program gets no time to see that the server's time is over.
        let (answers, _) = gatherer.ask_servers(&[&service], None, Instant::now()).await;
        let reach = answers[0].asked.as_ref().map(|asked| asked.report.reach.clone());
        let no_answer = Reach::Trouble(Trouble::NoAnswer(Duration::ZERO));
        assert_eq!(reach, Some(no_answer));
    }
}
