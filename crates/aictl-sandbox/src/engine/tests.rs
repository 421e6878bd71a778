//! The engine as a whole, in this process: many sandboxes from many threads at once.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod copies;
mod ends;

use std::{
    os::fd::AsFd,
    path::Path,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use aictl_api::{
    limits::Limits,
    record::{RunRecord, RunTimes},
    run::{Outcome, Start},
    strict::{FORBIDDEN_BUILTINS, Imports, Policy},
};
use nix::sys::{signal::Signal, socket::MsgFlags};

use super::{Armed, Ended, Engine, Remote, Script, Task, Template, run};
use crate::{
    interpreter::{self, Interpreter, Runtime},
    protocol::{Job, Profile, Reply, RequestId, ScriptArgs, ScriptName},
    socket,
    sys::alloc_guard,
};

/// One for all tests: to give up root is a matter of the whole process.
pub fn engine() -> &'static Engine {
    static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::new(&[], false).unwrap());
    &ENGINE
}

fn job() -> Job {
    Job {
        request_id: RequestId::from_bytes([7; 16]),
        name: ScriptName::fallback(),
        runtime: Runtime::Python,
        args: ScriptArgs::default(),
        limits: Limits::default(),
        profile: Profile::Standard,
        want_result: true,
        stdin: false,
        user: None,
        patient: false,
        warm: true,
    }
}

/// Runs a script, and returns the record with its standard output.
fn run_script(engine: &Engine, script: &str) -> (RunRecord, Vec<u8>) {
    run_job(engine, &job(), script)
}

fn python() -> Interpreter {
    interpreter::inspect(Runtime::Python, Path::new("/usr/bin/python3")).unwrap()
}

fn run_job(engine: &Engine, job: &Job, script: &str) -> (RunRecord, Vec<u8>) {
    run_in(engine, Armed::new(engine).unwrap(), job, script)
}

/// A sandbox whose interpreter waits.
fn warm(engine: &Engine) -> Armed {
    let mut armed = Armed::new(engine).unwrap();
    armed.warm_up(engine, &python(), Duration::from_secs(60)).unwrap();
    assert!(armed.lives());
    armed
}

/// An interpreter whose copies run scripts.
fn template(engine: &Engine) -> Arc<Template> {
    let library = std::env::current_exe().unwrap().with_file_name(aictl_template::FILE_NAME);
    let library = std::fs::File::open(library).unwrap();
    Arc::new(Template::start(engine, &python(), &library, Duration::from_secs(60)).unwrap())
}

/// A copy of it that waits.
fn copy_of(engine: &Engine, template: &Arc<Template>) -> Armed {
    Armed::of_template(engine, template, Duration::from_secs(60)).unwrap()
}

/// Runs a script in this sandbox; returns the record with all that it printed.
fn run_in(engine: &Engine, armed: Armed, job: &Job, script: &str) -> (RunRecord, Vec<u8>) {
    let (ended, printed) = ended_in(engine, armed, job, script);
    (ended.record, printed)
}

/// As above, before all that the kernel has to do is waited for.
fn ended_in(engine: &Engine, armed: Armed, job: &Job, script: &str) -> (Ended, Vec<u8>) {
    let (ours, theirs) = socket::pair().unwrap();
    let script = Script::new(script.into(), 1 << 20).unwrap();
    let mut client = Remote(theirs.as_fd());
    let python = python();
    let patience = Duration::ZERO;
    let task = Task { job, script: &script, interpreter: &python, stdin: None };
    let ended = run(engine, armed, task, &mut client, patience).unwrap();
    let mut printed = Vec::new();
    while let Ok(packet) = socket::receive(ours.as_fd(), MsgFlags::MSG_DONTWAIT) {
        if let Reply::Output(_, bytes) = Reply::decode(&packet.bytes).unwrap() {
            printed.extend(bytes);
        }
    }
    (ended, printed)
}

/// Between clone and exec only one thread of many exists: a lock that another one held would
/// never be released. Here others allocate all the time, and the guard ends any process but this
/// one that allocates at all; then the program would never run.
#[test]
fn nothing_is_allocated_between_clone_and_exec() {
    let engine = engine();
    let done = AtomicBool::new(false);
    alloc_guard::arm();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(SeqCst) {
                    std::hint::black_box(vec![0u8; 1000]);
                }
            });
        }
        let runners: Vec<_> = (0..3)
            .map(|runner| {
                scope.spawn(move || {
                    for turn in 0..5 {
                        let script = format!("print({runner}, {turn})\nresult = {turn}");
                        let (record, printed) = run_script(engine, &script);
                        assert_eq!(record.outcome, Outcome::Exited, "{record:?}");
                        assert_eq!(record.exit_code, Some(0), "{record:?}");
                        assert_eq!(printed, format!("{runner} {turn}\n").into_bytes());
                        assert_eq!(record.result, Some(turn.into()));
                        let (record, printed) = run_in(engine, warm(engine), &job(), &script);
                        assert_eq!((record.start, record.exit_code), (Some(Start::Warm), Some(0)));
                        assert_eq!(printed, format!("{runner} {turn}\n").into_bytes());
                    }
                })
            })
            .collect();
        let results: Vec<_> = runners.into_iter().map(thread::ScopedJoinHandle::join).collect();
        done.store(true, SeqCst);
        assert!(results.iter().all(Result::is_ok));
    });
}

#[test]
fn the_guard_tells_processes_apart() {
    assert!(alloc_guard::allowed());
}

/// What the static check before a run says of a module, the hook inside says as well, and allowed
/// modules work as ever.
#[test]
fn strict_leaves_the_same_modules_inside_as_the_check_before() {
    let engine = engine();
    let names = ["json", "datetime", "dataclasses", "enum", "collections", "encodings.utf_16"];
    let imports = Imports::try_from(names.map(str::to_owned).to_vec()).unwrap();
    let policy = Policy { imports: imports.clone(), ..Policy::default() };
    let job = Job { profile: Profile::Strict(policy), ..job() };
    let run = |script: &str| {
        let (record, printed) = run_job(engine, &job, script);
        assert_eq!(record.exit_code, Some(0), "{script}: {record:?}");
        (record.result, String::from_utf8(printed).unwrap())
    };
    let modules = [
        "json",
        "json.decoder",
        "json.tool",
        "json._x",
        "jsonx",
        "os",
        "sys",
        "builtins",
        "importlib",
        "collections.abc",
        "_collections_abc",
        "encodings",
        "encodings.utf_16",
        "encodings.idna",
        "__future__",
        "math",
        "posix",
        "_strptimes",
    ];
    for module in modules {
        let script = format!(
            "try:\n    import {module}\n    print('there')\n\
             except ModuleNotFoundError:\n    print('there')\n\
             except ImportError as error:\n    print(error)\n"
        );
        let expected = match imports.allow(module) {
            true => "there\n".to_owned(),
            false => format!("the profile strict does not allow the module {module}\n"),
        };
        assert_eq!(run(&script).1, expected);
    }
    let script = "\
import json, enum\n\
from collections import Counter, namedtuple\n\
from dataclasses import dataclass, field\n\
from datetime import datetime\n\
@dataclass(order=True)\n\
class Item:\n    name: str\n    tags: list = field(default_factory=list)\n\
class Kind(enum.Enum):\n    A = 1\n\
Pair = namedtuple('Pair', 'a b')\n\
result = [Item('x').name, Kind.A.value, Pair(1, 2).b, Counter('aab').most_common(1)[0][0],\n\
          datetime.strptime('2024-02-29', '%Y-%m-%d').day, len('x'.encode('utf-16')),\n\
          json.loads('[1]')[0], datetime(2024, 2, 29).strftime('%d'),\n\
          10**20000 // 3**18000 % 7]\n";
    assert_eq!(run(script).0, Some(serde_json::json!(["x", 1, 2, "a", 29, 4, 1, "29", 4])));
    for name in FORBIDDEN_BUILTINS {
        let script = format!("try:\n    {name}\nexcept NameError:\n    print('gone')\n");
        assert_eq!(run(&script).1, "gone\n", "{name}");
    }
    let without = Job { want_result: false, ..job.clone() };
    let (record, printed) = run_job(engine, &without, "print(__name__, 'os' in [])\n");
    assert_eq!((record.exit_code, printed.as_slice()), (Some(0), &b"__main__ False\n"[..]));
}

/// Whatever a script can ask, an interpreter that has waited for it answers as a fresh one does.
#[test]
fn an_interpreter_that_waited_is_as_a_fresh_one() {
    let engine = engine();
    let template = template(engine);
    let scripts = [
        "import sys\nprint(sys.argv, __name__, __file__, sys.path, sys.flags, sys.stdin.read())",
        "print(sorted(globals()), __spec__, __builtins__, __loader__.path if __loader__ else 0)\nresult = [1, {'a': None}]",
        "import os\nprint(os.environ, os.getcwd(), os.listdir('.'), os.getpid(), os.getppid())",
        "import os\nfor fd in sorted(os.listdir('/proc/self/fd'), key=int):\n    print(fd)",
        "import resource as r\nfor name in sorted(dir(r)):\n    if name.startswith('RLIMIT'):\n        \
         print(name, r.getrlimit(getattr(r, name)))",
        "def f():\n    1 / 0\nf()",
        "raise SystemExit('no')",
        "class Own(BaseException): pass\ndef f():\n    raise Own('mine')\nf()",
        "import asyncio\nraise asyncio.CancelledError('x')",
        "class Own(KeyboardInterrupt): pass\nraise Own",
        "import atexit, sys\natexit.register(print, 'bye', file=sys.stderr)\ndef f():\n    raise KeyboardInterrupt\nf()",
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(9)",
        "import sys\ndef hook(*of):\n    print(of[:2], file=sys.stderr)\n    raise ValueError('of the hook')\nsys.excepthook = hook\n1 / 0",
        "import sys\ndef hook(*of):\n    sys.exit(7)\nsys.excepthook = hook\n1 / 0",
        "import sys\ndel sys.excepthook\n1 / 0",
        "import sys\nsys.excepthook = None\n1 / 0",
        "class E(Exception):\n    def with_traceback(self, _): pass\nraise E('x')",
        "import atexit, sys, traceback\natexit.register(lambda: traceback.print_last())\n1 / 0",
        "import sys\nsys.excepthook = lambda *of: print(of[2].tb_lineno, of[2].tb_next)\n1 / 0",
        "import sys\nsys.exit(7)",
        "nonsense nonsense",
        "import atexit\natexit.register(print, 'bye')\nclass A:\n    def __del__(self):\n        \
         print('gone')\na = A()\nb = [a]\nb.append(b)",
        "open('/dev/stdout', 'w').write('left in a buffer')",
        "class A:\n    def __init__(self, n): self.n = n\n    def __del__(self):\n        print('gone', self.n)\n\
         _a, b, c = A(1), A(2), A(3)\ndef f():\n    yield\n    print('never')\n\
         def g():\n    try:\n        yield\n    finally:\n        print('closed')\nh = g()\nnext(h)\nc.c = c",
        "import sys, types\nclass A:\n    def __init__(self, n): self.n = n\n    def __del__(self):\n        \
         print('gone', self.n)\nsys.modules['m'] = m = types.ModuleType('m')\nm._a, m.b = A(4), A(5)\nm.m = m",
        "import json, sys, types\nclass A:\n    def __del__(self):\n        print('gone')\ndel sys.modules['json']\n\
         sys.modules['m'] = m = types.ModuleType('m')\nm.a = A()",
        "import sys, types\nclass A:\n    def __del__(self):\n        print('gone')\n\
         sys.modules['m'] = m = types.ModuleType('m')\nm.a = A()\nlast = list(sys.modules)[-2]\n\
         sys.modules[last] = sys.modules.pop(last)",
        "import sys\nclass A:\n    def __init__(self, n): self.n = n\n    def __del__(self):\n        print('gone', self.n)\n\
         sys.meta_path.append(A(1))\nsys.path_hooks.append(A(2))\nsys.path_importer_cache['x'] = A(3)",
        "import sys\nclass A:\n    def __del__(self):\n        print('gone')\nA.__call__ = lambda *a: print('hook')\nsys.excepthook = A()\nsys.a = A()\n1 / 0",
        "import builtins, os, sys\nclass A:\n    def __del__(self, write=os.write):\n        write(2, b'gone\\n')\nbuiltins.a = A()\nsys.exit('bye')",
        "import io, sys\nsys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, 'w')))\nprint('late')",
        "def f(): pass\nout = open('/dev/stdout', 'w')\nprint('hello', file=out)",
        "from subprocess import Popen\np = Popen(['true'])\np.wait()\np.stdin = open('/dev/stdout', 'w')\n\
         p.stdin.write('hello\\n')\ndef f(): pass",
        "import csv\ncsv.writer(open('/dev/stdout', 'w')).writerow([1, 2])\nclass A: pass",
        "import atexit\ndef late():\n    global out\n    out = open('/dev/stdout', 'w')\n    out.write('late')\n\
         atexit.register(late)",
        "import json, sys\ndef f(self, o): return 0\njson.JSONEncoder.default = f\nout = open('/dev/stdout', 'w')\n\
         out.write('held')\nsys.exit(print('end'))",
        "import json\ndef f(self, o): return 0\njson.JSONEncoder.default = f\nout = open('/dev/stderr', 'w')\n\
         out.write('held')\nraise SystemExit('end')",
        "import sys\nsys.exit(2 ** 70)",
        "import sys\nsys.exit(2 ** 40 + 3)",
        "import sys\nsys.exit(True)",
        "import signal\nclass A:\n    def __del__(self): print('bye')\na = A()\nsignal.signal(14, lambda *_: a)",
        "import sys\nsys.modules.clear()",
        "import sys\nclass M:\n    def __getattr__(self, name): raise ValueError\nsys.modules['m'] = M()",
        "import sys\nsys.modules['threading'] = 7",
        "import sys\ndel sys.excepthook",
        "class A:\n    @property\n    def __class__(self): raise BaseException('no')\na = A()\nprint(1)",
        "import os\nresult = 1\nos.fork()",
        "import ctypes\nctypes.CDLL(None).printf(b'of C\\n')",
        "import weakref\nclass A: pass\na = A()\nweakref.finalize(a, print, 'finalized')",
        "import asyncio\nasync def f():\n    await asyncio.sleep(9)\nasync def g():\n    asyncio.ensure_future(f())\n\
         asyncio.new_event_loop().run_until_complete(g())",
        "import threading, time\nthreading.Thread(target=time.sleep, args=[9], daemon=True).start()\nraise SystemExit(300)",
        "import threading\nthreading.Thread(target=print, args=['late']).start()",
        "import subprocess, sys\nprint(subprocess.run([sys.executable, '-c', 'print(1)']))",
        "import signal\nprint([signal.getsignal(s) for s in (2, 13, 15)], signal.pthread_sigmask(0, []))",
        "import os\nos.kill(os.getpid(), 9)",
        "import json, re, datetime\nprint(json.dumps({'a': 1}), re.sub('a', 'b', 'aa'))",
        "# coding: latin-1\nprint('\u{fc}')",
    ];
    let imports = Imports::try_from(vec!["json".to_owned(), "math".to_owned()]).unwrap();
    let policy = Policy { imports, ..Policy::default() };
    let args = vec!["a b".to_owned(), String::new(), "\u{fc}\n".to_owned()];
    let plain = Job { args: ScriptArgs::try_from(args).unwrap(), ..job() };
    let jobs = [
        plain.clone(),
        Job { want_result: false, ..plain.clone() },
        Job { profile: Profile::Strict(policy), ..plain },
    ];
    for job in &jobs {
        let compiled = ScriptName::try_from("a.pyc".to_owned()).unwrap();
        let compiled = Job { name: compiled, ..job.clone() };
        let all = scripts.map(|script| (job, script)).into_iter();
        for (job, script) in all.chain([(&compiled, "print(1)")]) {
            let (cold, printed_cold) = run_job(engine, job, script);
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let comparable = |record: RunRecord| RunRecord {
                start: Some(Start::Cold),
                wall_usec: 0,
                times: RunTimes::default(),
                cpu_usec: 0,
                peak_memory_bytes: None,
                ..record
            };
            let cold = comparable(cold);
            for (start, armed) in
                [(Start::Warm, warm(engine)), (Start::Forked, copy_of(engine, &template))]
            {
                let (record, printed) = run_in(engine, armed, job, script);
                assert_eq!(text(&printed), text(&printed_cold), "{start:?} {script}");
                assert_eq!(record.start, Some(start));
                assert_eq!(comparable(record), cold, "{start:?} {script}");
            }
        }
    }
}

/// A sandbox that is made while sandboxd has other things open holds none of them while it waits.
#[test]
fn an_interpreter_that_waits_keeps_nothing_of_others_open() {
    let engine = engine();
    let (reader, writer) = nix::unistd::pipe().unwrap();
    let armed = warm(engine);
    drop(writer);
    assert!(socket::wait_readable(reader.as_fd(), Duration::from_secs(60)), "it is still open");
    drop(armed);
}

/// One that dies while it waits is no sandbox any more, and nothing of it is left.
#[test]
fn an_interpreter_that_ends_while_it_waits_is_seen() {
    let engine = engine();
    let armed = warm(engine);
    let first = armed.first_process();
    let children = std::fs::read_to_string(format!("/proc/{first}/task/{first}/children")).unwrap();
    let python: i32 = children.trim().parse().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(python), Signal::SIGKILL).unwrap();
    armed.wait_for_its_end();
    assert!(!armed.lives());
}
