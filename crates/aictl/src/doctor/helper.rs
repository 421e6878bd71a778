//! The helper, and what it stands on: the bus policy, polkit's actions, its own sandboxes.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    time::Duration,
};

use aictl_api::{
    authorisation::Action,
    document::doctor::{Check, CheckStatus as Status},
    error::CallError,
    record::{CONFIG_OK, HealthRecord, SANDBOX_OK},
};
use aictl_core::helper::Helper;
use tokio::time::timeout;
use zbus::{Connection, Proxy};

use crate::{message, services};

/// This program's version, which the helper's must be.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Where the policy of the bus can be: as installed, and as an administrator's own.
const BUS_POLICIES: [&str; 2] =
    ["/usr/share/dbus-1/system.d/org.aictl1.conf", "/etc/dbus-1/system.d/org.aictl1.conf"];
/// How long polkit may take to name its actions.
const POLKIT_TIME: Duration = Duration::from_secs(5);
/// Where one sees what keeps the helper from its work.
const LOOK: &str = "look at `systemctl status aictld` and `journalctl -u aictld`";
/// What brings back a file that is missing.
const REINSTALL: &str = "install aictl again";

/// What became of looking for the helper.
#[derive(Debug)]
enum State {
    /// There is no message bus to look on.
    NoBus,
    /// It is not installed.
    Absent,
    /// It is, and this is what it says of itself.
    Answered(Result<HealthRecord, CallError>),
}

/// Looks at the helper, which starts it where it does not run, and at what belongs to it where it
/// is installed.
pub async fn checks() -> Vec<Check> {
    let Ok(connection) = services::system_bus().await else { return about(&State::NoBus) };
    let state = match Helper::find(&connection).await {
        Ok(Some(helper)) => State::Answered(helper.health().await),
        Ok(None) => State::Absent,
        Err(error) => State::Answered(Err(error)),
    };
    let mut checks = about(&state);
    if let State::Answered(health) = &state {
        let is_there = BUS_POLICIES.iter().any(|path| Path::new(path).is_file());
        checks.push(bus_policy(is_there, health.is_ok()));
        checks.push(polkit_actions(known_actions(&connection).await));
    }
    checks
}

/// Whether the helper is there and works.
fn about(state: &State) -> Vec<Check> {
    let name = "helper";
    let absent = |why: &str| {
        let detail = format!("{why}: aictl acts on services with your own rights");
        Check::bad(name, Status::Missing, detail, "nothing needs to be done to run scripts")
    };
    let health = match state {
        State::NoBus => return vec![absent("there is no system message bus, and so no aictld")],
        State::Absent => return vec![absent("aictld is not installed")],
        State::Answered(Err(error)) => {
            let detail = format!("aictld is installed, but: {}", message::plain(error.message()));
            return vec![Check::bad(name, Status::Broken, detail, LOOK)];
        }
        State::Answered(Ok(health)) => health,
    };
    let mut checks = vec![itself(name, health)];
    checks.extend(sandbox(&health.sandbox));
    checks
}

fn itself(name: &str, health: &HealthRecord) -> Check {
    let version = message::plain(&health.version);
    let missing: Vec<_> =
        [(health.journal, "the journal"), (health.polkit, "polkit"), (health.systemd, "systemd")]
            .into_iter()
            .filter_map(|(is_there, what)| (!is_there).then_some(what))
            .collect();
    if !missing.is_empty() {
        let detail = format!("aictld {version} cannot reach {}", missing.join(" and "));
        return Check::bad(name, Status::Broken, detail, LOOK);
    }
    if health.config != CONFIG_OK {
        let detail = format!(
            "aictld {version} does not take the configuration: {}",
            message::plain(&health.config)
        );
        let advice = "`aictl config check` says more; then `sudo systemctl reload aictld`";
        return Check::bad(name, Status::Broken, detail, advice);
    }
    if version != VERSION {
        let detail = format!("aictld {version} answers, and this is aictl {VERSION}");
        let advice = "install both from one place, then \
                      `sudo systemctl restart aictld aictl-sandboxd`";
        return Check::bad(name, Status::Broken, detail, advice);
    }
    let up = Duration::from_micros(health.uptime_usec).as_secs();
    Check::ok(name, format!("aictld {version} answers; it has been up for {up} s"))
}

/// What the helper says of its sandboxes; one that is older says nothing.
fn sandbox(said: &str) -> Option<Check> {
    let name = "helper runs";
    match said {
        "" => None,
        SANDBOX_OK => Some(Check::ok(name, "aictld has had a script run in a sandbox")),
        why => {
            let detail = format!("aictld cannot have scripts run: {}", message::plain(why));
            let advice = "look at `systemctl status aictl-sandboxd` and \
                          `journalctl -u aictl-sandboxd`; `aictl run --embedded` does without it";
            Some(Check::bad(name, Status::Broken, detail, advice))
        }
    }
}

/// Without its policy the bus lets nobody be the helper; one that answers has it from elsewhere.
fn bus_policy(is_there: bool, answers: bool) -> Check {
    let name = "bus policy";
    match (is_there, answers) {
        (true, _) => Check::ok(name, "org.aictl1.conf is installed"),
        (false, true) => {
            let detail = format!("{} is not there, where packages put it", BUS_POLICIES[0]);
            Check::bad(name, Status::Missing, detail, REINSTALL)
        }
        (false, false) => {
            let detail = format!("{} is not there: nobody may be the helper", BUS_POLICIES[0]);
            let advice = format!("{REINSTALL}; then `sudo systemctl reload dbus`");
            Check::bad(name, Status::Broken, detail, &advice)
        }
    }
}

/// An action as polkit describes it: its identifier, six texts in all, who may, and annotations.
type Described =
    (String, String, String, String, String, String, u32, u32, u32, HashMap<String, String>);

/// The identifiers of all actions that polkit knows.
async fn known_actions(connection: &Connection) -> Result<HashSet<String>, String> {
    let ask = async {
        let authority = Proxy::new(
            connection,
            "org.freedesktop.PolicyKit1",
            "/org/freedesktop/PolicyKit1/Authority",
            "org.freedesktop.PolicyKit1.Authority",
        )
        .await?;
        // In no language: the texts are not looked at.
        authority.call("EnumerateActions", &("",)).await
    };
    let known: zbus::Result<Vec<Described>> =
        timeout(POLKIT_TIME, ask).await.map_err(|_late| "it does not answer".to_owned())?;
    let known = known.map_err(|error| message::plain(&error.to_string()))?;
    Ok(known.into_iter().map(|action| action.0).collect())
}

fn polkit_actions(known: Result<HashSet<String>, String>) -> Check {
    let name = "polkit";
    let known = match known {
        Ok(known) => known,
        Err(why) => {
            let detail = format!("it does not name its actions: {why}");
            let advice = "without polkit the helper refuses everybody: `sudo apt install polkitd`, \
                          or look at `systemctl status polkit`";
            return Check::bad(name, Status::Broken, detail, advice);
        }
    };
    let unknown: Vec<&str> =
        Action::ALL.iter().map(|action| action.id()).filter(|id| !known.contains(*id)).collect();
    if unknown.is_empty() {
        let count = Action::ALL.len();
        return Check::ok(name, format!("it knows the {count} actions of the helper"));
    }
    let detail = format!("it does not know {}", unknown.join(", "));
    Check::bad(name, Status::Broken, detail, REINSTALL)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn well() -> HealthRecord {
        HealthRecord {
            version: VERSION.to_owned(),
            config: CONFIG_OK.to_owned(),
            journal: true,
            polkit: true,
            systemd: true,
            sandbox: SANDBOX_OK.to_owned(),
            ..HealthRecord::default()
        }
    }

    #[test]
    fn a_helper_that_does_not_work_is_not_one_that_is_not_there() {
        let answered = |health| State::Answered(Ok(health));
        for (state, status, words) in [
            (State::NoBus, Status::Missing, "no system message bus"),
            (State::Absent, Status::Missing, "not installed"),
            (
                State::Answered(Err(CallError::Unavailable("gone".to_owned()))),
                Status::Broken,
                "installed, but: gone",
            ),
            (answered(HealthRecord { polkit: false, ..well() }), Status::Broken, "polkit"),
            (
                answered(HealthRecord { config: "bad".to_owned(), ..well() }),
                Status::Broken,
                "configuration: bad",
            ),
            (
                answered(HealthRecord { version: "0.0.1".to_owned(), ..well() }),
                Status::Broken,
                "aictld 0.0.1 answers, and this is aictl",
            ),
            (answered(well()), Status::Ok, "answers; it has been up"),
        ] {
            let checks = about(&state);
            assert_eq!(checks[0].status, status, "{state:?}");
            assert!(checks[0].detail.contains(words), "{checks:?}");
        }
    }

    #[test]
    fn what_the_helper_says_of_its_sandboxes_is_told() {
        assert_eq!(sandbox(""), None);
        assert!(sandbox(SANDBOX_OK).is_some_and(|check| check.status == Status::Ok));
        let check = sandbox("no user namespaces\x1b[2J").expect("a check");
        assert_eq!(check.status, Status::Broken);
        assert!(check.detail.ends_with("no user namespaces"), "{check:?}");
        assert!(check.advice.is_some());
    }

    #[test]
    fn the_policy_of_the_bus_is_needed_by_a_helper_that_does_not_answer() {
        for (is_there, answers, status) in [
            (true, true, Status::Ok),
            (true, false, Status::Ok),
            (false, true, Status::Missing),
            (false, false, Status::Broken),
        ] {
            assert_eq!(bus_policy(is_there, answers).status, status, "{is_there} {answers}");
        }
    }

    #[test]
    fn polkit_must_know_every_action() {
        let all = || Action::ALL.iter().map(|action| action.id().to_owned());
        assert_eq!(polkit_actions(Ok(all().collect())).status, Status::Ok);
        let check = polkit_actions(Ok(all().skip(1).collect()));
        assert_eq!(check.status, Status::Broken);
        assert!(check.detail.contains(Action::ALL[0].id()), "{check:?}");
        let check = polkit_actions(Err("gone".to_owned()));
        assert_eq!(check.status, Status::Broken);
        assert!(check.detail.contains("gone"), "{check:?}");
    }
}
