# attack: takes memory by shared anonymous mappings, which are counted as shared memory and not as data
# stopped-by: seccomp watch
# off: seccomp watch
# run: --memory 64M
# expect: outcome=out-of-memory|exited
import json, mmap, sys, time

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


held = []
try:
    for _ in range(192):
        area = mmap.mmap(-1, 1 << 20)
        area.write(b"x" * (1 << 20))
        held.append(area)
except (OSError, MemoryError) as e:
    contained(f"{e} after {len(held)} MiB")
time.sleep(2)
escaped("held 192 MiB of shared memory for two seconds under a limit of 64")
