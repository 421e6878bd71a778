# attack: sets the machine's clock
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


said = {
    "clock_settime": word(syscall(227, 0, None)),
    "settimeofday": word(syscall(164, ctypes.c_void_p(1), None)),
    "adjtimex": word(syscall(159, None)),
    "clock_adjtime": word(syscall(305, 0, None)),
}
# EFAULT for the bad pointer comes from behind the filter.
if not set(said.values()) <= {"EPERM", "ENOSYS"}:
    escaped(f"clock calls reach the kernel: {said}")
contained(str(said))
