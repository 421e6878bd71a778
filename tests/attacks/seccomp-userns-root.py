# attack: becomes uid 0 with all capabilities in a user namespace, and keeps them over exec
# stopped-by: seccomp landlock
# off: seccomp landlock
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


uid, gid = os.getuid(), os.getgid()
say, heard = os.pipe()


def become():
    r = syscall(272, 0x10000000)
    if r < 0:
        return r
    for name, text in [("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")]:
        with open(f"/proc/self/{name}", "w") as f:
            f.write(text)
    os.dup2(heard, 1)
    os.execv("/bin/sh", ["sh", "-c", "id -u; grep CapEff /proc/self/status"])


how = child(become)
os.close(heard)
told = os.read(say, 4096).decode().split()
if told and (told[0] == "0" or int(told[-1], 16)):
    escaped(f"is uid {told[0]} with capabilities {told[-1]}")
contained(f"user namespace: {how}")
