//! When a run is over, and when not.

use aictl_api::{limits::TIMEOUT, run::Outcome};

use super::{copy_of, ended_in, engine, job, run_in, template, warm};
use crate::engine::Armed;

/// Who waits for the outcome does not wait for the kernel to take apart what there was; what it came
/// to is all there.
#[test]
fn an_end_is_told_when_it_has_begun() {
    let engine = engine();
    let template = template(engine);
    let some = |make: &dyn Fn() -> Armed| {
        // A machine that is busy may be through with it before anybody has looked.
        (0..200).any(|_| {
            let (ended, printed) = ended_in(engine, make(), &job(), "result = 7\nprint(7)");
            let record = &ended.record;
            assert_eq!((record.outcome, record.exit_code), (Outcome::Exited, Some(0)));
            assert_eq!((printed.as_slice(), &record.result), (&b"7\n"[..], &Some(7.into())));
            let used = (record.cpu_usec, record.peak_memory_bytes.unwrap());
            assert!((1..10_000_000).contains(&used.0), "{record:?}");
            assert!((1 << 20..1 << 28).contains(&used.1), "{record:?}");
            ended.is_in_its_end()
        })
    };
    assert!(some(&|| warm(engine)), "no interpreter that has waited");
    assert!(some(&|| copy_of(engine, &template)), "no copy");
}

/// A program that closes its output, as an interpreter does at its end, goes on as before, and ends
/// as it ends.
#[test]
fn whoever_closes_its_output_has_not_ended() {
    let engine = engine();
    let template = template(engine);
    let mut short = job();
    short.limits.set(&TIMEOUT, 500).unwrap();
    let table = [
        ("time.sleep(0.3)\nos._exit(7)", job(), Outcome::Exited, Some(7)),
        ("os._exit(7)", job(), Outcome::Exited, Some(7)),
        ("os.kill(os.getpid(), 9)", job(), Outcome::Signaled, None),
        ("time.sleep(60)", short.clone(), Outcome::TimedOut, None),
        // Nobody may look into these, and so nobody is told how they end.
        (
            "import ctypes\nctypes.CDLL(None).prctl(4, 0)\nbytearray(200 << 20)\nos._exit(7)",
            job(),
            Outcome::Exited,
            Some(7),
        ),
        // Its child would be left.
        (
            "if os.fork():\n    time.sleep(0.3)\n    os._exit(8)\ntime.sleep(60)",
            job(),
            Outcome::Exited,
            Some(8),
        ),
        (
            "if not os.fork():\n    os._exit(0)\ntime.sleep(0.3)\nos._exit(9)",
            job(),
            Outcome::Exited,
            Some(9),
        ),
        (
            "import threading\nthreading.Thread(target=time.sleep, args=[60]).start()\n\
             time.sleep(0.3)\nos._exit(10)",
            job(),
            Outcome::Exited,
            Some(10),
        ),
    ];
    for (rest, job, outcome, exit_code) in table {
        let script = format!("import os, time\nos.close(1)\nos.close(2)\n{rest}");
        for armed in [warm(engine), copy_of(engine, &template)] {
            let (record, _) = run_in(engine, armed, &job, &script);
            assert_eq!(
                (record.outcome, record.exit_code),
                (outcome, exit_code),
                "{rest}: {record:?}"
            );
        }
    }
}
