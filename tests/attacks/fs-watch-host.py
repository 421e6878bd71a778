# attack: watches which of the host's programs are used, by inotify and dnotify on /usr
# stopped-by: seccomp
# off: seccomp
import ctypes, errno, json, os, select, signal, sys, time

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


IN_ACCESS, IN_OPEN, F_NOTIFY, DN_ACCESS, DN_MULTISHOT = 1, 0x20, 1026, 1, 0x80000000
said = []
notify = libc.inotify_init()
if notify >= 0:
    # The harness opens and reads this file all the time, and nothing in this sandbox does.
    r = libc.inotify_add_watch(notify, F["used_file"].encode(), IN_ACCESS | IN_OPEN)
    said.append(f"inotify {r}")
    ready, _, _ = select.select([notify], [], [], 2)
    if ready:
        escaped(f"saw the host use {F['used_file']}")
seen = []
signal.signal(signal.SIGIO, lambda *_: seen.append(1))
directory = os.open(os.path.dirname(F["used_file"]), os.O_RDONLY)
r = syscall(72, directory, F_NOTIFY, DN_ACCESS | DN_MULTISHOT)
said.append(f"dnotify {word(r)}")
if r == 0:
    time.sleep(1)
    if seen:
        escaped(f"saw the host use {os.path.dirname(F['used_file'])}")
contained(", ".join(said))
