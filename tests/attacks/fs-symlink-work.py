# attack: plants symbolic and hard links in /work that lead outside, also in place of the script
# stopped-by: mount-ns landlock
# off: mount-ns landlock
import json, os, shutil, sys

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


targets = [F["secret_tmp"], F["secret_shm"], "/etc/shadow", "/proc/1/root" + F["secret_tmp"], "/proc/1/environ"]
script = os.path.abspath(sys.argv[0])
base = f"links-{F['run']}"
os.mkdir(base)
got = None
for n, target in enumerate(targets):
    for make in (os.symlink, os.link):
        link = f"{base}/{make.__name__}{n}"
        try:
            make(target, link)
            with open(link) as f:
                got = f"read {target} through a {make.__name__}: {f.read(100)}"
        except OSError:
            pass
try:
    os.rename(base, base + "-moved")
    os.symlink("/", base)
    with open(base + F["secret_tmp"]) as f:
        got = "read through a directory that became a link: " + f.read(100)
except OSError:
    pass
if os.getcwd() == "/work":
    # Whoever outside follows links in /work must not be led to these.
    for name in [script, "stdout", "stderr", "result", "result.json", "core", "report"]:
        try:
            if os.path.lexists(name):
                os.unlink(name)
            os.symlink(F["secret_tmp"], name)
        except OSError:
            pass
else:
    os.unlink(base)
    shutil.rmtree(base + "-moved")
if got:
    escaped(got)
contained("links lead nowhere outside")
