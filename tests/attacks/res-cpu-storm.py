# attack: keeps every CPU busy with many processes, so that whoever watches gets no turn
# stopped-by: watch
# off: watch
# run: --cpu 1s --timeout 30s
# expect: outcome=timed-out
import json, os, resource, signal, sys, time

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


children = []
for _ in range(40):
    pid = os.fork()
    if pid == 0:
        while True:
            pass
    children.append(pid)
time.sleep(6)
for pid in children:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
escaped(f"burnt {used.ru_utime + used.ru_stime:.1f} s of CPU in 40 processes under a limit of 1 s")
