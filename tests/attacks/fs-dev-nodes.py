# attack: opens devices: memory, kvm, fuse, tun, disks, terminals, the kernel log
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
allowed = {"null", "zero", "full", "random", "urandom", "fd", "stdin", "stdout", "stderr", "shm"}
names = ["mem", "kmem", "port", "kvm", "fuse", "kmsg", "net/tun", "loop-control", "loop0", "sda", "vda", "nvme0n1",
         "ptmx", "pts/ptmx", "pts/0", "tty", "tty0", "console", "autofs", "hpet", "rtc0", "userfaultfd", "vhost-net",
         "vsock", "uinput", "input/event0", "dri/card0", "dri/renderD128", "nvidia0", "nvidiactl", "snapshot", "cuse",
         "mapper/control", "bus/usb", "snd", "cpu_dma_latency", "hwrng", "udmabuf", "dma_heap/system", "binder"]
try:
    names += os.listdir("/dev")
except OSError:
    pass
for name in dict.fromkeys(names):
    if name in allowed:
        continue
    for flags in (os.O_RDWR, os.O_RDONLY, os.O_WRONLY):
        try:
            os.close(os.open("/dev/" + name, flags | os.O_NONBLOCK | os.O_NOCTTY))
            got.append(name)
            break
        except OSError:
            pass
if got:
    escaped("opened " + " ".join(got))
contained("no device opens, but the harmless five")
