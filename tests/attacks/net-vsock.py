# attack: reaches the hypervisor's host by vsock, which network namespaces do not cover
# stopped-by: seccomp
# off: seccomp
import errno, json, socket, sys

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


AF_VSOCK = 40
said = []
for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
    try:
        socket.socket(AF_VSOCK, kind)
    except OSError as e:
        said.append(errno.errorcode.get(e.errno, str(e)))
        continue
    escaped("has a vsock socket")
# A kernel without vsock says EAFNOSUPPORT; a filter says EPERM.
if set(said) - {"EPERM", "ENOSYS"}:
    escaped(f"socket(AF_VSOCK) reaches the kernel: {said}")
contained(" ".join(said))
