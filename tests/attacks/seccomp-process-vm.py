# attack: reads and writes another process's memory by process_vm_readv and process_vm_writev
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


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


theirs = ctypes.create_string_buffer(b"original")
mine = ctypes.create_string_buffer(b"modified")
parent = os.getpid()
local, remote = Iovec(ctypes.addressof(mine), 8), Iovec(ctypes.addressof(theirs), 8)
said = {
    "write": child(lambda: syscall(311, parent, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)),
    "read": child(lambda: syscall(310, parent, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)),
}
if theirs.value != b"original" or set(said.values()) != {"killed by SIGSYS"}:
    escaped(f"memory is now {theirs.value}: {said}")
contained(str(said))
