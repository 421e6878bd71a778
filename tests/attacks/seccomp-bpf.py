# attack: loads a BPF program into the kernel
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


BPF_MAP_CREATE, BPF_PROG_LOAD, BPF_PROG_TYPE_SOCKET_FILTER = 0, 5, 1
code = ctypes.create_string_buffer(struct.pack("<BBhiBBhi", 0xB7, 0, 0, 0, 0x95, 0, 0, 0))  # r0 = 0; exit
gpl = ctypes.create_string_buffer(b"GPL")
load = struct.pack("IIQQIIQ", BPF_PROG_TYPE_SOCKET_FILTER, 2, ctypes.addressof(code), ctypes.addressof(gpl), 0, 0, 0)
array = struct.pack("IIII", 2, 4, 8, 1)
said = {
    "load": child(lambda: min(syscall(321, BPF_PROG_LOAD, load, len(load)), 0)),
    "map": child(lambda: min(syscall(321, BPF_MAP_CREATE, array, len(array)), 0)),
}
if set(said.values()) != {"killed by SIGSYS"}:
    escaped(f"bpf answers: {said}")
contained(str(said))
