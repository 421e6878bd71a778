# attack: learns the host's directories and devices from its own mount table
# stopped-by: mount-ns
# off: mount-ns
import json, sys

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


with open("/proc/self/mountinfo") as f:
    rows = [line.split() for line in f]
points = [row[4] for row in rows]
foreign = [p for p in points if p.startswith(("/home", "/root", "/boot", "/sys", "/run", "/mnt", "/media", "/var", "/srv"))]
writable = []
for row in rows:
    kind = row[row.index("-") + 1]
    if "rw" in row[5].split(",") and kind not in ("tmpfs", "proc", "devtmpfs"):
        writable.append(row[4])
if foreign or writable:
    escaped(f"mounts of the host: {foreign}, writable: {writable}")
contained(f"{len(points)} mounts: " + " ".join(points))
