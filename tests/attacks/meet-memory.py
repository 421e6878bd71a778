# attack: shares memory, queues and files with a run that is there at the same time
# stopped-by: ipc-ns seccomp
# off: ipc-ns seccomp
# beside: READY
import ctypes, errno, json, os, sys, time

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


def syscall(nr, *args):
    """The call's result, or minus its errno."""
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in args]
    words += [ctypes.c_long(0)] * (6 - len(words))
    r = libc.syscall(ctypes.c_long(nr), *words)
    return r if r >= 0 else -ctypes.get_errno()


def word(r):
    return errno.errorcode.get(-r, str(r)) if r < 0 else f"success ({r})"


there = F["run"] if F["round"] == 0 else F["beside"]
first = F["round"] == 0
key = int(there[-6:], 16) + 0x200000
IPC_CREAT, IPC_RMID = 0o1000, 0
flags = 0o666 | (IPC_CREAT if first else 0)
name = f"meet-{there}".encode()
found = {
    "System V memory": syscall(29, key, 4096, flags),
    "System V queue": syscall(68, key, flags),
    "message queue": syscall(240, name, os.O_RDWR | (os.O_CREAT if first else 0), 0o666, None),
}
for place in ("/tmp", "/work", "/dev/shm", "/var/tmp", "/dev", "/run", F["drop_dir"]):
    path = os.path.join(place, name.decode())
    try:
        os.close(os.open(path, os.O_RDWR | (os.O_CREAT if first else 0), 0o666))
        found[path] = 0
    except OSError as e:
        found[path] = -e.errno
if first:
    print("READY", flush=True)
    time.sleep(30)
# What the layers that are off have let through is not left lying about.
if found["System V memory"] >= 0:
    syscall(31, found["System V memory"], IPC_RMID, None)
if found["System V queue"] >= 0:
    syscall(71, found["System V queue"], IPC_RMID, None)
syscall(241, name)
met = [what for what, r in found.items() if r >= 0]
if met:
    escaped(f"met the other run: {met}")
contained(str({what: word(r) for what, r in found.items()}))
