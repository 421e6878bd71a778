# attack: stops itself by SIGSTOP and never ends
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


me = os.getpid()
if os.fork() == 0:
    os.setsid()
    time.sleep(4)
    os.kill(me, signal.SIGCONT)
    os._exit(0)
os.kill(me, signal.SIGSTOP)
escaped("was stopped for 4 s under a limit of 1 s")
