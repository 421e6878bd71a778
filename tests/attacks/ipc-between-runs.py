# attack: leaves a message for the next run in every place that might outlive a run
# stopped-by: mount-ns landlock
# off: mount-ns landlock
# runs: 2
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


word = F["run"]
places = [f"{d}/left-{word}" for d in ("/tmp", "/work", "/dev/shm", "/var/tmp", "/dev", "/", "/usr/lib", F["drop_dir"])]
key = int(word[-6:], 16)
if F["round"] == 1:
    done = 0
    for path in places:
        try:
            with open(path, "w") as f:
                f.write(word)
            done += 1
        except OSError:
            pass
    syscall(29, key, 4096, 0o1600)
    syscall(240, b"left-" + word.encode(), os.O_CREAT | os.O_RDWR, 0o600, None)
    syscall(248, b"user", b"left-" + word.encode(), b"x", 1, -4)
    syscall(170, word.encode()[:60], len(word[:60]))
    contained(f"left {done} files")
found = []
for path in places:
    if os.path.exists(path):
        found.append(path)
        os.unlink(path)
if syscall(29, key, 4096, 0) >= 0:
    found.append("System V segment")
if syscall(240, b"left-" + word.encode(), os.O_RDWR, 0, None) >= 0:
    found.append("message queue")
if syscall(249, b"user", b"left-" + word.encode(), None, -4) >= 0:
    found.append("key")
if os.uname().nodename in word:
    found.append("host name")
if found:
    escaped("found " + ", ".join(found))
contained("nothing is left of the first run")
