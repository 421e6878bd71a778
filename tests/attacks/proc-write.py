# attack: writes to its own /proc: sets back what it has used, spares itself when memory runs out, renames itself, patches what it may only execute
# stopped-by: landlock
# off: landlock
import json, os, sys

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


me = os.getpid()
got, words = [], set()
for name in ["clear_refs", "oom_score_adj", "oom_adj", "comm", f"task/{me}/comm", "mem", "coredump_filter",
             "timerslack_ns", "autogroup", "sched", "loginuid", "uid_map", "gid_map", "projid_map", "attr/current",
             "attr/exec", "attr/fscreate"]:
    for of in ("self", "thread-self", str(me)):
        path = f"/proc/{of}/{name}"
        for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC):
            try:
                os.close(os.open(path, flags))
                got.append(path)
            except OSError as error:
                words.add(error.strerror)
if got:
    escaped("can write " + " ".join(sorted(set(got))))
contained(f"nothing of its own in /proc can be written: {', '.join(sorted(words))}")
