# attack: writes files outside of /work and /tmp, where the caller or anybody may write
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


got = []
for path in [F["drop_dir"] + "/dropped", "/var/tmp/aictl-dropped", "/usr/local/bin/aictl-dropped", "/etc/cron.d/aictl-dropped",
             "/usr/lib/python3/dist-packages/aictl_dropped.py", "/bin/aictl-dropped", "/dropped", "/dev/dropped",
             "/root/.bashrc", "/home/dropped", "/run/dropped", "/var/lock/aictl-dropped"]:
    try:
        with open(path, "a"):
            pass
        got.append(path)
        os.unlink(path)
    except OSError:
        pass
for path in ["/usr/bin/python3", "/usr/bin/env", "/etc/passwd", "/etc/hosts", "/etc/ld.so.cache"]:
    for action in [lambda p: os.open(p, os.O_WRONLY), lambda p: os.chmod(p, 0o777), lambda p: os.truncate(p, 1 << 30),
                   lambda p: os.rename(p, p + ".old"), lambda p: os.utime(p)]:
        try:
            action(path)
            got.append(path)
        except OSError:
            pass
if got:
    escaped("wrote " + " ".join(got))
contained("nothing outside can be written")
