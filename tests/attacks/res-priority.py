# attack: takes more than its share of the CPU: real-time scheduling, negative nice value, deadlines
# stopped-by: seccomp
# off: seccomp
import ctypes, errno, json, struct, sys

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


SCHED_FIFO, SCHED_RR, SCHED_DEADLINE = 1, 2, 6
said = {}
for name, policy in [("fifo", SCHED_FIFO), ("rr", SCHED_RR)]:
    said[name] = word(syscall(144, 0, policy, struct.pack("i", 1)))
said["nice"] = word(syscall(141, 0, 0, -20))
said["deadline"] = word(syscall(314, 0, struct.pack("IIQiIQQQ", 48, SCHED_DEADLINE, 0, 0, 0, 10**6, 10**7, 10**7), 0))
said["attributes"] = word(syscall(314, 0, None, 0))
said["io"] = word(syscall(251, 1, 0, 1 << 13))
said["io none"] = word(syscall(251, 1, 0, 0))
# EINVAL for the null pointer and success for the plain class come from behind the filter.
if any(how.startswith("success") for how in said.values()) or said["attributes"] not in ("EPERM", "ENOSYS"):
    escaped(str(said))
contained(str(said))
