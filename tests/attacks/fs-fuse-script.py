# attack: mounts a file system of its own making (FUSE), on which a script would keep whoever reads it waiting
# stopped-by: mount-ns
# off: mount-ns
import ctypes, errno, json, os, signal, stat, sys

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


CLONE_NEWUSER, CLONE_NEWNS, MOUNT, UNSHARE, FSOPEN, FSCONFIG, FSMOUNT = 0x10000000, 0x20000, 165, 272, 430, 431, 432
FSCONFIG_SET_STRING, FSCONFIG_CMD_CREATE = 1, 6


def opened():
    """The device: where it is, by another way there, or made here."""
    said = []
    for path in ("/dev/fuse", "/proc/self/root/dev/fuse", "/proc/1/root/dev/fuse", "/dev/cuse", "/tmp/fuse"):
        try:
            if path == "/tmp/fuse":
                os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(10, 229))
            return os.open(path, os.O_RDWR), said
        except OSError as e:
            said.append(f"{path} {errno.errorcode[e.errno]}")
    return -1, said


def mounted(fd, how):
    """Mounts it as whoever may: with every capability in namespaces of its own."""
    uid, gid = os.getuid(), os.getgid()
    r = syscall(UNSHARE, CLONE_NEWUSER | CLONE_NEWNS)
    if r < 0:
        return r
    for file, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        try:
            with open(f"/proc/self/{file}", "w") as f:
                f.write(text)
        except OSError:
            pass
    options = {b"fd": b"%d" % fd, b"rootmode": b"40000", b"user_id": b"0", b"group_id": b"0"}
    os.makedirs("/tmp/f", exist_ok=True)
    if how == "mount":
        text = b",".join(key + b"=" + value for key, value in options.items())
        return syscall(MOUNT, b"x", b"/tmp/f", b"fuse", 2, text)
    context = syscall(FSOPEN, b"fuse", 0)
    if context < 0:
        return context
    for key, value in options.items():
        syscall(FSCONFIG, context, FSCONFIG_SET_STRING, key, value, 0)
    r = syscall(FSCONFIG, context, FSCONFIG_CMD_CREATE, None, None, 0)
    return r if r < 0 else min(0, syscall(FSMOUNT, context, 0, 0))


fd, said = opened()
said.append({how: child(lambda: mounted(fd, how)) for how in ("mount", "fsopen")})
if os.path.isdir("/tmp/f"):
    os.rmdir("/tmp/f")
if "success" in said[-1].values():
    escaped(f"mounted one: {said}")
# Where only root may open the device, to see that it is there is enough.
if fd >= 0 or os.path.exists("/dev/fuse"):
    escaped(f"the device is there: {said}")
contained(str(said))
