# attack: takes a lease on a file of the host's, so that whoever opens it outside is seen and has to wait
# stopped-by: seccomp
# off: seccomp
import ctypes, errno, json, os, signal, sys

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


F_SETLEASE, F_RDLCK, F_SETSIG = 1024, 0, 10
said = []
for path in (F["used_file"], "/usr/bin/env", sys.executable, "/etc/ld.so.cache"):
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError as e:
        said.append(errno.errorcode[e.errno])
        continue
    syscall(72, fd, F_SETSIG, signal.SIGURG)
    said.append(word(syscall(72, fd, F_SETLEASE, F_RDLCK)))
# EACCES is the kernel's word for files of another owner; those of the caller's own would be held.
if set(said) - {"EPERM", "ENOSYS", "ENOENT"}:
    escaped(f"F_SETLEASE: {said}")
contained(str(said))
