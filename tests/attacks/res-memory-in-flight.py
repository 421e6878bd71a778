# attack: hides memory in sockets that are on their way through other sockets, and open nowhere
# stopped-by: watch
# off: watch
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


TARGET = 40 << 20
size = 0
how = ""
carriers = []
try:
    carrier = socket.socketpair()
    carriers.append(carrier)
    while size < TARGET:
        a, b = socket.socketpair()
        for s in (a, b):
            s.setblocking(False)
            try:
                while True:
                    size += s.send(b"x" * 32768)
            except BlockingIOError:
                pass
        carrier[0].setblocking(False)
        try:
            socket.send_fds(carrier[0], [b"x"], [a.fileno(), b.fileno()])
        except BlockingIOError:
            carrier = socket.socketpair()
            carriers.append(carrier)
        a.close()
        b.close()
except OSError as e:
    how = errno.errorcode[e.errno]
time.sleep(2)
if size >= TARGET:
    escaped(f"hid {size >> 20} MiB in flight for two seconds under a limit of 16")
contained(f"{size >> 20} MiB in flight: {how}")
