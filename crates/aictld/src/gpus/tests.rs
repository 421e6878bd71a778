use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use aictl_api::gpu::{Gpu, GpuState, Vendor};
use tokio::sync::Notify;

use super::*;

fn process(pid: u32) -> GpuProcess {
    GpuProcess::new(pid)
}

fn report(processes: Vec<GpuProcess>) -> GpuReport {
    let gpu = Gpu::new(0, Vendor::Nvidia, GpuState::Awake);
    GpuReport { gpus: vec![Gpu { processes: Some(processes), ..gpu }], notes: vec![] }
}

/// GPUs whose looks are counted, and each waits for a word.
struct Counted {
    gpus: Arc<Gpus>,
    looks: Arc<AtomicUsize>,
    go: Arc<Notify>,
}

impl Counted {
    fn new() -> Self {
        let (looks, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let (count, wait) = (Arc::clone(&looks), Arc::clone(&go));
        let gpus = Gpus::new(move || {
            let number = count.fetch_add(1, SeqCst) + 1;
            let wait = Arc::clone(&wait);
            Box::pin(async move {
                wait.notified().await;
                report(vec![process(u32::try_from(number).unwrap())])
            })
        });
        Self { gpus: Arc::new(gpus), looks, go }
    }

    fn looks(&self) -> usize {
        self.looks.load(SeqCst)
    }

    fn ask(&self) -> tokio::task::JoinHandle<Arc<GpuReport>> {
        let gpus = Arc::clone(&self.gpus);
        tokio::spawn(async move { gpus.report(None).await })
    }

    /// Lets all tasks go as far as they can.
    async fn settle() {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
}

/// The number of the look that a report is of.
fn number(report: &GpuReport) -> u32 {
    report.gpus[0].processes.as_ref().unwrap()[0].pid
}

#[tokio::test(start_paused = true)]
async fn all_who_ask_at_one_time_share_a_look() {
    let counted = Counted::new();
    let asking: Vec<_> = (0..100).map(|_| counted.ask()).collect();
    Counted::settle().await;
    assert_eq!(counted.looks(), 1);
    counted.go.notify_one();
    for answer in asking {
        assert_eq!(number(&answer.await.unwrap()), 1);
    }
    // And so do those who ask right after it.
    assert_eq!(number(&*counted.gpus.report(None).await), 1);
    time::advance(MAX_AGE - Duration::from_millis(1)).await;
    assert_eq!(number(&*counted.gpus.report(None).await), 1);
    assert_eq!(counted.looks(), 1);
    time::advance(Duration::from_millis(1)).await;
    let next = counted.ask();
    counted.go.notify_one();
    assert_eq!(number(&next.await.unwrap()), 2);
}

#[tokio::test(start_paused = true)]
async fn a_look_that_nobody_waits_for_any_more_is_not_begun_anew() {
    let counted = Counted::new();
    for _ in 0..10 {
        let asking = counted.ask();
        Counted::settle().await;
        asking.abort();
        let _gone = asking.await;
    }
    assert_eq!(counted.looks(), 1);
    let last = counted.ask();
    Counted::settle().await;
    counted.go.notify_one();
    assert_eq!(number(&last.await.unwrap()), 1);
}

#[tokio::test]
async fn a_look_that_went_wrong_is_told_and_the_next_one_is_a_new_one() {
    let broken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&broken);
    let gpus = Arc::new(Gpus::new(move || {
        assert!(count.fetch_add(1, SeqCst) > 0, "the first look breaks");
        Box::pin(async { report(vec![]) })
    }));
    let first = tokio::spawn({
        let gpus = Arc::clone(&gpus);
        async move { gpus.report(None).await }
    });
    let first = first.await;
    assert!(first.is_ok_and(|report| report.gpus.is_empty() && report.notes.len() == 1));
    assert_eq!(gpus.report(None).await.gpus.len(), 1);
}

#[test]
fn services_are_those_of_the_catalogue_in_force() {
    let with_unit = |pid, unit: &str| GpuProcess { unit: Some(unit.to_owned()), ..process(pid) };
    let seen = report(vec![
        with_unit(1, "ollama.service"),
        with_unit(2, "user@1000.service"),
        GpuProcess { service: Some("vllm".to_owned()), ..process(3) },
    ]);
    let services = |catalogue: &Catalogue| {
        let (records, _) = records(&seen, catalogue);
        let gpu = dbus_records::gpu(records.into_iter().next().unwrap()).unwrap();
        let processes = gpu.processes.unwrap().into_iter();
        processes.map(|process| process.service).collect::<Vec<_>>()
    };
    assert_eq!(services(&Catalogue::builtin()), [Some("ollama".to_owned()), None, None]);
    assert_eq!(services(&Catalogue::empty()), [None, None, None]);
}
