# attack: returns numbers that JSON cannot hold: NaN, infinity, an integer of 20,000 digits
# stopped-by: output
# off: control (no layer; the control run returns plain numbers)
# expect: outcome=exited result=null
import json, sys

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


result = [1, 2.5] if F.get("control") else [float("nan"), float("inf"), -0.0, 10**20000]
print("CONTAINED if the result is null", flush=True)
