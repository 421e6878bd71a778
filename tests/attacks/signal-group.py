# attack: signals its process group and session, of which the caller may be a member
# stopped-by: pid-ns
# off: none (every run has a session of its own, whatever the layers)
import json, os, signal, sys

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


if os.getpgrp() == 0 or os.getsid(0) == 0:
    escaped("is in a process group of the outside")
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
signal.signal(signal.SIGINT, signal.SIG_IGN)
for n in (signal.SIGUSR1, signal.SIGHUP, signal.SIGINT):
    os.kill(0, n)
    os.killpg(os.getpgrp(), n)
contained(f"group {os.getpgrp()}, session {os.getsid(0)}")
