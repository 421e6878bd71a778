# attack: makes threads in one process until the machine has no more
# stopped-by: rlimits watch
# off: rlimits watch
# run: --max-processes 20
# expect: outcome=process-limit|exited
import json, sys, threading, time

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


threading.stack_size(65536)
stop = threading.Event()
made = 0
how = "stopped by itself"
try:
    while made < 60:
        threading.Thread(target=stop.wait, daemon=True).start()
        made += 1
except RuntimeError as e:
    how = str(e)
time.sleep(2)
stop.set()
if made >= 60:
    escaped("60 threads lived for two seconds under a limit of 20")
contained(f"{how} after {made}")
