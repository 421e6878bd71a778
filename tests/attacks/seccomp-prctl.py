# attack: uses the rarer options of prctl: filters, dispatch of calls, memory layout, core scheduling, tracers
# stopped-by: seccomp
# off: seccomp
import ctypes, errno, json, sys

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


options = {"PR_SET_SECCOMP": 22, "PR_MCE_KILL": 33, "PR_SET_MM": 35, "PR_SET_SPECULATION_CTRL": 53, "PR_SET_IO_FLUSHER": 57,
           "PR_SET_SYSCALL_USER_DISPATCH": 59, "PR_SCHED_CORE": 62, "PR_SET_MDWE": 65, "PR_SET_PTRACER": 0x59616D61,
           "PR_SET_TSC": 26, "PR_SET_TIMING": 14, "PR_CAPBSET_DROP": 24, "PR_SET_FP_MODE": 45, "PR_SET_ENDIAN": 20}
said = {name: word(syscall(157, option, 99, 99, 99, 99)) for name, option in options.items()}
# EINVAL for the nonsense comes from behind the filter.
passed = {name: how for name, how in said.items() if how not in ("EPERM", "ENOSYS")}
if passed:
    escaped(str(passed))
contained(f"{len(said)} options are refused")
