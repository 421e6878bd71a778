# attack: fills the disk, in every directory that can be written
# stopped-by: mount-ns landlock rlimits
# off: mount-ns landlock rlimits
# run: --work-size 1M
import errno, json, os, sys

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


written = 0
block = b"x" * 65536
said = ""
for directory in [".", "/work", "/tmp", "/dev/shm", "/var/tmp", F["drop_dir"], "/usr", "/etc", "/dev", "/"]:
    files = []
    try:
        for n in range(16):
            path = f"{directory}/aictl-bomb-{F['run']}-{n}"
            fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            files.append(path)
            try:
                for _ in range(32):
                    written += os.write(fd, block)
            finally:
                os.close(fd)
    except OSError as e:
        said += f" {directory}: {errno.errorcode[e.errno]}"
    # Only while it all lies there at once does it count, so that nothing is deleted before the end.
    F.setdefault("mine", []).extend(files)
for path in F["mine"]:
    os.unlink(path)
if written > 8 << 20:
    escaped(f"wrote {written} bytes under a limit of 1 MiB a directory")
contained(f"after {written} bytes:{said}")
