# attack: gains rights by running setuid programs: su, sudo, mount, passwd, pkexec
# stopped-by: no-new-privs mount-ns seccomp landlock
# off: no-new-privs mount-ns seccomp landlock
import glob, json, os, stat, subprocess, sys

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


ST_NOSUID = 2
open_door = []
for path in glob.glob("/usr/bin/*") + glob.glob("/usr/sbin/*") + glob.glob("/usr/lib/*/*"):
    try:
        mode = os.stat(path).st_mode
    except OSError:
        continue
    if not stat.S_ISREG(mode) or not mode & (stat.S_ISUID | stat.S_ISGID):
        continue
    with open("/proc/self/status") as f:
        bar = "NoNewPrivs:\t1" in f.read()
    if not bar and not os.statvfs(path).f_flag & ST_NOSUID and os.access(path, os.X_OK):
        open_door.append(path)
for command in (["su", "-c", "id -u"], ["sudo", "-n", "id", "-u"], ["pkexec", "id", "-u"], ["newgrp", "root"]):
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        continue
    if done.returncode == 0 and done.stdout.strip() == b"0":
        escaped(f"{command[0]} made it root")
if open_door:
    escaped("these would change the uid: " + " ".join(open_door))
contained("no program changes the uid")
