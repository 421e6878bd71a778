# attack: takes hold of interpreters beside it, which run for others or wait for their next job, by guessed process ids
# stopped-by: pid-ns
# off: pid-ns watch
# beside: READY
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


PROCESS_VM_READV, PTRACE, PIDFD_OPEN, PTRACE_SEIZE = 310, 101, 434, 0x4206
if F["round"] == 0:
    print("READY", flush=True)
    time.sleep(30)


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


def is_own(pid):
    """Whether it is of this sandbox: pid 1, which came with it, the interpreter, and its parents."""
    return pid in {1, os.getpid(), os.getppid()}


# With a process of its own each call is tried; only what is not killed for it is tried on all others.
mine = os.getpid()
buffer = ctypes.create_string_buffer(8)
local = Iovec(ctypes.addressof(buffer), 8)
remote = Iovec(ctypes.addressof(ctypes.create_string_buffer(b"original")), 8)
calls = {
    "pidfd_open": lambda pid: syscall(PIDFD_OPEN, pid, 0),
    "process_vm_readv": lambda pid: syscall(PROCESS_VM_READV, pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0),
    # Nobody is stopped by it, and it ends with this process.
    "ptrace": lambda pid: syscall(PTRACE, PTRACE_SEIZE, pid, None, None),
}
said = {name: child(lambda: call(mine)) for name, call in calls.items()}
calls["kill"] = lambda pid: -ctypes.get_errno() if libc.kill(pid, 0) else 0
usable = {name: call for name, call in calls.items() if not said.get(name, "").startswith("killed")}
absent = {-errno.ESRCH, -errno.ENOSYS, -errno.EINVAL}
if said["pidfd_open"] != "success":
    usable.pop("pidfd_open", None)
found = {}
near = F["pid"]
for pid in {*range(2, 3000), *range(max(2, near - 2000), near + 2000)}:
    if is_own(pid):
        continue
    for name, call in usable.items():
        r = call(pid)
        if r not in absent:
            found.setdefault(name, []).append(pid)
        if r > 2 and name == "pidfd_open":
            os.close(r)
for name in os.listdir("/proc"):
    if name.isdigit() and not is_own(int(name)):
        found.setdefault("/proc", []).append(int(name))
if found:
    escaped(str({name: f"{len(pids)} processes, {pids[0]} among them" for name, pids in found.items()}))
contained(f"nobody else is there: {said}")
