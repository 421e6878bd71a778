# attack: runs a program through descriptors: an unlinked file, O_TMPFILE, a pipe, /proc/self/fd
# stopped-by: mount-ns landlock
# off: mount-ns landlock
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


AT_EMPTY_PATH = 0x1000
argv = (ctypes.c_char_p * 2)(b"true", None)
with open("/usr/bin/true", "rb") as source:
    program = source.read()
said = []
for directory in ["/work", "/tmp", "/dev/shm", F["drop_dir"]]:
    path = f"{directory}/brought-{F['run']}"
    for unlinked in (False, True):
        try:
            fd = os.open(path, os.O_CREAT | os.O_WRONLY, 0o755)
            os.write(fd, program)
            os.close(fd)
            fd = os.open(path, os.O_RDONLY)
            if unlinked:
                os.unlink(path)
        except OSError as e:
            said.append(errno.errorcode[e.errno])
            continue
        how = [child(lambda: syscall(322, fd, b"", argv, None, AT_EMPTY_PATH)),
               child(lambda: syscall(59, f"/proc/self/fd/{fd}".encode(), argv, None))]
        said += how
        if not unlinked:
            os.unlink(path)
        if "success" in how:
            escaped(f"ran {path}: {how}")
contained(" ".join(dict.fromkeys(said)))
