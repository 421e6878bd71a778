# attack: connects by sendto with MSG_FASTOPEN, which older filters on connect() overlook
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


MSG_FASTOPEN = 0x20000000
try:
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    s.sendto(b"stolen data", MSG_FASTOPEN, ("127.0.0.1", F["tcp4_port"]))
except OSError as e:
    contained(errno.errorcode.get(e.errno, str(e)))
escaped("connected to 127.0.0.1 by sendto")
