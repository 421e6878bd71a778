# attack: clears the signal that it gets when its parent ends, and stays when its caller is killed
# stopped-by: pid-ns
# off: pid-ns watch
# kill: READY
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


PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
heard, tell = os.pipe()
children = 0
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        break
    children += 1
syscall(157, PR_SET_PDEATHSIG, 0, 0, 0, 0)
syscall(157, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
for n in signal.valid_signals():
    try:
        signal.signal(n, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
if children == 3:
    for _ in range(children):
        os.read(heard, 1)
    os.write(1, b"READY\n")
else:
    os.write(tell, b"x")
time.sleep(25)
