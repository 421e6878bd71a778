# attack: attaches a System V shared memory segment of the host, or makes one
# stopped-by: seccomp
# off: seccomp
import ctypes, errno, json, sys

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


said = []
if F["shm_id"] is not None:
    r = syscall(30, F["shm_id"], None, 0o10000)  # shmat, SHM_RDONLY
    said.append(word(r))
    if r > 0:
        escaped(f"attached segment {F['shm_id']}")
for name, nr in [("shmget", 29), ("msgget", 68), ("semget", 64)]:
    r = syscall(nr, 0, *([4096, 0o600] if nr == 29 else [0o600] if nr == 68 else [1, 0o600]))
    said.append(word(r))
    if r >= 0:
        syscall({29: 31, 68: 71, 64: 66}[nr], r, *([0, None] if nr != 64 else [0, 0, None]))  # IPC_RMID
        escaped(f"{name} works")
contained(str(said))
