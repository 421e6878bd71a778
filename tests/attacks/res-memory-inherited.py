# attack: keeps shared memory in a child that has never touched it, and so has none in its own count
# stopped-by: seccomp
# off: seccomp
# run: --memory 64M
# expect: outcome=out-of-memory|exited
import json, mmap, os, sys, time

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


held = []
ready, tell = os.pipe()
try:
    for _ in range(5):
        # 40 MiB at a time: no process is ever seen with more.
        area = mmap.mmap(-1, 40 << 20)
        writer = os.fork()
        if writer == 0:
            for _ in range(40):
                area.write(b"x" * (1 << 20))
            os._exit(0)
        os.waitpid(writer, 0)
        held.append(area)
except (OSError, MemoryError) as e:
    contained(f"{e} after {40 * len(held)} MiB")
time.sleep(2)
if any(area[5000] != 120 for area in held):
    contained("the writers did not get far")
escaped("held 200 MiB that a dead child has written for two seconds under a limit of 64")
