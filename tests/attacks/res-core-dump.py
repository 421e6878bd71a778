# attack: dumps core into /work, or into a handler that runs outside as root
# stopped-by: rlimits
# off: rlimits
import glob, json, os, resource, signal, sys

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
pid = os.fork()
if pid == 0:
    os.kill(os.getpid(), signal.SIGSEGV)
    os._exit(0)
status = os.waitpid(pid, 0)[1]
files = glob.glob("core*") + glob.glob("/tmp/core*")
for path in files:
    os.unlink(path)
# A limit of 1 is less than any dump has, and the one with which none is piped to a program (core(5)).
if os.WCOREDUMP(status) or files or hard > 1:
    escaped(f"may dump {hard} bytes, dumped: {os.WCOREDUMP(status)}, files: {files}")
contained(f"killed by {os.WTERMSIG(status)} without a core")
