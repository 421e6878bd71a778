# attack: reaches file systems and devices by ioctl: freezing, trimming, flags, the entropy pool
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


FIFREEZE, FITRIM, SETFLAGS, GETFLAGS, FIOQSIZE, RNDZAPENTCNT, TIOCCONS = 0xC0045877, 0xC0185879, 0x40086602, 0x80086601, 0x5460, 0x5204, 0x541D
said = {}
buffer = ctypes.create_string_buffer(64)
for path in ("/usr", "/usr/bin/env", "/tmp", sys.argv[0], "/dev/urandom", "/dev/null"):
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        continue
    for name, request in [("FIFREEZE", FIFREEZE), ("FITRIM", FITRIM), ("SETFLAGS", SETFLAGS), ("GETFLAGS", GETFLAGS),
                          ("FIOQSIZE", FIOQSIZE), ("RNDZAPENTCNT", RNDZAPENTCNT), ("TIOCCONS", TIOCCONS)]:
        r = syscall(16, fd, request, buffer)
        # The filter answers ENOTTY, as a file does that knows no such request.
        if r not in (-errno.ENOTTY, -errno.EPERM):
            said[f"{name} {path}"] = word(r)
if said:
    escaped(str(said))
contained("every request is turned away")
