# attack: hides memory in few unix sockets, whose buffers it has made as large as it may
# stopped-by: seccomp
# off: seccomp
# run: --memory 16M
# expect: outcome=out-of-memory|exited
import errno, json, socket, sys, time

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


TARGET = 36 << 20
size = 0
held = []
how = ""
try:
    while size < TARGET:
        pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        held.append(pair)
        for s in pair:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 30)
            s.setblocking(False)
            try:
                while True:
                    size += s.send(b"x" * 120_000)
            except BlockingIOError:
                pass
except OSError as e:
    how = errno.errorcode[e.errno]
time.sleep(2)
if size >= TARGET:
    escaped(f"hid {size >> 20} MiB in {2 * len(held)} sockets for two seconds under a limit of 16")
contained(f"{size >> 20} MiB in sockets: {how}")
