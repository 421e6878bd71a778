# attack: steals an open descriptor of another process by pidfd_getfd
# stopped-by: seccomp
# off: seccomp
import ctypes, errno, json, os, sys, time

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


pid = os.fork()
if pid == 0:
    time.sleep(60)
    os._exit(0)
pidfd = syscall(434, pid, 0)
r = syscall(438, pidfd, 1, 0)
os.kill(pid, 9)
os.waitpid(pid, 0)
# With pidfd_open denied the second call has no descriptor; EBADF would still come from the kernel.
if r not in (-errno.EPERM, -errno.ENOSYS):
    escaped(f"pidfd_getfd: {word(r)}")
contained(f"pidfd_open {word(pidfd)}, pidfd_getfd {word(r)}")
