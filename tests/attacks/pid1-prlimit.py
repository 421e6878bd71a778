# attack: changes the resource limits of pid 1
# stopped-by: seccomp
# off: seccomp
import ctypes, errno, json, os, sys

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
old = ctypes.create_string_buffer(16)
for name, limit in [("nofile", 7), ("core", 4), ("cpu", 0), ("fsize", 1), ("nproc", 6)]:
    r = syscall(302, boss, limit, None, old)
    said[name] = word(r)
    if r == 0:
        # The value that is there already: harmless, and yet a change.
        r = syscall(302, boss, limit, old, None)
        escaped(f"pid {boss}: read {name}, write: {word(r)}")
contained(str(said))
