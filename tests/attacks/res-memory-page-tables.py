# attack: makes the kernel spend memory on page tables, by reading one byte in each of many areas
# stopped-by: watch
# off: watch
# run: --memory 32M
# expect: outcome=out-of-memory|exited
import ctypes, errno, json, sys, time

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


PROT_READ, MAP_PRIVATE, MAP_ANONYMOUS, MAP_NORESERVE, MADV_NOHUGEPAGE = 1, 2, 0x20, 0x4000, 15
WINDOW = 4 << 30
touched = 0
how = ""


def tables():
    with open("/proc/self/status") as f:
        return next(int(line.split()[1]) << 10 for line in f if line.startswith("VmPTE"))


while tables() < 96 << 20:
    base = syscall(9, 0, WINDOW, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    if base < 0:
        how = word(base)
        break
    syscall(28, base, WINDOW, MADV_NOHUGEPAGE)
    # Each page read is the shared zero page; each of its 2 MiB needs a table of 4 KiB of its own.
    for at in range(base, base + WINDOW, 2 << 20):
        ctypes.c_ubyte.from_address(at).value
        touched += 1
size = tables()
time.sleep(2)
if size >= 96 << 20:
    escaped(f"{size >> 20} MiB of page tables for two seconds under a limit of 32")
contained(f"{size >> 20} MiB of page tables: {how}")
