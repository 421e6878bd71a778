# attack: fills deleted files in /tmp and /work, which no process maps
# stopped-by: mount-ns landlock
# off: mount-ns landlock
# run: --memory 32M --work-size 512M
# expect: outcome=out-of-memory|exited
import errno, json, os, sys, time

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


held = []
size = 0
how = ""
block = b"x" * (1 << 20)
for directory in ("/tmp", "/work", "/dev/shm", F["drop_dir"]):
    path = f"{directory}/aictl-hidden-{F['run']}"
    try:
        while size < 128 << 20:
            fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR)
            os.unlink(path)
            held.append(fd)
            for _ in range(16):
                size += os.write(fd, block)
    except OSError as e:
        how += f" {directory}: {errno.errorcode[e.errno]}"
time.sleep(2)
if size >= 128 << 20:
    escaped(f"kept {size >> 20} MiB in deleted files for two seconds under a limit of 32")
contained(f"{size >> 20} MiB:{how}")
