# attack: kill(-1, SIGKILL): kills every process that it may
# stopped-by: pid-ns
# off: none (it would kill every process of this user)
import json, os, signal, sys, time

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


children = []
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        time.sleep(60)
        os._exit(0)
    children.append(pid)
if os.getppid() != 1:
    contained("not tried: there is no pid namespace")
os.kill(-1, signal.SIGKILL)
for pid in children:
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
contained("only its own children died")
