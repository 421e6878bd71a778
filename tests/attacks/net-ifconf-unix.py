# attack: lists and changes network interfaces through the ioctls of a unix socket
# stopped-by: net-ns seccomp
# off: net-ns seccomp
import errno, fcntl, json, socket, struct, sys

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


SIOCGIFFLAGS, SIOCSIFFLAGS, SIOCGIFNAME, IFF_UP = 0x8913, 0x8914, 0x8910, 1
s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
said = []
try:
    flags = fcntl.ioctl(s, SIOCGIFFLAGS, struct.pack("16sh22x", b"lo", 0))
    if struct.unpack("16sh22x", flags)[1] & IFF_UP:
        escaped("sees the host's loopback interface up")
    said.append("lo is down")
except OSError as e:
    said.append(errno.errorcode[e.errno])
for index in range(2, 64):
    try:
        name = fcntl.ioctl(s, SIOCGIFNAME, struct.pack("16si20x", b"", index))[:16].rstrip(b"\0")
        if name.decode() not in ("lo", "sit0", "tunl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "ip6tnl0",
                                 "ip6gre0", "teql0"):
            escaped(f"sees interface {name}")
    except OSError as e:
        said.append(errno.errorcode[e.errno])
try:
    fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", IFF_UP))
    escaped("brought the loopback interface up")
except OSError as e:
    said.append(errno.errorcode[e.errno])
contained(" ".join(dict.fromkeys(said)))
