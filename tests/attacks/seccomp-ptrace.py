# attack: traces a process of its own, the classic way past a filter
# stopped-by: seccomp
# off: seccomp
import ctypes, errno, json, os, signal, sys, time

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


PTRACE_TRACEME, PTRACE_ATTACH, PTRACE_SEIZE = 0, 16, 0x4206


def on_sibling(request):
    pid = os.fork()
    if pid == 0:
        time.sleep(20)
        os._exit(0)
    try:
        return syscall(101, request, pid, 0, 0)
    finally:
        os.kill(pid, signal.SIGKILL)


said = {
    "traceme": child(lambda: syscall(101, PTRACE_TRACEME, 0, 0, 0)),
    "attach": child(lambda: on_sibling(PTRACE_ATTACH)),
    "seize": child(lambda: on_sibling(PTRACE_SEIZE)),
}
if set(said.values()) != {"killed by SIGSYS"}:
    escaped(f"ptrace answers: {said}")
contained(str(said))
