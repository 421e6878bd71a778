# attack: connects to a unix socket by its path, as to one of the machine's below a directory that is bound
# stopped-by: seccomp
# off: seccomp
import os, socket, sys


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


seen = []
server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
server.bind("/tmp/server")
server.listen()
for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM, socket.SOCK_RAW):
    try:
        with socket.socket(socket.AF_UNIX, kind) as client:
            client.connect("/tmp/server")
            escaped(f"connected with type {kind}")
    except OSError as error:
        seen.append(os.strerror(error.errno))
try:
    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    a.sendto(b"x", "/tmp/server")
    escaped("sent a packet from a pair")
except OSError as error:
    seen.append(os.strerror(error.errno))
if set(seen) - {"Operation not permitted"}:
    escaped(f"was not forbidden: {seen}")
print("CONTAINED", seen[0], flush=True)
