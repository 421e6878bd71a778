# attack: stops or kills pid 1, its supervisor, by every call that sends a signal
# stopped-by: pid-ns landlock
# off: pid-ns landlock watch
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


def word(r):
    return errno.errorcode.get(-r, str(r)) if r < 0 else f"success ({r})"


boss = os.getppid()
said = {}


def state():
    with open(f"/proc/{boss}/stat") as f:
        return f.read().rpartition(")")[2].split()[0]


for n in (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN):
    said[n.name] = word(syscall(62, boss, n))
    try:
        stopped = state() == "T"
    except OSError:
        stopped = False
    if stopped:
        os.kill(boss, signal.SIGCONT)
        escaped(f"stopped pid {boss} by {n.name}")
if boss != 1:
    # Without a pid namespace this is a process of the host; to be able to signal it is enough.
    if syscall(62, boss, 0) == 0:
        escaped(f"can signal process {boss} of the host")
    contained(str(said))
for n in range(1, 65):
    syscall(62, 1, n)  # kill
    syscall(234, 1, 1, n)  # tgkill
    syscall(200, 1, n)  # tkill
    syscall(129, 1, n, struct.pack("iii116x", n, 0, -1))  # rt_sigqueueinfo
    pidfd = syscall(434, 1, 0)
    if pidfd >= 0:
        syscall(424, pidfd, n, None, 0)
        os.close(pidfd)
contained(f"pid 1 lives on; {said}")
