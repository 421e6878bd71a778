# attack: changes its securebits or keeps capabilities for a later uid change
# stopped-by: seccomp
# off: seccomp
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


PR_GET_SECUREBITS, PR_SET_SECUREBITS, PR_CAPBSET_READ, PR_CAPBSET_DROP = 27, 28, 23, 24
bits = syscall(157, PR_GET_SECUREBITS, 0, 0, 0, 0)
change = syscall(157, PR_SET_SECUREBITS, 0, 0, 0, 0)
bounding = [cap for cap in range(41) if syscall(157, PR_CAPBSET_READ, cap, 0, 0, 0) == 1]
inside = nested(0, lambda: syscall(157, PR_SET_SECUREBITS, 0x2F, 0, 0, 0))
if change == 0 and bits != 0 or bounding or inside == "success":
    escaped(f"securebits {word(bits)}, change {word(change)}, bounding set {bounding}, nested {inside}")
contained(f"securebits {word(bits)}, change {word(change)}, nested {inside}")
