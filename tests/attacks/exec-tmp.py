# attack: runs a program that it brought along, from every directory that it can write
# stopped-by: mount-ns landlock
# off: mount-ns landlock
import errno, json, os, subprocess, sys

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


said = []
for directory in [".", "/work", "/tmp", "/dev/shm", "/var/tmp", "/dev", F["drop_dir"]]:
    path = f"{directory}/brought-{F['run']}"
    try:
        with open("/usr/bin/echo", "rb") as source, open(path, "wb") as f:
            f.write(source.read())
        os.chmod(path, 0o755)
        try:
            ran = subprocess.run([path, "ran"], capture_output=True).stdout
        finally:
            os.unlink(path)
    except OSError as e:
        said.append(errno.errorcode[e.errno])
        continue
    if ran == b"ran\n":
        escaped(f"ran {path}")
contained(" ".join(said))
