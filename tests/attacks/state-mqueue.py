# attack: leaves a POSIX message queue with a message in it for the next run
# stopped-by: ipc-ns landlock seccomp rlimits
# off: ipc-ns landlock seccomp rlimits
# runs: 2
import ctypes, errno, json, os, sys

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


MQ_OPEN, MQ_UNLINK, MQ_TIMEDSEND, MQ_TIMEDRECEIVE = 240, 241, 242, 243
name = f"left-{F['run']}".encode()
os.umask(0)
if F["round"] == 1:
    queue = syscall(MQ_OPEN, name, os.O_CREAT | os.O_RDWR | os.O_NONBLOCK, 0o666, None)
    sent = syscall(MQ_TIMEDSEND, queue, b"for the next run", 16, 0, None) if queue >= 0 else queue
    contained(f"to be left: {word(queue)}, {word(sent)}")
queue = syscall(MQ_OPEN, name, os.O_RDWR | os.O_NONBLOCK, 0, None)
if queue >= 0:
    buffer = ctypes.create_string_buffer(8192)
    got = syscall(MQ_TIMEDRECEIVE, queue, buffer, 8192, None, None)
    syscall(MQ_UNLINK, name)
    escaped(f"found the first run's queue: {word(got)} {buffer.value}")
contained(word(queue))
