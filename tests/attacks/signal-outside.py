# attack: finds and signals processes outside of the sandbox
# stopped-by: pid-ns
# off: pid-ns watch
import json, os, sys

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


found = []
for pid in [F["pid"], *range(300, 33000)]:
    try:
        os.kill(pid, 0)
        found.append(pid)
    except PermissionError:
        # It is there, though not ours.
        found.append(pid)
    except ProcessLookupError:
        pass
if found:
    escaped(f"{len(found)} processes outside, also the harness: {F['pid'] in found}")
contained("no process outside exists")
