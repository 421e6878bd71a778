# attack: calls quotactl, kernel code that only administrators should reach
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


Q_SYNC, Q_GETFMT = 0x800001, 0x800004
said = [word(syscall(179, Q_GETFMT << 8, None, 0, None)), word(syscall(179, Q_SYNC << 8, None, 0, None)),
        word(syscall(443, -1, Q_GETFMT << 8, 0, None))]
if not set(said) <= {"EPERM", "ENOSYS"}:
    escaped(f"quotactl answers: {said}")
contained(str(said))
