# attack: returns a result far over 64 KiB
# stopped-by: output
# off: control (no layer; the control run returns a small result)
# expect: outcome=exited result=null aictl_stderr~64
import json, sys

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


result = "x" * (100 if F.get("control") else 30_000_000)
print("CONTAINED if the result is null", flush=True)
