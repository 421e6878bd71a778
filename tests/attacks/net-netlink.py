# attack: talks netlink: lists interfaces, listens to uevents, audit and netfilter
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


AF_NETLINK = 16
said = {}
for protocol, name in [(0, "route"), (4, "sock_diag"), (9, "audit"), (12, "netfilter"), (15, "uevent"), (16, "generic")]:
    try:
        s = socket.socket(AF_NETLINK, socket.SOCK_RAW, protocol)
    except OSError as e:
        said[name] = errno.errorcode.get(e.errno, str(e))
        continue
    escaped(f"has a netlink socket for {name}")
contained(str(said))
