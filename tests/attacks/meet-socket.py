# attack: talks to a run that is there at the same time: abstract sockets, and ports of the loopback
# stopped-by: net-ns landlock seccomp
# off: net-ns landlock seccomp
# beside: READY
import errno, json, socket, sys, time

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


there = F["run"] if F["round"] == 0 else F["beside"]
port = 20000 + int(there[-4:], 16) % 20000
doors = {
    "abstract stream": (socket.AF_UNIX, socket.SOCK_STREAM, f"\0meet-{there}"),
    "abstract datagrams": (socket.AF_UNIX, socket.SOCK_DGRAM, f"\0meet-datagrams-{there}"),
    "TCP": (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", port)),
    "TCP over IPv6": (socket.AF_INET6, socket.SOCK_STREAM, ("::1", port)),
}
said, met, held = {}, [], []
for name, (family, kind, address) in doors.items():
    try:
        s = socket.socket(family, kind)
        held.append(s)
        if F["round"] == 0:
            s.bind(address)
            if kind == socket.SOCK_STREAM:
                s.listen()
        else:
            s.settimeout(5)
            s.connect(address)
            met.append(name)
    except OSError as e:
        said[name] = errno.errorcode.get(e.errno, str(e))
if F["round"] == 0:
    print("READY", flush=True)
    time.sleep(30)
if met:
    escaped(f"met the other run: {met}")
contained(str(said))
