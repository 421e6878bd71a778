# attack: connects to a service's abstract unix socket, which no mount namespace hides
# stopped-by: net-ns landlock seccomp
# off: net-ns landlock seccomp
import errno, json, socket, sys

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


try:
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.connect("\0" + F["unix_abstract"])
    s.sendall(b"stolen data")
except OSError as e:
    contained(errno.errorcode.get(e.errno, str(e)))
escaped("connected to the abstract socket")
