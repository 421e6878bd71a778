# attack: runs a program that it brought along by handing it to the dynamic linker (ld.so /tmp/prog)
# stopped-by: mount-ns landlock
# off: mount-ns landlock
import errno, glob, json, os, subprocess, sys

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


said = []
for directory in ["/work", "/tmp", "/dev/shm", "/var/tmp", F["drop_dir"]]:
    path = f"{directory}/brought-{F['run']}"
    try:
        with open("/usr/bin/echo", "rb") as source, open(path, "wb") as f:
            f.write(source.read())
        os.chmod(path, 0o755)
    except OSError as e:
        said.append(errno.errorcode[e.errno])
        continue
    for linker in glob.glob("/lib64/ld-linux*.so*") + glob.glob("/lib/*/ld-linux*.so*"):
        try:
            done = subprocess.run([linker, path, "ran"], capture_output=True)
        except OSError as e:
            said.append(errno.errorcode[e.errno])
            continue
        said.append(done.stderr.decode().strip()[-60:])
        if done.stdout == b"ran\n":
            os.unlink(path)
            escaped(f"{linker} ran {path}")
    os.unlink(path)
contained("; ".join(dict.fromkeys(said)))
