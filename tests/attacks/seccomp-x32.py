# attack: makes x32 calls, whose numbers a filter for x86-64 may not know
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


X32 = 0x40000000
said = {}
# getpid, socket, ptrace, unshare, and x32's own execve (520) and process_vm_readv (539)
for nr in (39, 41, 101, 272, 520, 539):
    said[nr] = child(lambda: min(syscall(X32 | nr, 0, 0, 0), 0))
# Without CONFIG_X86_X32 the kernel says ENOSYS: then the filter let the call pass.
if set(said.values()) != {"killed by SIGSYS"}:
    escaped(f"x32 calls reach the kernel: {said}")
contained(str(said))
