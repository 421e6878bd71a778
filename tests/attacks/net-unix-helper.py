# attack: speaks to the helper, its keeper of sandboxes, the bus, systemd and the journal by their sockets, found through descriptors of directories
# stopped-by: mount-ns seccomp
# off: mount-ns seccomp
import errno, json, os, socket, sys

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


# What each would be told: a job, a call, that the service ends, a record that others are blamed for.
JOB = b"ai\x01\x01" + b"{}"
SASL = b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n"
RECORD = b"MESSAGE_ID=2064f3181849442d82823e2d5c520a91\nAICTL_CALLER_UID=0\nAICTL_DECISION=allowed\n"
PLACES = {
    "/run/aictl/sandboxd": (socket.SOCK_SEQPACKET, JOB),
    "/run/aictl/bus": (socket.SOCK_STREAM, SASL),
    "/run/dbus/system_bus_socket": (socket.SOCK_STREAM, SASL),
    "/run/systemd/private": (socket.SOCK_STREAM, SASL),
    "/run/systemd/notify": (socket.SOCK_DGRAM, b"STOPPING=1"),
    "/run/systemd/journal/socket": (socket.SOCK_DGRAM, RECORD),
    "/run/systemd/journal/stdout": (socket.SOCK_STREAM, b"x\n\n6\n0\n0\n0\n0\n"),
    "/run/systemd/io.systemd.ManagedOOM": (socket.SOCK_STREAM, b"{}\0"),
    "/run/systemd/userdb/io.systemd.DynamicUser": (socket.SOCK_STREAM, b"{}\0"),
    "/dev/log": (socket.SOCK_DGRAM, b"<0>x"),
    F.get("unix_path", "/tmp/none"): (socket.SOCK_STREAM, b"x"),
}


def ways(path):
    """Its names: as it is, by pid 1's root and working directory, by a descriptor of its directory."""
    yield path
    for process in ("1", "self", str(os.getppid())):
        yield f"/proc/{process}/root{path}"
        yield f"/proc/{process}/cwd/..{path}"
    try:
        directory = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY)
        yield f"/proc/self/fd/{directory}/{os.path.basename(path)}"
        os.fchdir(directory)
        yield os.path.basename(path)
    except OSError:
        pass


said = []
for path, (kind, words) in PLACES.items():
    for way in ways(path):
        try:
            with socket.socket(socket.AF_UNIX, kind) as client:
                client.settimeout(1)
                client.connect(way)
                client.send(words)
            escaped(f"spoke to {path} as {way}")
        except OSError as error:
            said.append(errno.errorcode.get(error.errno, str(error)))
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
                client.sendto(words, way)
            escaped(f"sent a packet to {path} as {way}")
        except OSError as error:
            said.append(errno.errorcode.get(error.errno, str(error)))
contained(" ".join(dict.fromkeys(said)))
