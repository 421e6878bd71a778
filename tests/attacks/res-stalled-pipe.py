# attack: waits for a socket with the lock of its output's pipe in hand, so that whoever reads that waits too, past every limit of time
# stopped-by: seccomp
# off: seccomp
# run: --timeout 1s
# expect: outcome=exited|timed-out
import errno, json, os, socket, sys, threading, time

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def refused(call):
    try:
        call()
    except OSError as error:
        # Without a filter in the way, descriptors that there are not are EBADF.
        return error.errno == errno.EINVAL
    return False


near, far = socket.socketpair()
ways = []
if not refused(lambda: os.splice(-1, -1, 1)):
    ways.append(lambda: os.splice(near.fileno(), 1, 1000))
if not refused(lambda: os.sendfile(-1, -1, None, 1)):
    ways.append(lambda: os.sendfile(1, near.fileno(), None, 1000))
if not ways:
    contained("neither splice(2) nor sendfile(2) is let")


def tell():
    time.sleep(4)
    far.send(b"\nESCAPED lived for 4 s under a limit of 1 s\n")


# More than the pipe holds: there is always something in it to be read.
threading.Thread(target=os.write, args=(1, b"." * 200_000), daemon=True).start()
time.sleep(0.1)
threading.Thread(target=tell, daemon=True).start()
ways[0]()
time.sleep(1)
