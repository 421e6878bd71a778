# attack: slows pid 1 down: nice value, idle scheduling, CPU affinity, I/O priority
# stopped-by: seccomp
# off: seccomp
import ctypes, errno, json, os, struct, sys

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


SCHED_BATCH, IOPRIO_IDLE = 3, 3 << 13
boss = os.getppid()
said = {
    "setpriority": word(syscall(141, 0, boss, 1)),
    "setpriority user": word(syscall(141, 2, 0, 1)),
    "sched_setscheduler": word(syscall(144, boss, SCHED_BATCH, struct.pack("i", 0))),
    "sched_setparam": word(syscall(142, boss, struct.pack("i", 0))),
    "sched_setaffinity": word(syscall(203, boss, 8, struct.pack("Q", 1))),
    "sched_setattr": word(syscall(314, boss, struct.pack("IIQiIQQQ", 48, SCHED_BATCH, 0, 1, 0, 0, 0, 0), 0)),
    "ioprio_set": word(syscall(251, 1, boss, IOPRIO_IDLE)),
}
done = {name: how for name, how in said.items() if how.startswith("success")}
if done:
    escaped(f"pid {boss}: {done}")
contained(str(said))
