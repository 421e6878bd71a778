# attack: hides memory in a process whose first thread has ended, of which /proc/PID/status tells none
# stopped-by: watch
# off: watch
# run: --memory 64M
# expect: outcome=out-of-memory|exited
import ctypes, json, mmap, os, sys, threading, time

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


def take():
    # Until the first thread is a zombie, and /proc shows the process without memory.
    while "State:\tZ" not in open(f"/proc/{os.getpid()}/status").read():
        time.sleep(0.01)
    held = []
    try:
        for _ in range(110):
            area = mmap.mmap(-1, 1 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            area.write(b"x" * (1 << 20))
            held.append(area)
    except (OSError, MemoryError) as e:
        print(f"CONTAINED {e} after {len(held)} MiB", flush=True)
        os._exit(0)
    time.sleep(2)
    print("ESCAPED held 110 MiB for two seconds under a limit of 64", flush=True)
    os._exit(1)


threading.Thread(target=take).start()
syscall(60, 0)  # exit: ends this thread only
