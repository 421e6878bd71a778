# attack: watches files with fanotify
# stopped-by: seccomp
# off: seccomp
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


FAN_REPORT_FID = 0x200
said = [word(syscall(300, FAN_REPORT_FID, os.O_RDONLY)), word(syscall(300, 0, 0)), word(syscall(301, -1, 0, 0, 0, None))]
if not set(said) <= {"EPERM", "ENOSYS"}:
    escaped(f"fanotify answers: {said}")
contained(str(said))
