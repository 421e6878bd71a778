# attack: makes siblings with CLONE_PARENT, so that their exit status goes to pid 1 in place of its own
# stopped-by: pid-ns
# off: control (no layer: pid 1 waits for one pid; the control run ends with 0 itself)
# expect: outcome=exited exit_code=7
import ctypes, json, os, signal, sys, time

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


CLONE_PARENT = 0x8000
for code in (0, 1, 99):
    if syscall(56, CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0) == 0:
        os._exit(code)
# Give pid 1 time to reap them first.
for _ in range(200):
    if len([p for p in os.listdir("/proc") if p.isdigit()]) <= 2:
        break
    time.sleep(0.01)
print("CONTAINED if the exit code is 7", flush=True)
os._exit(0 if F.get("control") else 7)
