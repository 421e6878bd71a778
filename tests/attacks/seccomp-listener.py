# attack: installs a system call filter with a listener, to decide over its own children's calls
# stopped-by: seccomp
# off: seccomp
import ctypes, errno, json, os, signal, struct, sys

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


SECCOMP_SET_MODE_FILTER, NEW_LISTENER = 1, 1 << 3
rule = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0x7FC00000))  # return SECCOMP_RET_USER_NOTIF
program = struct.pack("HxxxxxxQ", 1, ctypes.addressof(rule))


def listen():
    # The listener's call returns its descriptor; every later call of the child would wait for it.
    r = syscall(317, SECCOMP_SET_MODE_FILTER, NEW_LISTENER, program)
    return r


def probe():
    return syscall(317, SECCOMP_SET_MODE_FILTER, 0xFFFF, None)


how = child(probe)
if how not in ("EPERM", "ENOSYS"):
    escaped(f"seccomp() reaches the kernel: {how}")
contained(how)
