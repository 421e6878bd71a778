# attack: reads pid 1, which came from outside: environment, memory map, root, working directory, descriptors
# stopped-by: landlock pid-ns
# off: control landlock (no layer: pid 1 has made itself undumpable; the control run looks at a child instead)
import json, os, sys, time

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


got = []
boss = os.getppid()
if F.get("control"):
    boss = os.fork()
    if boss == 0:
        time.sleep(20)
        os._exit(0)
for pid in {1, boss}:
    for name in ["environ", "maps", "smaps", "auxv", "pagemap", "io", "syscall", "personality", "stack", "mem"]:
        try:
            with open(f"/proc/{pid}/{name}", "rb") as f:
                f.read(1) if name != "mem" else None
            got.append(f"{pid}/{name}")
        except OSError:
            pass
    for name in ["root", "cwd", "exe", "fd/0", "fd/1", "fd/3", "fd/4", "fd/5", "ns/mnt", "ns/user"]:
        for action in (os.readlink, lambda p: os.close(os.open(p, os.O_RDONLY | os.O_NONBLOCK))):
            try:
                action(f"/proc/{pid}/{name}")
                got.append(f"{pid}/{name}")
                break
            except OSError:
                pass
    for name in ["fd", "map_files"]:
        try:
            os.listdir(f"/proc/{pid}/{name}")
            got.append(f"{pid}/{name}")
        except OSError:
            pass
if got:
    escaped("read " + " ".join(got))
contained(f"nothing of pid {boss} can be read")
