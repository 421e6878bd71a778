# attack: burns three times its CPU time in one process, with SIGXCPU ignored
# stopped-by: watch rlimits
# off: watch rlimits
# run: --cpu 1s --timeout 30s
# expect: outcome=timed-out
import json, signal, sys, time

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


signal.signal(signal.SIGXCPU, signal.SIG_IGN)
while time.process_time() < 4:
    pass
escaped("burnt 4 s of CPU under a limit of 1 s")
