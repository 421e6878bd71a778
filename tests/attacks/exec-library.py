# attack: loads a native library that it brought along
# stopped-by: mount-ns landlock
# off: mount-ns landlock
import ctypes, errno, glob, json, os, sys

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


said = []
for directory in ["/work", "/tmp", "/dev/shm", F["drop_dir"]]:
    path = f"{directory}/brought-{F['run']}.so"
    try:
        with open(glob.glob("/lib/*/libm.so.6")[0], "rb") as source, open(path, "wb") as f:
            f.write(source.read())
    except OSError as e:
        said.append(errno.errorcode[e.errno])
        continue
    try:
        ctypes.CDLL(path)
        loaded = True
    except OSError as e:
        said.append(str(e)[-60:])
        loaded = False
    os.unlink(path)
    if loaded:
        escaped(f"loaded {path}")
contained("; ".join(dict.fromkeys(said)))
