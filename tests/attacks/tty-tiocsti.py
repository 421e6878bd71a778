# attack: types into a terminal with TIOCSTI, so that the shell there runs it, and makes one if it has none
# stopped-by: mount-ns landlock seccomp
# off: mount-ns landlock seccomp
import ctypes, errno, json, os, struct, sys

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


TIOCSTI, TIOCLINUX, TIOCSCTTY, TIOCGPTPEER, TIOCSPTLCK = 0x5412, 0x541C, 0x540E, 0x5441, 0x40045431
said = []
terminals = [0, 1, 2]
for path in ["/dev/tty", "/dev/console", "/dev/tty1", "/dev/pts/0", "/dev/pts/1"]:
    try:
        terminals.append(os.open(path, os.O_RDWR))
    except OSError as e:
        said.append(errno.errorcode[e.errno])
try:
    master = os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY)
    syscall(16, master, TIOCSPTLCK, struct.pack("i", 0))
    peer = syscall(16, master, TIOCGPTPEER, os.O_RDWR)
    if peer >= 0:
        if os.getpid() != os.getsid(0):
            os.setsid()
        syscall(16, peer, TIOCSCTTY, 0)
        terminals.append(peer)
except OSError as e:
    said.append(errno.errorcode[e.errno])
for fd in terminals:
    for name, request in [("TIOCSTI", TIOCSTI), ("TIOCLINUX", TIOCLINUX)]:
        r = syscall(16, fd, request, b"i")
        # EIO: a terminal, where dev.tty.legacy_tiocsti is 0.
        if r in (0, -errno.EIO):
            escaped(f"{name} on a terminal: {word(r)}")
        said.append(word(r))
contained(" ".join(said))
