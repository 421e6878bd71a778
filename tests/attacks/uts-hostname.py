# attack: learns the host's name
# stopped-by: uts-ns
# off: uts-ns
import json, os, sys

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


name = os.uname().nodename
if name == F["hostname"]:
    escaped(f"this is {name}")
contained(f"the name is {name}")
