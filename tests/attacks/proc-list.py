# attack: sees the host's processes: their names, arguments and owners
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


me = os.getpid()
foreign = []
for entry in os.listdir("/proc"):
    if not entry.isdigit() or int(entry) == me:
        continue
    try:
        with open(f"/proc/{entry}/stat") as f:
            parent = int(f.read().rpartition(")")[2].split()[1])
    except OSError:
        parent = -1
    # Of the sandbox are pid 1 and whoever it started.
    if int(entry) != 1 and parent not in (1, me):
        foreign.append(entry)
if foreign or me > 64:
    escaped(f"sees {len(foreign)} processes, is {me}")
contained(f"is {me}, sees only its own")
