//! The user `aictl`, speaking to systemd itself: what somebody could do who has taken the helper
//! over. It must be the allowlist, and nothing else.

use crate::machine::{Machine, Ran, STAND_INS, Who, machine};

const SYSTEMD: [&str; 3] =
    ["org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"];

/// A call of systemd's manager as the user of the helper.
fn call(machine: &Machine, member_and_arguments: &[&str]) -> Ran {
    as_user(machine, Who::Helper, member_and_arguments)
}

fn as_user(machine: &Machine, who: Who, member_and_arguments: &[&str]) -> Ran {
    let mut argv = vec!["busctl", "--system", "--timeout=20", "--", "call"];
    argv.extend(SYSTEMD);
    argv.extend(member_and_arguments);
    machine.run(who, &argv)
}

/// What can be seen of the machine's services: nothing of it may change.
fn state(machine: &Machine) -> String {
    let mut argv = vec!["systemctl", "show"];
    argv.push("--property=Id,ActiveState,InvocationID,UnitFileState,FreezerState,NRestarts,Job");
    argv.extend(STAND_INS);
    argv.extend(["aictld.socket", "dbus.service", "systemd-logind.service"]);
    machine.root(&argv)
}

/// That each of these calls is refused, and that nothing has happened.
#[track_caller]
fn all_refused<'a>(machine: &Machine, who: Who, calls: impl IntoIterator<Item = Vec<&'a str>>) {
    let before = state(machine);
    for member_and_arguments in calls {
        let ran = as_user(machine, who, &member_and_arguments);
        let text = ran.to_string();
        let errors = ran.failed();
        let denied = ["Access denied", "authentication required", "is not allowed", "rejected"];
        assert!(denied.iter().any(|word| errors.contains(word)), "{text}");
    }
    assert_eq!(state(machine), before, "one of these calls was not refused");
}

/// The four calls that make a job, for one unit.
fn jobs(unit: &str) -> impl Iterator<Item = Vec<&str>> {
    JOBS.into_iter().map(move |member| vec![member, "ss", unit, "replace"])
}

/// The verbs that a job on a unit can have, by systemd's names of the calls.
const JOBS: [&str; 4] = ["StartUnit", "StopUnit", "RestartUnit", "ReloadUnit"];

#[test]
fn the_four_verbs_on_a_service_of_the_catalogue() {
    let machine = machine();
    let active = |want: &str| {
        machine.wait_for(want, || machine.property("ollama.service", "ActiveState") == want);
    };
    for (member, want) in JOBS.iter().zip(["active", "inactive", "active", "active"]) {
        call(&machine, &[member, "ss", "ollama.service", "replace"]).ok();
        active(want);
        machine.wait_for("the end of the job", || {
            machine.property("ollama.service", "Job").is_empty()
        });
    }
}

#[test]
fn no_other_unit() {
    let machine = machine();
    machine.root(&["systemctl", "start", "ssh.service"]);
    let units = [
        "ssh.service",
        "ollama.service.service",
        // Not running, not there, a template, and what nobody must touch.
        "llm@1.service",
        "nothing.service",
        "-.mount",
        "dbus.service",
        "polkit.service",
        "systemd-logind.service",
        "aictld.service",
        "aictl-polkit-rules.service",
        "aictl-polkit-rules-again.service",
        "poweroff.target",
        "rescue.target",
        "ollama.socket",
        "ollama.target",
        "user@1000.service",
    ];
    all_refused(&machine, Who::Helper, units.iter().flat_map(|unit| jobs(unit)));
}

#[test]
fn an_alias_leads_nowhere() {
    let machine = machine();
    machine.root(&["systemctl", "start", "ssh.service"]);
    // The catalogue knows lmstudio.service, which is another name of ssh.service here.
    all_refused(&machine, Who::Helper, jobs("lmstudio.service"));
}

#[test]
fn names_that_only_look_like_it() {
    let machine = machine();
    let before = state(&machine);
    for unit in [
        "Ollama.service",
        "ollama",
        "../ollama.service",
        "ollama.service ",
        "ollama.servi\u{441}e",
        "",
    ] {
        for job in jobs(unit) {
            call(&machine, &job).failed();
        }
    }
    assert_eq!(state(&machine), before);
}

#[test]
fn no_other_call() {
    let machine = machine();
    machine.root(&["systemctl", "start", "ollama.service", "ssh.service"]);
    let unit = "ollama.service";
    let calls: &[&[&str]] = &[
        &["TryRestartUnit", "ss", unit, "replace"],
        &["ReloadOrRestartUnit", "ss", unit, "replace"],
        &["ReloadOrTryRestartUnit", "ss", unit, "replace"],
        &["StartUnitReplace", "sss", unit, "ssh.service", "replace"],
        &["StartUnitWithFlags", "sst", unit, "replace", "0"],
        &["EnqueueUnitJob", "sss", unit, "start", "replace"],
        &["KillUnit", "ssi", unit, "all", "9"],
        &["QueueSignalUnit", "ssii", unit, "all", "9", "0"],
        &["CleanUnit", "sas", unit, "1", "all"],
        &["FreezeUnit", "s", unit],
        &["ThawUnit", "s", unit],
        &["ResetFailedUnit", "s", unit],
        &["ResetFailed", ""],
        &["SetUnitProperties", "sba(sv)", unit, "true", "1", "CPUWeight", "t", "1"],
        &["BindMountUnit", "sssbb", unit, "/etc", "/mnt", "false", "false"],
        &["MountImageUnit", "sssbba(ss)", unit, "/x", "/mnt", "false", "false", "0"],
        &["AttachProcessesToUnit", "ssau", unit, "/", "1", "1"],
        &["StartTransientUnit", "ssa(sv)a(sa(sv))", unit, "replace", "0", "0"],
        &[
            "StartTransientUnit",
            "ssa(sv)a(sa(sv))",
            "vllm.service",
            "replace",
            "1",
            "ExecStart",
            "a(sasb)",
            "1",
            "/bin/touch",
            "2",
            "/bin/touch",
            "/run/was-here",
            "false",
            "0",
        ],
        &["EnableUnitFiles", "asbb", "1", unit, "false", "false"],
        &["EnableUnitFiles", "asbb", "1", "ssh.service", "false", "false"],
        &["EnableUnitFilesWithFlags", "ast", "1", unit, "0"],
        &["DisableUnitFiles", "asb", "1", unit, "false"],
        &["DisableUnitFilesWithFlags", "ast", "1", unit, "0"],
        &["ReenableUnitFiles", "asbb", "1", unit, "false", "false"],
        &["LinkUnitFiles", "asbb", "1", "/home/anna/x.service", "false", "false"],
        &["PresetUnitFiles", "asbb", "1", unit, "false", "false"],
        &["PresetAllUnitFiles", "sbb", "full", "false", "false"],
        &["MaskUnitFiles", "asbb", "1", "ssh.service", "false", "false"],
        &["UnmaskUnitFiles", "asb", "1", "ssh.service", "false"],
        &["RevertUnitFiles", "as", "1", unit],
        &["AddDependencyUnitFiles", "asssbb", "1", unit, "ssh.service", "Wants", "false", "false"],
        &["SetDefaultTarget", "sb", "rescue.target", "true"],
        &["SetEnvironment", "as", "1", "LD_PRELOAD=/home/anna/x.so"],
        &["UnsetEnvironment", "as", "1", "PATH"],
        &["UnsetAndSetEnvironment", "asas", "0", "1", "A=b"],
        &["CancelJob", "u", "1"],
        &["ClearJobs", ""],
        &["Reload", ""],
        &["Reexecute", ""],
        &["SwitchRoot", "ss", "/mnt", "/sbin/init"],
        &["SoftReboot", "s", ""],
        &["Exit", ""],
        &["SetExitCode", "y", "1"],
        &["Reboot", ""],
        &["PowerOff", ""],
        &["Halt", ""],
        &["KExec", ""],
    ];
    // busctl wants no signature where there is none.
    let call = |arguments: &&[&'static str]| match arguments {
        [member, ""] => vec![*member],
        all => all.to_vec(),
    };
    all_refused(&machine, Who::Helper, calls.iter().map(call));
    assert!(!machine.exists("/run/was-here"));
}

#[test]
fn no_property_is_written() {
    let machine = machine();
    let before = machine.root(&["systemctl", "show", "--property=LogLevel"]);
    let mut argv = vec!["busctl", "--system", "--", "set-property"];
    argv.extend(SYSTEMD);
    argv.extend(["LogLevel", "s", "debug"]);
    machine.run(Who::Helper, &argv).failed();
    assert_eq!(machine.root(&["systemctl", "show", "--property=LogLevel"]), before);
}

#[test]
fn the_unit_of_unit_files_only_for_the_catalogue_and_only_to_start_it() {
    let machine = machine();
    let enabled = || machine.property("ollama.service", "UnitFileState");
    for (verb, want) in [("enable", "enabled"), ("disable", "disabled")] {
        let unit = format!("aictl-unit-file@{verb}:ollama.service");
        call(&machine, &["StartUnit", "ss", &unit, "replace"]).ok();
        machine.wait_for(want, || enabled() == want);
        all_refused(&machine, Who::Helper, jobs(&unit).skip(1));
    }
    let units = [
        "enable:ssh",
        "disable:ssh",
        "mask:ollama",
        "start:ollama",
        "enable:ollama.service",
        "enable:Ollama",
        "enable:-ollama",
        "enable:",
        "ollama",
        "enable:llm@1",
    ]
    .map(|instance| format!("aictl-unit-file@{instance}.service"));
    all_refused(&machine, Who::Helper, units.iter().flat_map(|unit| jobs(unit)));
}

#[test]
fn what_root_starts_by_hand_is_checked_too() {
    let machine = machine();
    machine.root(&["systemctl", "start", "ssh.service"]);
    let before = state(&machine);
    for (instance, why) in [
        ("enable:ssh", "belongs to no service"),
        ("mask:ollama", "must be"),
        // Another name of ssh.service.
        ("enable:lmstudio", "is another name of"),
        // In the catalogue, and not on this machine.
        ("enable:vllm", "has no unit file"),
    ] {
        let unit = format!("aictl-unit-file@{instance}.service");
        machine.run(Who::Root, &["systemctl", "start", &unit]).failed();
        let unit = format!("--unit={unit}");
        let log = machine.root(&["journalctl", &unit, "--output=cat", "-n10"]);
        assert!(log.contains(why), "{instance}: {log}");
    }
    assert_eq!(state(&machine), before);
}

#[test]
fn the_rules_are_for_the_user_of_the_helper_alone() {
    let machine = machine();
    for who in [Who::Anna, Who::Bob] {
        all_refused(&machine, who, jobs("ollama.service"));
        all_refused(&machine, who, jobs("aictl-unit-file@enable:ollama.service"));
    }
}
