# attack: raises its own resource limits
# stopped-by: rlimits
# off: rlimits
import ctypes, errno, json, resource, struct, sys

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


UNLIMITED = resource.RLIM_INFINITY
said = {}
for name in ("RLIMIT_NOFILE", "RLIMIT_FSIZE", "RLIMIT_NPROC", "RLIMIT_CPU", "RLIMIT_MEMLOCK", "RLIMIT_MSGQUEUE",
             "RLIMIT_SIGPENDING", "RLIMIT_DATA"):
    limit = getattr(resource, name)
    soft, hard = resource.getrlimit(limit)
    if name == "RLIMIT_DATA" and hard == UNLIMITED:
        # Where a control group counts memory, it is not limited for each process too.
        said[name] = "is for the control group"
        continue
    higher = UNLIMITED if hard != UNLIMITED else hard
    try:
        resource.setrlimit(limit, (hard if hard == UNLIMITED else hard + 1, higher))
        said[name] = f"{soft}/{hard} raised"
    except (OSError, ValueError):
        said[name] = f"{hard} stays"
    r = syscall(302, 0, limit, struct.pack("QQ", 1 << 40, 1 << 40), None)
    if r == 0 and hard != UNLIMITED and hard < 1 << 40:
        said[name] = f"{soft}/{hard} raised by prlimit64"
if any("raised" in how for how in said.values()):
    escaped(str(said))
contained(str(said))
