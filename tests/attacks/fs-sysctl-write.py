# attack: writes kernel parameters in /proc/sys, also as root of a nested user and network namespace
# stopped-by: seccomp landlock mount-ns
# off: seccomp landlock mount-ns
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


CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWNET = 0x20000, 0x4000000, 0x8000000, 0x40000000
got = []


def rewrite():
    """Writes each parameter's own value back; the first that is taken counts."""
    for top, _, names in os.walk("/proc/sys"):
        for name in names:
            path = os.path.join(top, name)
            try:
                fd = os.open(path, os.O_RDWR)
                value = os.read(fd, 4096)
                os.lseek(fd, 0, 0)
                os.write(fd, value)
                os.close(fd)
            except OSError:
                continue
            os.write(2, path.encode() + b"\n")
            return 0
    for path in ["/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sysrq-trigger"]:
        try:
            os.close(os.open(path, os.O_WRONLY))
            return 0
        except OSError:
            pass
    return -errno.EACCES


if child(rewrite) == "success":
    escaped("wrote a kernel parameter")


def as_root():
    for name, text in [("setgroups", "deny"), ("uid_map", "0 1000 1"), ("gid_map", "0 1000 1")]:
        try:
            with open(f"/proc/self/{name}", "w") as f:
                f.write(text)
        except OSError:
            pass
    return rewrite()


how = nested(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET, as_root)
if how == "success":
    escaped("wrote a kernel parameter as root of a nested namespace")
contained(f"nothing in /proc/sys can be written; nested namespace: {how}")
