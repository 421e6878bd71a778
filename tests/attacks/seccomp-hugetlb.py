# attack: takes huge pages from the machine's reserve, which no limit on memory counts
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


PROT_WRITE, MAP_PRIVATE, MAP_ANONYMOUS, MAP_HUGETLB, HUGE_1GB = 3, 2, 0x20, 0x40000, 30 << 26
said = [word(syscall(9, 0, 2 << 20, PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0)),
        word(syscall(9, 0, 1 << 30, PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | HUGE_1GB, -1, 0))]
# ENOMEM says that the kernel had none to give, not that it may not be asked.
if set(said) - {"EPERM", "ENOSYS"}:
    escaped(f"mmap with MAP_HUGETLB: {said}")
contained(str(said))
