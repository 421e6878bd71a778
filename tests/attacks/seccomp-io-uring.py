# attack: sets up io_uring, which does file and network calls past the filter
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


params = ctypes.create_string_buffer(120)
r = syscall(425, 8, params)
if r >= 0:
    escaped("has an io_uring")
said = [word(r), word(syscall(426, -1, 1, 0, 0, None, 0)), word(syscall(427, -1, 0, None, 0))]
if not set(said) <= {"EPERM", "ENOSYS"}:
    escaped(f"io_uring answers: {said}")
contained(str(said))
