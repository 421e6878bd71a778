# attack: ignores every signal and goes on, alone and with children that do the same
# stopped-by: wall
# off: wall
# run: --timeout 1s
# expect: outcome=timed-out
import json, os, signal, sys, time

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


for n in signal.valid_signals():
    try:
        signal.signal(n, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        time.sleep(4)
        os._exit(0)
end = time.monotonic() + 4
while time.monotonic() < end:
    time.sleep(0.1)
escaped("ran for 4 s under a limit of 1 s")
