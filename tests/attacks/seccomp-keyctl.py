# attack: reads and writes kernel keyrings, which live outside of all namespaces but the user's
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


KEYCTL_GET_KEYRING_ID, KEYCTL_JOIN_SESSION, SESSION, USER = 0, 1, -3, -4
said = [word(syscall(248, b"user", b"aictl-attack", b"x", 1, -2)), word(syscall(249, b"user", b"x", None, USER)),
        word(syscall(250, KEYCTL_GET_KEYRING_ID, SESSION, 0, 0, 0)), word(syscall(250, KEYCTL_JOIN_SESSION, 0, 0, 0, 0))]
if not set(said) <= {"EPERM", "ENOSYS"}:
    escaped(f"keyrings answer: {said}")
contained(str(said))
