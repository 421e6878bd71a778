# attack: sends a datagram to the host, which needs no answer
# stopped-by: net-ns seccomp
# off: net-ns seccomp
import errno, json, socket, sys

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


try:
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.sendto(b"stolen data", ("127.0.0.1", F["udp4_port"]))
except OSError as e:
    contained(errno.errorcode.get(e.errno, str(e)))
escaped("sent a datagram to 127.0.0.1")
