# attack: takes over the kernel: kexec, modules, reboot, swap, I/O ports
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


said = {
    "kexec_load": child(lambda: syscall(246, 0, 0, None, 0)),
    "kexec_file_load": child(lambda: syscall(320, -1, -1, 0, None, 0)),
    "init_module": child(lambda: syscall(175, None, 0, None)),
    "finit_module": child(lambda: syscall(313, -1, None, 0)),
    "delete_module": child(lambda: syscall(176, None, 0)),
    # With the wrong magic numbers this reboots nothing, whoever calls it.
    "reboot": child(lambda: syscall(169, 0, 0, 0, None)),
    "swapon": child(lambda: syscall(167, None, 0)),
    "swapoff": child(lambda: syscall(168, None)),
    "iopl": child(lambda: syscall(172, 3)),
    "ioperm": child(lambda: syscall(173, 0x80, 1, 1)),
}
alive = {name: how for name, how in said.items() if how != "killed by SIGSYS"}
if alive:
    escaped(f"answered: {alive}")
contained(f"each of {len(said)} killed by SIGSYS")
