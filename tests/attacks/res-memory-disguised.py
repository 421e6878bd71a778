# attack: takes memory under a false name and undumpable, so that whoever adds it up may not look or is misled
# stopped-by: watch
# off: watch
# run: --memory 64M
# expect: outcome=out-of-memory|exited
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


PR_SET_NAME, PR_SET_DUMPABLE = 15, 4
children = []
ready, tell = os.pipe()
for name in (b"a) Z 1 1 1 0 -1", b"x\nRssAnon:\t0 kB", b"\xff\xfe\n\n) (", b") R 0 0 0 0", b"VmRSS: 0"):
    pid = os.fork()
    if pid == 0:
        syscall(157, PR_SET_NAME, name, 0, 0, 0)
        syscall(157, PR_SET_DUMPABLE, 0, 0, 0, 0)
        held = bytearray(b"x" * (40 << 20))
        os.write(tell, b"x")
        time.sleep(30)
        os._exit(0)
    children.append(pid)
os.close(tell)
got = 0
while got < len(children) and os.read(ready, 1):
    got += 1
time.sleep(2)
for pid in children:
    os.kill(pid, signal.SIGKILL)
if got == len(children):
    escaped(f"{got} processes held 40 MiB each for two seconds under a limit of 64")
contained(f"{got} of {len(children)} processes got their memory")
