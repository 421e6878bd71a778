# attack: opens a performance counter, on itself and on the machine
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


attr = bytearray(112)
struct.pack_into("IIQ", attr, 0, 1, 112, 1)  # PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK
struct.pack_into("Q", attr, 40, 1 << 5 | 1 << 6)  # exclude_kernel, exclude_hv
said = [word(syscall(298, bytes(attr), 0, -1, -1, 0)), word(syscall(298, bytes(attr), -1, 0, -1, 0)),
        word(syscall(298, None, 0, -1, -1, 0))]
if not set(said) <= {"EPERM", "ENOSYS"}:
    escaped(f"perf_event_open answers: {said}")
contained(str(said))
