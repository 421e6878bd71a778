# attack: hides memory in System V segments that no process is attached to
# stopped-by: seccomp
# off: seccomp
# run: --memory 32M
# expect: outcome=out-of-memory|exited
import ctypes, errno, json, sys, time

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


libc.shmat.restype = ctypes.c_void_p
libc.shmdt.argtypes = [ctypes.c_void_p]
made = []
for _ in range(12):
    segment = syscall(29, 0, 8 << 20, 0o1600)
    if segment < 0:
        for old in made:
            syscall(31, old, 0, None)
        contained(f"shmget: {word(segment)}")
    address = libc.shmat(segment, None, 0)
    ctypes.memset(address, 120, 8 << 20)
    libc.shmdt(address)
    made.append(segment)
time.sleep(2)
for segment in made:
    syscall(31, segment, 0, None)
escaped("hid 96 MiB in System V segments for two seconds under a limit of 32")
