# attack: returns an object that lies about itself, raises, and runs code while it is turned into JSON
# stopped-by: output
# off: control (no layer; the control run returns a plain dictionary)
# expect: outcome=exited result=null
import json, sys

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


class Hostile(dict):
    def items(self):
        raise SystemExit(3)

    def __iter__(self):
        raise KeyboardInterrupt

    def __len__(self):
        return 1 << 62

    def __bool__(self):
        return True

    def __getattribute__(self, name):
        raise BaseException("hostile")

    def __repr__(self):
        raise MemoryError


result = {"fine": 1} if F.get("control") else Hostile(a=1)
print("CONTAINED if the result is null", flush=True)
