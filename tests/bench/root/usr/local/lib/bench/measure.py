"""What `cargo xtask bench` measures inside of its machine: measure.py SECTION COUNT [ARGUMENT...]

Printed as lines of fields with tabs between them, for the driver to read:

    row     NAME  MILLISECONDS MILLISECONDS ...   one number a round; rows of a section in turns
    figure  KEY   NUMBER                          a number of its own
    note    TEXT                                  what was not measured, and why
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import time

PYTHON = "/usr/bin/python3"
AICTL = "/usr/bin/aictl"
PLACE = "/usr/local/lib/bench"
HELLO = f"{PLACE}/hello.py"
IMPORTS = f"{PLACE}/imports.py"
PRINTED = b"1\n"
# How long the machine rests before each run: what the kernel clears away behind one row, and the
# interpreter that is armed for the next run, are not the next row's time.
REST = 0.12
NULL = os.open("/dev/null", os.O_RDWR)


def say(*fields):
    print(*fields, sep="\t", flush=True)


def start(argv, stdout, stderr=NULL):
    to = [(os.POSIX_SPAWN_DUP2, NULL, 0), (os.POSIX_SPAWN_DUP2, stdout, 1)]
    to.append((os.POSIX_SPAWN_DUP2, stderr, 2))
    return os.posix_spawnp(argv[0], argv, os.environ, file_actions=to)


def once(argv):
    """Milliseconds from before the start of a process until it has been waited for."""
    read, write = os.pipe()
    begin = time.perf_counter()
    pid = start(argv, write)
    os.close(write)
    printed = b""
    while part := os.read(read, 65536):
        printed += part
    _, status = os.waitpid(pid, 0)
    took = (time.perf_counter() - begin) * 1000
    os.close(read)
    if status != 0 or printed != PRINTED:
        raise OSError(f"it ended with {os.waitstatus_to_exitcode(status)} and printed {printed!r}")
    return took


def show(name, samples):
    say("row", name, " ".join(f"{sample:.4f}" for sample in samples))


def rows(rounds, named):
    """Times commands in turns, after a round that does not count and that drops what fails."""
    fit = {}
    for name, argv in named.items():
        try:
            once(argv)
            fit[name] = argv
        except OSError as error:
            say("note", f"{name}: {error}")
    samples = {name: [] for name in fit}
    for _ in range(rounds):
        for name, argv in fit.items():
            time.sleep(REST)
            samples[name].append(once(argv))
    for name, times in samples.items():
        show(name, times)


def peers(script):
    found = {}
    binds = ["--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin"]
    binds += ["--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64"]
    sandbox = ["bwrap", "--unshare-all", *binds, "--proc", "/proc", "--dev", "/dev"]
    sandbox += ["--tmpfs", "/tmp", "--ro-bind", script, "/script.py", "--die-with-parent"]
    found["bubblewrap"] = [*sandbox, "--new-session", PYTHON, "-I", "/script.py"]
    sandbox = ["firejail", "--quiet", "--noprofile", "--private", "--private-dev", "--net=none"]
    sandbox += ["--caps.drop=all", "--nonewprivs", "--seccomp"]
    found["firejail"] = [*sandbox, PYTHON, "-I", script]
    sandbox = ["nsjail", "--quiet", "--mode", "o", "--chroot", "/", "--user", "99999"]
    found["nsjail"] = [*sandbox, "--", PYTHON, "-I", script]
    unit = ["systemd-run", "--user", "--quiet", "--pipe", "--wait", "--collect"]
    unit += [f"--property={name}=yes" for name in ("PrivateUsers", "PrivateNetwork", "NoNewPrivileges")]
    found["systemd-run"] = [*unit, "--property=ProtectSystem=strict", PYTHON, "-I", script]
    for name, argv in list(found.items()):
        if shutil.which(argv[0]) is None:
            say("note", f"{name}: it is not installed")
            del found[name]
    return found


def bare(script):
    return [PYTHON, "-I", script]


def warm(rounds):
    """A run through the helper beside bare Python and the others."""
    named = {"bare python3 -I": bare(HELLO), "aictl run": [AICTL, "run", HELLO]}
    named["aictl run --embedded"] = [AICTL, "--embedded", "run", HELLO]
    rows(rounds, named | peers(HELLO))
    parts(rounds)


def parts(rounds):
    """Where the time of a run goes, by what it says itself."""
    argv = [AICTL, "--json", "run", "--timings", HELLO]
    times, starts = {}, {}
    for _ in range(rounds):
        time.sleep(REST)
        ran = subprocess.run(argv, stdin=NULL, capture_output=True, check=True)
        report = json.loads(ran.stdout)
        kind = report.get("start") or "cold"
        starts[kind] = starts.get(kind, 0) + 1
        found = dict(report["timings"], engine_usec=report["wall_ms"] * 1000)
        for part, usec in found.items():
            if usec is not None:
                times.setdefault(part, []).append(usec / 1000)
    for kind in ("warm", "forked", "cold"):
        say("figure", f"started_{kind}", starts.get(kind, 0))
    for part, samples in times.items():
        show(f"part: {part.removesuffix('_usec')}", samples)


def imports(rounds):
    """The same for a script that imports what scripts import."""
    rows(rounds, {"bare python3 -I": bare(IMPORTS), "aictl run": [AICTL, "run", IMPORTS]})


def several(seconds, clients, argv):
    """So many at one time, each beginning the next as one ends; the milliseconds of each."""
    begun, took = {}, []
    until = time.perf_counter() + seconds
    def begin():
        begun[start(argv, NULL)] = time.perf_counter()
    for _ in range(clients):
        begin()
    while begun:
        pid, status = os.wait()
        now = time.perf_counter()
        if status != 0:
            raise OSError(f"a run ended with {os.waitstatus_to_exitcode(status)}")
        took.append((now - begun.pop(pid)) * 1000)
        if now < until:
            begin()
    return took


def throughput(seconds):
    """Runs a second with 1, 2, 4 and 16 clients at one time."""
    for clients in (1, 2, 4, 16):
        for name, argv in (("bare python3 -I", bare(HELLO)), ("aictl run", [AICTL, "run", HELLO])):
            begin = time.perf_counter()
            took = several(seconds, clients, argv)
            all_of_it = time.perf_counter() - begin
            show(f"{name}, {clients} at one time", took)
            key = "bare" if name.startswith("bare") else "aictl"
            say("figure", f"{key}_runs_a_second_{clients}", f"{len(took) / all_of_it:.1f}")


def long(count):
    """So many runs in a row, two at one time; the times of each tenth."""
    tenths = []
    for tenth in range(10):
        took = []
        begin = time.perf_counter()
        while len(took) < count // 10:
            took += several(0.5, 2, [AICTL, "run", HELLO])
        rate = len(took) / (time.perf_counter() - begin)
        tenths.append(rate)
        show(f"tenth {tenth + 1}", took)
    for index, rate in enumerate(tenths):
        say("figure", f"runs_a_second_tenth_{index + 1}", f"{rate:.1f}")
    say("figure", "last_tenth_over_first", f"{tenths[-1] / tenths[0]:.3f}")


def queue(count):
    """So many runs at once, of which most wait for their turn."""
    begin, begun, took, failed = time.perf_counter(), {}, [], 0
    for _ in range(count):
        begun[start([AICTL, "run", HELLO], NULL)] = time.perf_counter()
    started = time.perf_counter() - begin
    while begun:
        pid, status = os.wait()
        took.append((time.perf_counter() - begun.pop(pid)) * 1000)
        failed += status != 0
    all_of_it = time.perf_counter() - begin
    show(f"each of {count} at once", took)
    say("figure", "all_begun_seconds", f"{started:.2f}")
    say("figure", "all_ended_seconds", f"{all_of_it:.2f}")
    say("figure", "runs_a_second", f"{count / all_of_it:.1f}")
    say("figure", "failed", failed)


ALL_MAY_RUN = """polkit.addRule(function(action, subject) {
    if (action.id == "org.aictl1.sandbox.run") { return polkit.Result.YES; }
});
"""


def ten(rounds):
    """Ten users, one of whom has a thousand runs that wait: what a run of the others takes."""
    rule = "/etc/polkit-1/rules.d/10-ten.rules"
    with open(rule, "w") as file:
        file.write(ALL_MAY_RUN)
    # polkit looks at its rules anew when their directory changes, a moment later.
    time.sleep(2)
    try:
        # In a control group, as people are: what comes from outside of the machine is in none.
        argv = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect"]
        argv += [PYTHON, "-I", "/usr/local/lib/stand-ins/runs.py", "ten", "1000", str(rounds)]
        ran = subprocess.run(argv, stdin=NULL, capture_output=True, check=True)
    finally:
        os.remove(rule)
    seen = json.loads(ran.stdout)
    for what in [key for key, value in seen.items() if isinstance(value, dict) and "p95_ms" in value]:
        name = what.replace(" ", "_")
        for key in ("median_ms", "p95_ms"):
            say("figure", f"{name}_{key}", f"{seen[what][key]:.2f}")
    say("figure", "flood_accepted", seen["flood"]["accepted"])
    say("figure", "still_waiting_at_the_end", seen["still there at the end"])


def unit(rounds):
    """An action on a unit by aictl, and by systemctl: as root, whom nobody has to be asked for."""
    quiet = [["aictl", "--quiet", verb, "ollama"] for verb in ("stop", "start")]
    plain = [["systemctl", verb, "ollama.service"] for verb in ("stop", "start")]
    samples = {"systemctl stop, start": [], "aictl stop, start": []}
    for number in range(rounds + 1):
        for name, commands in zip(samples, (plain, quiet)):
            # systemd lets nobody start a unit as often as this (StartLimitBurst=), and knows nothing
            # of one that it has not loaded yet.
            reset = ["systemctl", "reset-failed", "ollama.service"]
            subprocess.run(reset, check=False, stdin=NULL, stdout=NULL, stderr=NULL)
            time.sleep(REST)
            begin = time.perf_counter()
            for argv in commands:
                subprocess.run(argv, check=True, stdin=NULL, stdout=NULL)
            if number > 0:
                samples[name].append((time.perf_counter() - begin) * 1000)
    for name, times in samples.items():
        show(name, times)


def first(rounds):
    """The first run after the helper and the keeper of sandboxes have ended, and the next."""
    samples = {"bare python3 -I": [], "the first run": [], "the next": []}
    for _ in range(rounds):
        stop = ["systemctl", "--quiet", "stop", "aictld.service", "aictl-sandboxd.service"]
        subprocess.run(stop, check=True, stdin=NULL, stdout=NULL, stderr=NULL)
        time.sleep(REST)
        samples["bare python3 -I"].append(once(bare(HELLO)))
        samples["the first run"].append(once([AICTL, "run", HELLO]))
        time.sleep(0.2)
        samples["the next"].append(once([AICTL, "run", HELLO]))
    for name, times in samples.items():
        show(name, times)


def processes(unit):
    """The processes of a unit: the first one first."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/cgroup") as file:
                if f"/{unit}" in file.read():
                    found.append(int(name))
        except OSError:
            pass  # It has ended.
    shown = subprocess.run(["systemctl", "show", "--value", "--property=MainPID", unit],
                           capture_output=True, text=True, check=True)
    return sorted(found, key=lambda pid: (pid != int(shown.stdout), pid))


def pss(pid):
    """KiB: of a page that several share, each counts its part (proc(5))."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss:"))


def wake():
    """Has a script run, so that everything is there, and a moment for what is made in advance."""
    subprocess.run([AICTL, "run", HELLO], stdin=NULL, stdout=NULL, check=True)
    time.sleep(3)


def memory(_):
    """What the helper and the keeper of the sandboxes hold after a run."""
    wake()
    first, *others = [pss(pid) for pid in processes("aictl-sandboxd.service")]
    say("figure", "sandboxd_kib", first + sum(others))
    say("figure", "sandboxd_alone_kib", first)
    say("figure", "other_processes", len(others))
    if others:
        say("figure", "each_of_the_others_kib", sum(others) // len(others))
    say("figure", "aictld_kib", sum(pss(pid) for pid in processes("aictld.service")))


def spent(pids):
    """Nanoseconds on a CPU, and how often it was left, of all threads of these processes."""
    nanos, switches = 0, 0
    for pid in pids:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/schedstat") as file:
                nanos += int(file.read().split()[0])
            with open(f"/proc/{pid}/task/{task}/status") as file:
                switches += sum(int(line.split()[1]) for line in file if "ctxt_switches" in line)
    return nanos, switches


def idle(seconds):
    """What the keeper of the sandboxes does while nobody calls, and whether the helper has gone."""
    wake()
    pids = processes("aictl-sandboxd.service")
    nanos, switches = spent(pids)
    time.sleep(seconds)
    still = [pid for pid in pids if os.path.exists(f"/proc/{pid}")]
    if still != pids:
        say("note", f"{len(pids) - len(still)} of {len(pids)} processes have ended meanwhile")
        nanos, switches = spent(still)
        time.sleep(seconds)
    after, more = spent(still)
    say("figure", "cpu_ms_an_hour", f"{(after - nanos) / 1e6 * 3600 / seconds:.3f}")
    say("figure", "wake_ups_an_hour", f"{(more - switches) * 3600 / seconds:.0f}")
    time.sleep(5)
    say("figure", "helpers_left", len(processes("aictld.service")))


section, number = sys.argv[1], int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
SECTIONS = [warm, imports, throughput, long, queue, ten, unit, first, memory, idle]
{known.__name__: known for known in SECTIONS}[section](number)
