# attack: returns a result nested so deep that a reader's stack overflows
# stopped-by: output
# off: control (no layer; the control run nests ten levels)
# expect: outcome=exited result=null
import json, os, sys

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


depth = 10 if F.get("control") else 30_000
print("CONTAINED if the result is null", flush=True)
# Past json.dumps and its own depth limit, straight to the descriptor for the result.
for fd in [] if F.get("control") else range(3, 10):
    try:
        os.write(fd, b"+" + b"[" * depth + b"]" * depth)
    except OSError:
        pass
if F.get("control"):
    result = 0
    for _ in range(depth):
        result = [result]
