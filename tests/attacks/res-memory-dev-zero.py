# attack: hides shared memory behind a mapping of /dev/zero, and unmaps its pages
# stopped-by: mount-ns landlock
# off: mount-ns landlock
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
try:
    fd = os.open("/dev/zero", os.O_RDWR)
    for n in range(192):
        area = mmap.mmap(fd, 1 << 20, flags=mmap.MAP_SHARED)
        area.write(bytes([n]) * (1 << 20))
        area.madvise(mmap.MADV_DONTNEED)
        held.append(area)
except (OSError, MemoryError) as e:
    contained(f"{e} after {len(held)} MiB")
time.sleep(2)
if any(area[5000] != n for n, area in enumerate(held)):
    contained("the pages are gone")
escaped("held 192 MiB of unmapped shared memory for two seconds under a limit of 64")
