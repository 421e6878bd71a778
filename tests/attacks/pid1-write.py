# attack: writes to pid 1: its memory, its name, its out-of-memory score, its program file
# stopped-by: landlock pid-ns
# off: control landlock (no layer: pid 1 has made itself undumpable; the control run looks at a child instead)
import json, os, sys, time

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


got = []
boss = os.getppid()
if F.get("control"):
    boss = os.fork()
    if boss == 0:
        time.sleep(20)
        os._exit(0)
for pid in {1, boss}:
    for name in ["mem", "comm", "oom_score_adj", "oom_adj", "coredump_filter", "clear_refs", "timerslack_ns", "uid_map",
                 "gid_map", "setgroups", "autogroup", "attr/current", "exe", "fd/1", "fd/2", "fd/3", "fd/4", "sched"]:
        try:
            os.close(os.open(f"/proc/{pid}/{name}", os.O_WRONLY | os.O_NONBLOCK))
            got.append(f"{pid}/{name}")
        except OSError:
            pass
if got:
    escaped("can write " + " ".join(got))
contained(f"nothing of pid {boss} can be written")
