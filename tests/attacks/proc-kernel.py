# attack: reads the kernel's memory, addresses, log, keys, modules and boot line from /proc
# stopped-by: mount-ns
# off: mount-ns
import json, os, sys

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


got = []
for name in ["kcore", "kmsg", "kpagecount", "kpageflags", "slabinfo", "vmallocinfo", "timer_list", "sched_debug", "iomem",
             "ioports", "kallsyms", "keys", "key-users", "modules", "cmdline", "version", "config.gz", "interrupts",
             "partitions", "diskstats", "swaps", "devices", "crypto", "net/dev", "net/unix", "net/tcp", "sysvipc/shm",
             "1/stack", "self/stack", "sys/kernel/random/boot_id", "driver", "acpi", "scsi/scsi", "fs", "bus/pci/devices"]:
    path = "/proc/" + name
    try:
        if os.path.isdir(path):
            os.listdir(path)
        else:
            with open(path, "rb") as f:
                f.read(1)
        got.append(name)
    except OSError:
        pass
try:
    os.close(os.open("/proc/sysrq-trigger", os.O_WRONLY))
    got.append("sysrq-trigger")
except OSError:
    pass
if got:
    escaped("read " + " ".join(got))
contained("/proc shows processes only")
