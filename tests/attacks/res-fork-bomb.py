# attack: makes processes until the machine has no more
# stopped-by: rlimits watch
# off: rlimits watch
# run: --max-processes 20
# expect: outcome=process-limit|exited
import errno, json, os, signal, sys, time

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


signal.signal(signal.SIGCHLD, signal.SIG_DFL)
made = []
how = "stopped by itself"
try:
    while len(made) < 60:
        pid = os.fork()
        if pid == 0:
            time.sleep(30)
            os._exit(0)
        made.append(pid)
except OSError as e:
    how = errno.errorcode[e.errno]
time.sleep(2)
for pid in made:
    os.kill(pid, signal.SIGKILL)
if len(made) >= 60:
    escaped("60 processes lived for two seconds under a limit of 20")
contained(f"{how} after {len(made)}")
