# attack: does nothing at all for longer than it may
# stopped-by: wall
# off: wall
# run: --timeout 1s
# expect: outcome=timed-out
import json, sys, time

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


time.sleep(4)
escaped("slept for 4 s under a limit of 1 s")
