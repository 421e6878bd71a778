# attack: looks for a capability that is left, raises one, or drops the bar against new ones
# stopped-by: no-new-privs
# off: no-new-privs
import ctypes, errno, json, struct, sys

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


PR_SET_SECUREBITS, PR_GET_NO_NEW_PRIVS, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_SET_KEEPCAPS = 28, 39, 38, 47, 8
header = struct.pack("Ii", 0x20080522, 0)
data = struct.pack("IIIIII", *[0xFFFFFFFF] * 6)
capset = syscall(126, header, data)
ambient = [word(syscall(157, PR_CAP_AMBIENT, 2, cap, 0, 0)) for cap in (0, 12, 21)]
syscall(157, PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0)
syscall(157, PR_SET_SECUREBITS, 0, 0, 0, 0)
syscall(157, PR_SET_KEEPCAPS, 1, 0, 0, 0)
for uid in (0, 1, 65534):
    if syscall(105, uid) == 0 or syscall(117, uid, uid, uid) == 0:
        escaped(f"became uid {uid}")
left = []
with open("/proc/self/status") as f:
    for line in f:
        key, _, value = line.partition(":")
        if key.startswith("Cap") and int(value, 16):
            left.append(line.strip())
        if key == "NoNewPrivs" and value.strip() != "1":
            left.append(line.strip())
if left or capset == 0 or any(a.startswith("success") for a in ambient):
    escaped(f"{left} capset {word(capset)} ambient {ambient}")
contained(f"capset {word(capset)} ambient {ambient}")
