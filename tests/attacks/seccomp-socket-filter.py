# attack: loads a classic BPF program into the kernel, and its compiler, through a unix socket's options
# stopped-by: seccomp
# off: seccomp
import ctypes, errno, json, socket, struct, sys

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


SO_ATTACH_FILTER, SO_ATTACH_BPF, SO_ATTACH_REUSEPORT_CBPF, SO_LOCK_FILTER = 26, 50, 51, 44
code = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0xFFFF))  # return 65535
program = struct.pack("HxxxxxxQ", 1, ctypes.addressof(code))
a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
said = {}
for name, option, value in [("SO_ATTACH_FILTER", SO_ATTACH_FILTER, program), ("SO_ATTACH_BPF", SO_ATTACH_BPF, struct.pack("i", 0)),
                            ("SO_ATTACH_REUSEPORT_CBPF", SO_ATTACH_REUSEPORT_CBPF, program)]:
    try:
        a.setsockopt(socket.SOL_SOCKET, option, value)
        said[name] = "success"
    except OSError as e:
        said[name] = errno.errorcode[e.errno]
if "success" in said.values():
    escaped(f"a program is in the kernel: {said}")
contained(str(said))
