# attack: opens a POSIX message queue of the host, or makes one
# stopped-by: ipc-ns seccomp landlock
# off: ipc-ns seccomp landlock
import ctypes, errno, json, os, sys

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


fd = syscall(240, F["mq_name"].lstrip("/").encode(), os.O_RDONLY | os.O_NONBLOCK, 0, None)
if fd >= 0:
    escaped(f"opened {F['mq_name']}")
made = syscall(240, b"aictl-attack", os.O_CREAT | os.O_RDWR, 0o600, None)
if made >= 0:
    syscall(241, b"aictl-attack")
    escaped("made a message queue")
contained(f"{word(fd)} {word(made)}")
