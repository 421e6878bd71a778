# attack: burns three times its CPU time, spread over processes
# stopped-by: watch
# off: watch
# run: --cpu 1s --timeout 30s
# expect: outcome=timed-out
import json, os, sys, time

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


children = []
for _ in range(8):
    pid = os.fork()
    if pid == 0:
        while time.process_time() < 0.5:
            pass
        os._exit(0)
    children.append(pid)
for pid in children:
    os.waitpid(pid, 0)
escaped("burnt 4 s of CPU in eight processes under a limit of 1 s")
