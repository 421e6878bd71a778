//! What the helper tells of GPUs.

use std::collections::HashMap;

use aictl_api::gpu::{Gpu, GpuProcess, GpuReport, GpuState, Vendor};
use aictl_core::{dbus_records, helper};
use aictld::gpus::Gpus;
use zbus::{OwnedVariant, connection::Builder};

use crate::world::{GPU, Plan, World, error, polkit::Say};

/// A machine with one GPU, on which these processes run.
async fn world(pids: &'static [u32]) -> World {
    let look = move || {
        let processes = pids
            .iter()
            .map(|pid| GpuProcess { memory_bytes: Some(1 << 30), ..GpuProcess::new(*pid) });
        let gpu = Gpu {
            name: Some("A GPU".to_owned()),
            processes: Some(processes.collect()),
            ..Gpu::new(0, Vendor::Nvidia, GpuState::Awake)
        };
        GpuReport { gpus: vec![gpu], notes: vec!["A note.".to_owned()] }
    };
    let gpus = Gpus::new(move || {
        let report = look();
        Box::pin(async move { report })
    });
    Plan { gpus, ..Plan::default() }.begin().await
}

#[tokio::test]
async fn processes_have_their_units_and_services() {
    let world = world(&[7, 8, 9]).await;
    world.systemd.set_pid(7, "ollama.service");
    world.systemd.set_pid(8, "ssh.service");
    let client = Builder::address(world.bus.address()).build().await.unwrap();
    let helper = helper::Helper::running(&client).await.unwrap().unwrap();
    let report = helper.gpus().await.unwrap();
    assert_eq!(report.notes, ["A note."]);
    let gpu = &report.gpus[0];
    assert_eq!((gpu.name.as_deref(), gpu.power_watts), (Some("A GPU"), None));
    let process = |pid, unit: Option<&str>, service: Option<&str>| GpuProcess {
        unit: unit.map(str::to_owned),
        service: service.map(str::to_owned),
        memory_bytes: Some(1 << 30),
        ..GpuProcess::new(pid)
    };
    let expected = [
        process(7, Some("ollama.service"), Some("ollama")),
        process(8, Some("ssh.service"), None),
        process(9, None, None),
    ];
    assert_eq!(gpu.processes.as_deref(), Some(&expected[..]));
    let call = world.journal.call();
    assert_eq!(call["AICTL_METHOD"], "org.aictl1.Gpu.List");
    assert_eq!((&*call["AICTL_DECISION"], &*call["AICTL_RESULT"]), ("allowed", "done"));
    let asked = world.polkit.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].action, "org.aictl1.gpu.read");
}

#[tokio::test]
async fn without_systemd_the_gpus_are_told_and_units_are_unknown() {
    let mut world = world(&[7]).await;
    world.systemd.set_pid(7, "ollama.service");
    world.systemd.go().await;
    let client = world.client().await;
    let answer = client.call(GPU, "List", &()).await.unwrap();
    let body = answer.body();
    let (records, _): (Vec<HashMap<String, OwnedVariant>>, Vec<String>) =
        body.deserialize().unwrap();
    let gpu = dbus_records::gpu(records.into_iter().next().unwrap()).unwrap();
    assert_eq!(gpu.processes.unwrap()[0].unit, None);
}

#[tokio::test]
async fn who_may_not_is_told_nothing() {
    let world = world(&[7]).await;
    world.polkit.say("org.aictl1.gpu.read", Say::No).await;
    let client = world.client().await;
    assert_eq!(error(client.call(GPU, "List", &()).await), "NotAuthorized");
    assert_eq!(error(client.call(GPU, "List", &("x",)).await), "InvalidArgument");
    let calls = world.journal.calls();
    assert_eq!(calls[0]["AICTL_DECISION"], "denied");
    assert_eq!(calls[1]["AICTL_DECISION"], "invalid");
}
