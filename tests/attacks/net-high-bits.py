# attack: hides a forbidden number in 64-bit arguments, of which the kernel reads the lower half
# stopped-by: seccomp
# off: seccomp
import ctypes, errno, json, os, signal, socket, sys

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


HIGH = 0xDEADBEEF << 32
tries = {
    "socket": lambda: syscall(41, HIGH | socket.AF_INET, socket.SOCK_STREAM, 0),
    "socket netlink": lambda: syscall(41, HIGH | 16, socket.SOCK_RAW, 0),
    "clone": lambda: min(syscall(56, HIGH | 0x10000000 | signal.SIGCHLD, 0, 0, 0, 0), 0),
    "unshare": lambda: syscall(272, HIGH | 0x10000000),
    "personality": lambda: min(syscall(135, HIGH | 0x0400000), 0),
}
said = {name: child(attack) for name, attack in tries.items()}
passed = {n: h for n, h in said.items() if h not in ("EPERM", "ENOSYS", "EINVAL") and not h.startswith("killed")}
if passed:
    escaped(f"went past the filter: {passed}")
contained(str(said))
