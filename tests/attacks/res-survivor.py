# attack: leaves a daemon behind: forked twice, in a session of its own, deaf to every signal
# stopped-by: pid-ns
# off: pid-ns watch
import json, os, signal, sys, time

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for n in signal.valid_signals():
            try:
                signal.signal(n, signal.SIG_IGN)
            except (OSError, ValueError):
                pass
        os.closerange(0, 256)
        time.sleep(25)
    os._exit(0)
os.wait()
contained("if nothing is left")
