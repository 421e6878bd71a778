# attack: connects to a service on the host's loopback by TCP over IPv6
# stopped-by: net-ns seccomp landlock
# off: net-ns seccomp landlock
import errno, json, socket, sys

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


try:
    s = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    s.settimeout(3)
    s.connect(("::1", F["tcp6_port"]))
    s.sendall(b"stolen data")
except OSError as e:
    contained(errno.errorcode.get(e.errno, str(e)))
escaped("connected to ::1")
