# attack: forks a new self and ends the old one, without end, so that no look at /proc catches it
# stopped-by: pid-ns
# off: pid-ns watch
# run: --timeout 4s
# expect: outcome=exited|timed-out exit_code=0
import json, os, sys, time

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


start = time.monotonic()
print("CONTAINED if nothing is left", flush=True)
first = os.getpid()
os.close(0)
# It ends of itself after a while, for runs where nothing else ends it.
while time.monotonic() - start < 8:
    try:
        if os.fork():
            os._exit(0)
    except OSError:
        pass
    time.sleep(0.03)
    if os.getpid() != first and os.getsid(0) != os.getpid():
        os.setsid()
os._exit(0)
