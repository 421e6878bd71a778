# attack: learns by stat, access and inotify which files exist outside
# stopped-by: mount-ns
# off: mount-ns
import ctypes, json, os, sys

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


found = []
for path in [F["secret_tmp"], F["secret_shm"], F["drop_dir"], "/var/lib/dpkg/status", "/etc/fstab"]:
    try:
        os.stat(path)
        found.append("stat " + path)
    except OSError:
        pass
    if os.access(path, os.F_OK):
        found.append("access " + path)
    watch = libc.inotify_init()
    if watch >= 0 and libc.inotify_add_watch(watch, path.encode(), 0xFFF) >= 0:
        found.append("inotify " + path)
if found:
    escaped("found " + ", ".join(found))
contained("no path of the host exists")
