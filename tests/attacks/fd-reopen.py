# attack: reopens its pipes through /proc/self/fd, holds both ends, and reads what the supervisor should
# stopped-by: pid-ns
# off: pid-ns watch
# run: --timeout 15s
import json, os, signal, sys, time

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


held = []
for fd in (0, 1, 2):
    for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR):
        try:
            held.append(os.open(f"/proc/self/fd/{fd}", flags | os.O_NONBLOCK))
        except OSError:
            pass
if os.fork() == 0:
    # This one keeps every end open; who waits for the end of the pipes waits for ever.
    os.setsid()
    for n in signal.valid_signals():
        try:
            signal.signal(n, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    time.sleep(25)
    os._exit(0)
contained(f"{len(held)} ends held by a child that stays")
