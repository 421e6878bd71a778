# attack: handles page faults itself, to win races inside the kernel
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


UFFD_USER_MODE_ONLY = 1
said = [word(syscall(323, UFFD_USER_MODE_ONLY)), word(syscall(323, 0)), word(syscall(323, 0x7FFFFFFF))]
if not set(said) <= {"EPERM", "ENOSYS"}:
    escaped(f"userfaultfd answers: {said}")
contained(str(said))
