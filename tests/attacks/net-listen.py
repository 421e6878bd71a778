# attack: opens a port on the host for others to connect to
# stopped-by: seccomp landlock
# off: seccomp landlock
import errno, json, socket, sys

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


try:
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    s.bind(("127.0.0.1", 0))
    s.listen()
    port = s.getsockname()[1]
except OSError as e:
    contained(errno.errorcode.get(e.errno, str(e)))
escaped(f"listens on port {port}")
