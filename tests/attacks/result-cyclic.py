# attack: returns a result that holds itself
# stopped-by: output
# off: control (no layer; the control run returns a list without a cycle)
# expect: outcome=exited result=null aictl_stderr~result
import json, sys

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


result = []
result.append({"again": [] if F.get("control") else result})
print("CONTAINED if the result is null", flush=True)
