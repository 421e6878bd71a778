//! What copies of a template may reach, leave behind and use.

use std::time::{Duration, Instant};

use aictl_api::{
    limits::{CPU, MEMORY, OUTPUT, TIMEOUT},
    run::{Outcome, Start},
};

use super::{copy_of, engine, job, run_in, template, warm};
use crate::{engine::Armed, protocol::Job};

/// What makes two runs of copies differ differs, and of what the first one did nothing is left.
#[test]
fn copies_of_a_template_share_nothing_that_a_run_makes() {
    let engine = engine();
    let template = template(engine);
    let script = "import json, os, random, secrets, sys, tempfile, time, uuid\n\
                  result = [random.random(), str(uuid.uuid4()), tempfile.mkdtemp(), secrets.token_hex(),\n    \
                  os.urandom(8).hex(), random.SystemRandom().random(), next(tempfile._get_candidate_names())]\n\
                  left = [hasattr(json, 'left'), 'left' in sys.modules, os.listdir('/tmp')[1:], os.listdir('/work')]\n\
                  print(left, os.getpid(), os.getppid())\n\
                  json.left = sys.modules['left'] = os\n\
                  open('/tmp/left', 'w').write('x')";
    let mut seen = Vec::new();
    for _ in 0..3 {
        let (record, printed) = run_in(engine, copy_of(engine, &template), &job(), script);
        let printed = String::from_utf8(printed).unwrap();
        assert_eq!(printed, "[False, False, [], ['script']] 2 1\n", "{record:?}");
        let Some(serde_json::Value::Array(values)) = record.result else { panic!("{record:?}") };
        seen.extend(values.into_iter().map(|value| value.to_string()));
    }
    let count = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!((count, seen.len()), (21, 21), "{seen:?}");
}

/// A copy has no way to what made it: no memory that is shared, no descriptor, no process.
#[test]
fn a_copy_cannot_reach_its_template() {
    let engine = engine();
    let template = template(engine);
    let script = "import os\n\
                  print([line for line in open('/proc/self/maps') if 'memfd' in line or line.split()[1][1:4] == 'w-s'])\n\
                  print([os.readlink(f'/proc/self/fd/{fd}').split(':')[0] for fd in (0, 1, 2)], \
                  sorted(os.listdir('/proc/self/fd')))\n\
                  print(sorted(pid for pid in os.listdir('/proc') if pid.isdigit()))\n\
                  for pid in (1, 3, 7):\n    \
                  for file in ('mem', 'maps', 'environ', 'root'):\n        \
                  try:\n            os.listdir(f'/proc/{pid}/root') if file == 'root' else open(f'/proc/{pid}/{file}', 'rb').read(1)\n            \
                  print('open', pid, file)\n        except OSError:\n            pass\n\
                  for signal in (2, 9, 10, 12, 15, 19):\n    try:\n        os.kill(1, signal)\n        print('sent')\n    except OSError:\n        pass\n\
                  print(sorted(name for name in globals() if not name.startswith('__')))\n\
                  import sys, gc\n\
                  print([m for m in sys.modules if 'aictl' in m])\n\
                  print(os.path.realpath('/proc/self/root'), os.listdir('/'))";
    let (record, printed) = run_in(engine, copy_of(engine, &template), &job(), script);
    let printed = String::from_utf8(printed).unwrap();
    let (other, printed_other) = run_in(engine, warm(engine), &job(), script);
    assert_eq!(printed, String::from_utf8(printed_other).unwrap(), "{record:?} {other:?}");
    assert!(printed.starts_with("[]\n['pipe', 'pipe', 'pipe']"), "{printed}");
    assert_eq!((record.exit_code, other.exit_code), (Some(0), Some(0)), "{printed}");
    // And it makes others as before.
    let (record, printed) = run_in(engine, copy_of(engine, &template), &job(), "print(1)");
    assert_eq!((record.start, printed.as_slice()), (Some(Start::Forked), &b"1\n"[..]));
}

/// What both share has another form there, or may have.
#[test]
fn a_template_makes_no_copy_for_another_version() {
    let engine = engine();
    let template = template(engine);
    let patience = Duration::from_secs(60);
    for request in [&b"c"[..], b"w", b"c 0.0.0", b"w 0.0.0", b"x"] {
        let rejection = template.ask(request, &[], Instant::now() + patience).err().unwrap();
        assert!(rejection.message.contains("Protocol error"), "{rejection:?}");
    }
    let (record, _) = run_in(engine, copy_of(engine, &template), &job(), "print(1)");
    assert_eq!(record.start, Some(Start::Forked));
}

/// With its template a copy ends, whatever it does; that is told, and no other comes of it.
#[test]
fn a_template_that_is_killed_takes_its_copies_along() {
    let engine = engine();
    let template = template(engine);
    let armed = copy_of(engine, &template);
    template.kill();
    armed.wait_for_its_end();
    assert!(!armed.lives());
    assert!(Armed::of_template(engine, &template, Duration::from_secs(60)).is_err());
}

/// Each is limited as any other run is.
#[test]
fn copies_are_limited() {
    let engine = engine();
    let template = template(engine);
    let base = Job { want_result: false, ..job() };
    for (spec, value, script, outcome) in [
        (&TIMEOUT, 300, "while True: pass", Outcome::TimedOut),
        (&CPU, 1000, "while True: pass", Outcome::TimedOut),
        (
            &MEMORY,
            64 << 20,
            "import os, time\nfor _ in range(5):\n    if os.fork() == 0: break\nx = b'x' * (30 << 20)\ntime.sleep(60)",
            Outcome::OutOfMemory,
        ),
        (&OUTPUT, 4096, "while True: print('x' * 100)", Outcome::OutputLimit),
    ] {
        let mut job = base.clone();
        job.limits.set(spec, value).unwrap();
        let (record, printed) = run_in(engine, copy_of(engine, &template), &job, script);
        let printed = String::from_utf8_lossy(&printed);
        assert_eq!(record.outcome, outcome, "{record:?} {printed:.500}");
        assert_eq!(record.start, Some(Start::Forked));
    }
}
