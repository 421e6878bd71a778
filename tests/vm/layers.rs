//! What stands between a run and the machine.

use std::collections::BTreeSet;

use aictl_api::{layer::Layer, run::Outcome};

use crate::guest::{WAYS, run};

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
