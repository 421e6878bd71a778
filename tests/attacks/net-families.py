# attack: tries every socket family but AF_UNIX: crypto (AF_ALG), RDS, TIPC, Bluetooth, CAN, XDP, and all others
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


AF_UNIX = 1
answers = {}
pair = (ctypes.c_int * 2)()
for family in range(64):
    for kind in range(1, 11):
        if family == AF_UNIX:
            continue
        for r in (syscall(41, family, kind, 0), syscall(53, family, kind, 0, pair)):
            if r >= 0:
                escaped(f"socket family {family} type {kind} works")
            if r not in (-errno.EPERM, -errno.ENOSYS, -errno.EACCES):
                answers.setdefault(word(r), []).append(family)
# Any other errno comes from the kernel's socket code, so that the filter let the call pass.
if answers:
    escaped(f"reached the kernel: {answers}")
contained("EPERM for 63 families")
