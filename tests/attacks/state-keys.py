# attack: leaves keys for the next run, in every keyring that a process has without asking
# stopped-by: user-ns seccomp
# off: control seccomp (behind the filter user-ns keeps the keys of a user apart, and is always on; the control run leaves a key for itself)
# runs: 2
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


ADD_KEY, REQUEST_KEY, KEYCTL = 248, 249, 250
KEYCTL_SEARCH, KEYCTL_SETPERM, KEYCTL_GET_PERSISTENT = 10, 5, 22
THREAD, PROCESS, SESSION, USER, USER_SESSION = -1, -2, -3, -4, -5
name = f"left-{F['run']}".encode()


def keyrings():
    """Every keyring at hand; the persistent one is linked to that of the process."""
    persistent = syscall(KEYCTL, KEYCTL_GET_PERSISTENT, -1, PROCESS)
    return [SESSION, USER, USER_SESSION, THREAD, PROCESS] + ([persistent] if persistent > 0 else [])


def leave():
    said = []
    for ring in keyrings():
        key = syscall(ADD_KEY, b"user", name, b"for the next run", 16, ring)
        if key > 0:
            # For all, whoever has it.
            syscall(KEYCTL, KEYCTL_SETPERM, key, 0x3F3F3F3F)
        said.append(word(key))
    return said


if F["round"] == 1:
    contained(f"to be left: {leave()}")
if F.get("control"):
    leave()
found = [syscall(KEYCTL, KEYCTL_SEARCH, ring, b"user", name, 0) for ring in keyrings()]
found.append(syscall(REQUEST_KEY, b"user", name, None, 0))
if any(key > 0 for key in found):
    escaped(f"found the first run's key: {[word(key) for key in found]}")
contained(str([word(key) for key in found]))
