# attack: hides memory in the buffers of unix sockets that nobody reads
# stopped-by: watch
# off: watch
# run: --memory 32M
# expect: outcome=out-of-memory|exited
import json, os, signal, socket, struct, sys, time

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


TARGET = 96 << 20
children = []
ready, tell = os.pipe()
for _ in range(10):
    try:
        pid = os.fork()
    except OSError:
        break
    if pid == 0:
        size = 0
        held = []
        try:
            while size < TARGET // 6:
                pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
                held.append(pair)
                for s in pair:
                    s.setblocking(False)
                    try:
                        while True:
                            size += s.send(b"x" * 32768)
                    except BlockingIOError:
                        pass
        except OSError:
            pass
        os.write(tell, struct.pack("Q", size))
        time.sleep(30)
        os._exit(0)
    children.append(pid)
os.close(tell)
total = 0
for _ in children:
    got = os.read(ready, 8)
    if len(got) < 8:
        break
    total += struct.unpack("Q", got)[0]
    if total >= TARGET:
        break
time.sleep(2)
for pid in children:
    os.kill(pid, signal.SIGKILL)
if total >= TARGET:
    escaped(f"hid {total >> 20} MiB in sockets for two seconds under a limit of 32")
contained(f"{total >> 20} MiB in sockets")
