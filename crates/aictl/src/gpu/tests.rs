//! What `aictl gpu` prints.

use aictl_api::gpu::{Gpu, Vendor};

use super::{
    table::tests::{arc, h100, radeon, rtx},
    *,
};
use crate::table::tests::{plain, shown};

#[test]
fn gpus_and_what_runs_on_them() {
    let gpus = vec![rtx(), h100(), radeon(), arc()];
    let notes = vec!["processes of other users cannot be seen".to_owned()];
    let report = GpuReport { gpus, notes };
    insta::assert_snapshot!(shown(|look| text(&report, true, look)));
}

#[test]
fn no_gpu_is_no_error_and_the_reasons_are_said() {
    let mut report = GpuReport::default();
    assert_eq!(text(&report, true, plain(Some(80))), "No GPU was found.\n");
    report.notes.push("there is an NVIDIA GPU, but no driver: install it".to_owned());
    assert_eq!(
        text(&report, false, plain(None)),
        "No GPU was found.\nnote: there is an NVIDIA GPU, but no driver: install it\n"
    );
}

#[test]
fn processes_are_shown_if_they_are_wanted_and_what_is_not_known_is_said() {
    let unknown = Gpu::new(0, Vendor::Intel, GpuState::Awake);
    let idle = Gpu { processes: Some(Vec::new()), ..Gpu::new(1, Vendor::Amd, GpuState::Awake) };
    let asleep = Gpu::new(2, Vendor::Amd, GpuState::Sleeping);
    let hidden = Gpu { processes_hidden: Some(true), index: 3, ..idle.clone() };
    let report = GpuReport { gpus: vec![unknown, idle, asleep, hidden], notes: Vec::new() };
    let without = text(&report, false, plain(Some(80)));
    let with = text(&report, true, plain(Some(80)));
    let said = "\nGPU 0: its processes cannot be listed\nGPU 1: no process uses it\nGPU 3: no \
                process that you may see uses it\n";
    assert_eq!(with, without + said);
}

#[test]
fn who_is_refused_is_told_what_shows_without_the_helper() {
    for (error, expected) in [
        (CallError::NotAuthorized("no".to_owned()), "org.aictl1.gpu.read; `aictl gpu --embedded`"),
        (CallError::Unavailable("gone".to_owned()), "`aictl doctor`"),
    ] {
        assert!(words(&error).contains(expected), "{}", words(&error));
    }
}
