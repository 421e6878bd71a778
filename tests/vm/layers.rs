//! What stands between a run and the machine.

use std::collections::BTreeSet;

use aictl_api::{layer::Layer, run::Outcome};

use crate::{
    alike::{RUNS, assert_alike},
    guest::{WAYS, run, run_with},
};

#[test]
fn every_layer_is_there_and_none_is_missing() {
    for way in WAYS {
        let seen = run(way, &[], "print('here')");
        assert_eq!((seen.outcome, seen.exit_code), (Outcome::Exited, Some(0)), "{way:?}");
        assert_eq!(seen.stdout, "here\n");
        assert_eq!(seen.missing, [], "{way:?}");
        let names: BTreeSet<&str> = seen.isolation.iter().map(|layer| layer.name()).collect();
        let all: BTreeSet<&str> = Layer::ALL.iter().map(|layer| layer.name()).collect();
        assert_eq!(names, all, "{way:?}");
        // The kernel of the image knows Landlock, and says how much of it.
        let landlock = seen.isolation.iter().any(|layer| matches!(layer, Layer::Landlock(6..)));
        assert!(landlock, "{:?}", seen.isolation);
    }
}

/// Through the helper a run is what it is without it: its document, key by key, and the exit code.
#[test]
fn a_run_is_told_of_alike_with_and_without_the_helper() {
    for (options, script) in RUNS {
        let [embedded, helped] = WAYS.map(|way| run_with(way, options, script));
        assert_eq!(
            helped.status.code(),
            embedded.status.code(),
            "{script}: {helped:?} {embedded:?}"
        );
        let [helped, embedded] = [helped, embedded].map(|done| {
            serde_json::from_slice(&done.stdout)
                .unwrap_or_else(|error| panic!("{script}: {error}: {done:?}"))
        });
        assert_alike(script, &helped, &embedded);
    }
}
