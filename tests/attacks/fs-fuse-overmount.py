# attack: puts a file system of its own making (FUSE) in front of other programs
# stopped-by: mount-ns
# off: mount-ns
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


def child(attack):
    """Runs attack in a forked child: "killed by SIGSYS", an errno's name, or "success"."""
    pid = os.fork()
    if pid == 0:
        code = 255
        try:
            r = attack()
            code = -r if r < 0 else 0
        finally:
            os._exit(code)
    status = os.waitpid(pid, 0)[1]
    if os.WIFSIGNALED(status):
        return "killed by " + signal.Signals(os.WTERMSIG(status)).name
    code = os.WEXITSTATUS(status)
    return errno.errorcode.get(code, f"exit {code}") if code else "success"


def nested(flags, attack):
    """Runs attack as the holder of every capability in a new user namespace; see user_namespaces(7)."""
    CLONE_NEWUSER = 0x10000000

    def run():
        r = syscall(272, CLONE_NEWUSER | flags)  # unshare
        return r if r < 0 else attack()

    return child(run)


MS_NOSUID = 2
said = []
for path in ["/dev/fuse", "/proc/1/root/dev/fuse"]:
    try:
        fd = os.open(path, os.O_RDWR)
    except OSError as e:
        said.append(errno.errorcode[e.errno])
        continue
    os.makedirs("/tmp/f", exist_ok=True)
    how = nested(0x20000, lambda: syscall(165, b"x", b"/tmp/f", b"fuse", MS_NOSUID,
                                          b"fd=%d,rootmode=40000,user_id=0,group_id=0" % fd))
    os.rmdir("/tmp/f")
    escaped(f"opened {path}; mount in a nested namespace: {how}")
# Where only root may open /dev/fuse, to see that it is there is enough.
if os.path.exists("/dev/fuse"):
    escaped(f"/dev/fuse is there: {said}")
contained(f"/dev/fuse: {said}")
