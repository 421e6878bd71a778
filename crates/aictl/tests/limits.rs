//! Every limit ends a run in its own outcome, with what was printed until then, and nothing left.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::*;

#[test]
fn every_limit_has_its_outcome_and_keeps_what_was_printed() {
    let burn = "while True: pass";
    let fill = "x = []\nwhile True: x.append(bytearray(1 << 20))";
    let fill_children = "import os, time\nfor i in range(8):\n    if os.fork() == 0:\n        \
                         x = bytearray(40 << 20)\n        x[::4096] = b'x' * len(x[::4096])\n        \
                         time.sleep(60)\ntime.sleep(60)";
    let fork = "import os, time\nfor i in range(60):\n    if os.fork() == 0:\n        \
                time.sleep(60)\n        os._exit(0)\ntime.sleep(60)";
    let threads = "import threading, time\nfor i in range(60):\n    \
                   threading.Thread(target=time.sleep, args=(60,)).start()";
    let loud = "while True: print('x' * 1000)";
    let loud_error = "import sys\nwhile True: print('x' * 1000, file=sys.stderr)";
    let burn_children = "import os\nfor i in range(4): os.fork()\nwhile True: pass";
    let hide_children = "import os, signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\n\
                         while True:\n    if os.fork() == 0:\n        \
                         for i in range(10 ** 6): pass\n        os._exit(0)\n    \
                         for i in range(10 ** 6): pass";
    let deaf = "import signal, time\nfor s in range(1, 65):\n    try: signal.signal(s, signal.SIG_IGN)\n    \
                except (OSError, ValueError): pass\ntime.sleep(60)";
    let table: [(&str, &[&str], &str); 13] = [
        ("timed-out", &["--timeout", "1s"], "import time; time.sleep(60)"),
        ("timed-out", &["--timeout", "1s"], deaf),
        ("timed-out", &["--timeout", "1s"], "input()\nimport time; time.sleep(60)"),
        ("timed-out", &["--cpu", "300ms"], burn),
        ("timed-out", &["--cpu", "300ms"], burn_children),
        ("timed-out", &["--cpu", "300ms"], hide_children),
        ("out-of-memory", &["--memory", "64M"], fill),
        ("out-of-memory", &["--memory", "128M"], fill_children),
        ("process-limit", &["--max-processes", "10"], fork),
        ("process-limit", &["--max-processes", "10"], threads),
        ("output-limit", &["--max-output", "10K"], loud),
        ("output-limit", &["--max-output", "10K"], loud_error),
        ("output-limit", &["--max-output", "6"], "print('before')\nimport time; time.sleep(60)"),
    ];
    for (outcome, options, script) in table {
        let script = match script.strip_prefix("input()\n") {
            // The end of standard input must not be the end of the script.
            Some(rest) => format!("print('before')\n{rest}"),
            None if script.starts_with("print") => script.to_owned(),
            None => format!("print('before')\n{script}"),
        };
        let report = report(options, &script);
        assert_eq!(report["outcome"], outcome, "{options:?} {script}\n{report:#}");
        assert_eq!(report["exit_code"], serde_json::Value::Null, "{report:#}");
        assert_eq!(report["signal"], 9, "{report:#}");
        assert!(report["message"].is_string(), "{report:#}");
        let stdout = report["stdout"].as_str().unwrap();
        assert!(stdout.starts_with("before"), "{options:?} {script}\n{report:#}");
    }
}

#[test]
fn output_is_cut_exactly_at_its_limit() {
    let report = report(&["--max-output", "1000"], "print('x' * 5000, end='')");
    assert_eq!(report["stdout"].as_str().unwrap().len(), 1000);
    assert_eq!(
        (&report["stdout_truncated"], &report["stderr_truncated"]),
        (&true.into(), &false.into())
    );
    let report = common::report(&["--max-output", "5000"], "print('x' * 5000, end='')");
    assert_eq!(
        (&report["outcome"], &report["stdout_truncated"]),
        (&"exited".into(), &false.into())
    );
}

#[test]
fn files_have_room_for_the_work_size_and_no_more() {
    let script = "import os\nfor directory in ('/work', '/tmp'):\n    n = 0\n    try:\n        \
                  while True:\n            with open(f'{directory}/{n}', 'wb') as f: f.write(bytes(1 << 20))\n            \
                  n += 1\n    except OSError as e:\n        print(n, e.errno)\n    \
                  for i in range(n + 1): os.remove(f'{directory}/{i}')\n\
                  n = 0\ntry:\n    while True:\n        open(f'/tmp/{n}', 'w').close()\n        n += 1\n\
                  except OSError as e:\n    print(n > 10000, n < 20000, e.errno)";
    let report = report(&["--work-size", "8M"], script);
    assert_eq!(
        report["stdout"],
        "7 28\n7 28\nTrue True 28\n".replace("7 28\n7", "7 28\n8"),
        "{report:#}"
    );
}

#[test]
fn what_a_run_cost_is_measured_over_all_its_processes() {
    let script = "import os\npids = []\nfor i in range(3):\n    pid = os.fork()\n    if pid == 0:\n        \
                  x = bytearray(30 << 20)\n        for i in range(3 * 10 ** 6): pass\n        os._exit(0)\n    \
                  pids.append(pid)\nfor pid in pids: os.waitpid(pid, 0)\nimport time\n\
                  print(time.process_time() * 1000)";
    let report = report(&[], script);
    let own: f64 = report["stdout"].as_str().unwrap().trim().parse().unwrap();
    let cpu = report["cpu_ms"].as_f64().unwrap();
    assert!(cpu > 2.0 * own, "{cpu} ms, of which the first process used {own}");
    assert!(report["wall_ms"].as_f64().unwrap() > 0.0);
    let peak = report["peak_memory_bytes"].as_u64().unwrap();
    assert!(peak > 30 << 20, "{peak} bytes");
}

#[test]
fn a_limit_that_is_not_reached_changes_nothing() {
    let report = report(
        &["--timeout", "20s", "--cpu", "10s", "--memory", "64M", "--max-processes", "4"],
        "import threading\nts = [threading.Thread(target=print, args=(i,)) for i in range(3)]\n\
         [t.start() for t in ts]; [t.join() for t in ts]\nx = bytearray(20 << 20)",
    );
    assert_eq!(
        (&report["outcome"], &report["exit_code"]),
        (&"exited".into(), &0.into()),
        "{report:#}"
    );
    assert_eq!(report["message"], serde_json::Value::Null);
}
