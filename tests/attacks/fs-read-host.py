# attack: reads the host's files: password hashes, machine id, package data, home directories
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
for path in ["/etc/shadow", "/etc/gshadow", "/etc/sudoers", "/etc/machine-id", "/etc/fstab", "/etc/hostname",
             "/var/lib/dpkg/status", "/var/log/dpkg.log", "/root/.bashrc", "/boot", "/home", "/root", "/srv",
             "/opt", "/var/lib", "/run", "/mnt", "/media"]:
    try:
        if os.path.isdir(path):
            if os.listdir(path):
                got.append(path)
        else:
            with open(path, "rb") as f:
                f.read(1)
            got.append(path)
    except OSError:
        pass
# The sandbox has its own /etc/passwd; the host's knows daemons.
try:
    with open("/etc/passwd") as f:
        if any(line.startswith(("daemon:", "mail:", "sync:")) for line in f):
            got.append("/etc/passwd")
except OSError:
    pass
if got:
    escaped("read " + " ".join(got))
contained("nothing of the host can be read")
