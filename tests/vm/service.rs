//! sandboxd that ends while scripts run: nothing of them stays, and the next one runs.

use std::fs;

use aictl_api::run::Outcome;

use crate::guest::{Run, SERVICE, Way, group_of, processes_with, root, run, wait_for};

/// How many run at a time: in a machine that is emulated, each takes a second to start.
const RUNS: usize = 6;

/// Runs that wait, and the control group of the service that they are in.
fn waiting_runs(mark: &str) -> Vec<Run> {
    let script = format!(
        "import os, subprocess, sys, time\n\
         if os.fork() == 0: os.setsid()\n\
         print('READY', flush=True)\n\
         time.sleep(300) # {mark}\n"
    );
    let runs: Vec<Run> = (0..RUNS).map(|_| Run::start(&[], &script)).collect();
    runs.into_iter().map(|run| run.wait_for("READY")).collect()
}

/// The processes of the user that sandboxes run as.
fn processes_of_sandboxes() -> usize {
    let processes = processes_with("");
    let users = root(&["id", "--user", "aictl-sandbox"]);
    let uid = format!("Uid:\t{}\t", users.trim());
    let status = |pid| fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    processes.into_iter().filter(|pid| status(*pid).contains(&uid)).count()
}

/// Ends sandboxd in the midst of runs as `end` does it, and looks at what is left.
fn ends(end: &[&str]) {
    let runs = waiting_runs("waiting");
    let group = group_of(SERVICE);
    assert!(processes_of_sandboxes() > RUNS);
    root(end);
    for run in runs {
        // Who asked is told, if only by the end of the connection, and never that all is well.
        if let Ok(Some(record)) = run.end_without_sandboxd() {
            assert_ne!(record.outcome, Outcome::Exited, "{record:?}");
        }
    }
    wait_for("the end of all processes of the runs", || processes_of_sandboxes() == 0);
    wait_for("the end of the service's control group", || !group.exists());
    assert_eq!(run(Way::Helper, &[], "print(1)").stdout, "1\n");
}

#[test]
fn sandboxd_that_is_killed_takes_every_run_with_it() {
    ends(&["systemctl", "kill", "--signal=KILL", "--kill-whom=main", SERVICE]);
}

#[test]
fn sandboxd_that_is_stopped_takes_every_run_with_it() {
    ends(&["systemctl", "stop", SERVICE]);
}
