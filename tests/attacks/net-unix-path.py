# attack: connects to a service's unix socket by its path
# stopped-by: mount-ns seccomp
# off: mount-ns seccomp
import errno, json, socket, sys

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


said = []
for path in [F["unix_path"], "/proc/1/root" + F["unix_path"], "/run/systemd/private", "/run/dbus/system_bus_socket",
             "/run/docker.sock", "/var/run/docker.sock", "/run/containerd/containerd.sock", "/run/aictl/bus",
             "/run/systemd/journal/socket", "/dev/log", "/tmp/.X11-unix/X0"]:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
        try:
            socket.socket(socket.AF_UNIX, kind).connect(path)
            escaped(f"connected to {path}")
        except OSError as e:
            said.append(errno.errorcode.get(e.errno, str(e)))
contained(" ".join(dict.fromkeys(said)))
