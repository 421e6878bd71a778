# attack: replaces its root directory by pivot_root in a nested mount namespace
# stopped-by: seccomp landlock
# off: seccomp landlock
import ctypes, errno, json, os, signal, sys

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


def child(attack):
    """Runs attack in a forked child: "killed by SIGSYS", an errno's name, or "success"."""
    pid = os.fork()
    if pid == 0:
        code = 255
        try:
            r = attack()
            code = -r if r < 0 else 0
        finally:
            os._exit(code)
    status = os.waitpid(pid, 0)[1]
    if os.WIFSIGNALED(status):
        return "killed by " + signal.Signals(os.WTERMSIG(status)).name
    code = os.WEXITSTATUS(status)
    return errno.errorcode.get(code, f"exit {code}") if code else "success"


def nested(flags, attack):
    """Runs attack as the holder of every capability in a new user namespace; see user_namespaces(7)."""
    CLONE_NEWUSER = 0x10000000

    def run():
        r = syscall(272, CLONE_NEWUSER | flags)  # unshare
        return r if r < 0 else attack()

    return child(run)


MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
os.makedirs("/tmp/new/old", exist_ok=True)


def pivot():
    syscall(165, b"none", b"/", None, MS_REC | MS_PRIVATE, None)
    r = syscall(165, b"/tmp/new", b"/tmp/new", b"none", MS_BIND, None)
    os.makedirs("/tmp/new/old", exist_ok=True)
    return r if r < 0 else syscall(155, b"/tmp/new", b"/tmp/new/old")


how = [child(pivot), nested(0x20000, pivot)]
if "success" in how:
    escaped("pivot_root works in a nested mount namespace")
probe = syscall(155, None, None)
if probe == -errno.EFAULT:
    escaped("pivot_root reaches the kernel")
contained(f"pivot_root: {how}, {word(probe)}")
