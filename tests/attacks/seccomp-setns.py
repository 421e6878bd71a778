# attack: enters other namespaces by setns, through /proc and through a pidfd
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


said = [word(syscall(308, -1, 0))]
for pid in ("1", "self"):
    for name in ("user", "mnt", "net", "pid", "ipc", "uts", "cgroup", "time"):
        try:
            fd = os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY)
        except OSError:
            continue
        said.append(word(syscall(308, fd, 0)))
pidfd = syscall(434, 1, 0)
said.append(word(syscall(308, pidfd, 0x7C020000)))
if not set(said) <= {"EPERM", "ENOSYS"}:
    escaped(f"setns answers: {said}")
contained(" ".join(dict.fromkeys(said)))
