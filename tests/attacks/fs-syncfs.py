# attack: makes the host write back all of its files, over and over, by syncfs on a directory of the host's
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


said = []
for path in ("/usr", "/dev/null", "/etc/alternatives"):
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        continue
    said.append(word(syscall(306, fd)))
said.append(word(syscall(162)))
if any(how.startswith("success") for how in said):
    escaped(f"syncfs: {said}")
contained(f"syncfs: {said}")
