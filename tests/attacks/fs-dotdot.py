# attack: climbs out with .. from every directory, descriptor and link that leads somewhere
# stopped-by: mount-ns landlock
# off: mount-ns landlock
import json, os, sys

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


up = "../" * 40
target = F["secret_tmp"].lstrip("/")
tries = [up + target, "/proc/self/root/" + target, "/proc/self/cwd/" + up + target, "/proc/thread-self/root/" + target,
         "/proc/self/root/" + up + target, "/dev/fd/../root/" + up + target, "/proc/1/root/" + target,
         "/proc/1/cwd/" + up + target, "/proc/self/task/1/root/" + target, "//" + target]
for fd in range(64):
    tries.append(f"/proc/self/fd/{fd}/{up}{target}")
for path in tries:
    try:
        with open(path) as f:
            escaped(f"read {path[-80:]}: {f.read(200)}")
    except OSError:
        pass
for start in ["/", "/proc", "/dev", "/usr", "/tmp", "."]:
    try:
        fd = os.open(start, os.O_PATH)
        got = os.open(up + target, os.O_RDONLY, dir_fd=fd)
    except OSError:
        continue
    escaped(f"read from {start}: {os.read(got, 200)}")
contained(f"none of {len(tries) + 6} ways up leads out")
