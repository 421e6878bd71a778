# attack: uses descriptors that the caller left open
# stopped-by: mount-ns
# off: control (no layer: every descriptor is closed for every run)
import fcntl, json, os, stat, sys

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


planted = os.pipe() if F.get("control") else ()
found = []
for fd in range(3, 4096):
    try:
        kind = os.fstat(fd).st_mode
    except OSError:
        continue
    # One pipe may be there: the one for `result`, which only takes data.
    if stat.S_ISFIFO(kind) and fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY and fd not in planted:
        continue
    # sys.argv[0] itself may be open while Python reads it.
    if os.readlink(f"/proc/self/fd/{fd}") == os.path.abspath(sys.argv[0]):
        continue
    found.append(f"{fd}: {os.readlink(f'/proc/self/fd/{fd}')}")
    try:
        found.append(str(os.pread(fd, 100, 0)))
    except OSError:
        pass
for fd in (0, 1, 2):
    if not stat.S_ISFIFO(os.fstat(fd).st_mode) and os.readlink(f"/proc/self/fd/{fd}") != "/dev/null":
        found.append(f"{fd}: {os.readlink(f'/proc/self/fd/{fd}')}")
if found:
    escaped("; ".join(found))
contained("only pipes of the sandbox are open")
