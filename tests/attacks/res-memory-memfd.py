# attack: hides memory in files that only memfd_create makes
# stopped-by: seccomp rlimits
# off: seccomp rlimits
# run: --memory 32M
# expect: outcome=out-of-memory|exited
import ctypes, errno, json, os, sys, time

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


size = 0
fd = syscall(319, b"hidden", 0)
if fd < 0:
    contained(f"memfd_create: {word(fd)}")
block = b"x" * (1 << 20)
try:
    while size < 96 << 20:
        size += os.write(fd, block)
except OSError as e:
    contained(f"{errno.errorcode[e.errno]} after {size >> 20} MiB")
time.sleep(2)
escaped(f"hid {size >> 20} MiB in a memfd for two seconds under a limit of 32")
