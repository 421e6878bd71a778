//! That a run through the helper is told of as one without it is: here, and in the machine.

use serde_json::{Map, Value};

/// What differs from run to run; all else must be the same.
const MEASURED: [&str; 5] = ["request_id", "start", "wall_ms", "cpu_ms", "peak_memory_bytes"];

/// Scripts with their options: every outcome, every kind of output, and results.
pub const RUNS: [(&[&str], &str); 19] = [
    (&[], "print('ä', 漢 := 1)"),
    (&[], "import sys\nprint('out')\nprint('err', file=sys.stderr)\nsys.exit(3)"),
    (&[], "result = {'a': [1, 2.5, None, 'ü'], 'b': {'c': True}}"),
    (&[], "result = object()"),
    (&[], "result = float('nan')"),
    (&[], "result = 'x' * 70000"),
    (&[], "import os\nos.write(1, b'\\xff\\x00\\xc3')"),
    (&[], "x = ("),
    (&[], "1 / 0"),
    (&[], "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)"),
    (&[], "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"),
    (&["--timeout", "300ms"], "print('before', flush=True)\nwhile True: pass"),
    (&["--cpu", "200ms"], "while True: pass"),
    (&["--memory", "64M"], "x = []\nwhile True: x.append(bytearray(1 << 20))"),
    (&["--profile", "strict"], "import os\nx = ().__class__"),
    (&["--profile", "strict"], "x = ("),
    (&["--profile", "strict"], "import math\nresult = math.sqrt(16)"),
    (&["--max-output", "100"], "while True: print('x' * 10)"),
    (
        &["--max-processes", "5"],
        "import os, time\nfor i in range(20):\n    if os.fork() == 0: time.sleep(9)\ntime.sleep(9)",
    ),
];

/// Compares the documents of a script that ran both ways, key by key.
#[track_caller]
pub fn assert_alike(script: &str, helped: &Map<String, Value>, embedded: &Map<String, Value>) {
    let keys = |document: &Map<String, Value>| document.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(helped), keys(embedded), "{script}");
    for (key, value) in embedded {
        let its = &helped[key];
        if MEASURED.contains(&key.as_str()) {
            assert_eq!(its.is_null(), value.is_null(), "{script}: {key}");
        } else if key == "message" && !value.is_null() {
            // It may tell how much memory there was.
            assert!(its.is_string(), "{script}: {its}");
        } else if ["stdout", "stderr"].contains(&key.as_str()) && helped["signal"] == 9 {
            // A script that is killed may have printed more or less.
            assert!(its.is_string(), "{script}: {key}");
        } else {
            assert_eq!(its, value, "{script}: {key}");
        }
    }
}
