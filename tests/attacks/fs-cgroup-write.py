# attack: makes a control group and moves itself out of its own, to shed its limits
# stopped-by: mount-ns landlock
# off: mount-ns landlock
import json, os, sys

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


got = []
own = ""
try:
    with open("/proc/self/cgroup") as f:
        own = f.read().split(":")[-1].strip()
except OSError:
    pass
for root in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/pids"]:
    for group in ["", own]:
        base = root + group
        for name in ["/cgroup.procs", "/cgroup.controllers", "/memory.max", "/tasks"]:
            for mode in ("r", "a"):
                try:
                    with open(base + name, mode) as f:
                        if mode == "r":
                            f.read()
                    got.append(base + name + ":" + mode)
                except OSError:
                    pass
        try:
            os.mkdir(base + "/aictl-attack")
            got.append("mkdir " + base)
            os.rmdir(base + "/aictl-attack")
        except OSError:
            pass
if got:
    escaped("reached " + " ".join(dict.fromkeys(got)))
contained("no control group is in sight")
