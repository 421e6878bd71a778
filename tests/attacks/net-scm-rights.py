# attack: hands its own descriptors to an accomplice outside, and asks for some, by SCM_RIGHTS
# stopped-by: mount-ns landlock seccomp
# off: mount-ns landlock seccomp
import errno, json, os, socket, sys

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


said = []
for address in ["\0" + F["unix_abstract"], F["unix_path"]]:
    try:
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.connect(address)
        socket.send_fds(s, [b"take"], [os.open("/", os.O_RDONLY), 1])
        escaped("gave a descriptor of / to the outside")
    except OSError as e:
        said.append(errno.errorcode.get(e.errno, str(e)))
# Whatever sockets were left open might hold descriptors for us.
for fd in range(256):
    try:
        s = socket.socket(fileno=os.dup(fd))
    except OSError:
        continue
    s.setblocking(False)
    for _ in range(4):
        try:
            data, fds, _, _ = socket.recv_fds(s, 4096, 64)
        except OSError as e:
            said.append(errno.errorcode.get(e.errno, str(e)))
            break
        if data or fds:
            escaped(f"took {len(fds)} descriptors and {len(data)} bytes from descriptor {fd}")
        break
contained(" ".join(said))
