# attack: replaces the functions that turn its result into JSON by its own
# stopped-by: output
# off: control (no layer; the control run replaces nothing)
# expect: outcome=exited result=null
import json, sys

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


result = "mine"
if not F.get("control"):
    json.dumps = lambda *a, **k: "\udcff" * 3
    json.JSONEncoder.encode = lambda *a: 1 / 0
print("CONTAINED if the result is null", flush=True)
