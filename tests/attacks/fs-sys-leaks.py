# attack: reads the machine's hardware, modules and control groups from /sys
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
for path in ["/sys/class/net", "/sys/fs/cgroup", "/sys/kernel/debug", "/sys/kernel/security", "/sys/module", "/sys/block",
             "/sys/firmware", "/sys/bus", "/sys/devices", "/sys/power", "/sys/kernel/notes", "/sys/kernel/btf/vmlinux",
             "/sys/class/dmi/id/product_uuid", "/sys/kernel/tracing", "/sys/fs/bpf"]:
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
if got:
    escaped("read " + " ".join(got))
contained("/sys tells nothing")
