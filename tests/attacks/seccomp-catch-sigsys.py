# attack: catches, blocks and ignores SIGSYS, so that a deadly call does not kill
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


said = []
for how in ("catch", "ignore", "block"):

    def call():
        if how == "block":
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        else:
            signal.signal(signal.SIGSYS, signal.SIG_IGN if how == "ignore" else lambda *_: None)
        syscall(101, 0, 0, 0, 0)  # ptrace
        return 0

    said.append(child(call))
if "success" in said:
    escaped(f"outlived a deadly call: {said}")
contained(str(said))
