# attack: kills itself by SIGKILL, to pass for a run that a limit has ended
# stopped-by: pid-ns
# off: control (no layer: who killed is known; the control run ends by itself)
# expect: outcome=signaled signal=9
import json, os, signal, sys

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


print("CONTAINED if the outcome is signaled", flush=True)
if not F.get("control"):
    os.kill(os.getpid(), signal.SIGKILL)
