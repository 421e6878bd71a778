# attack: takes five times its memory, spread over processes that each stay below the limit
# stopped-by: watch
# off: watch
# run: --memory 64M
# expect: outcome=out-of-memory|exited
import json, os, signal, sys, time

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


children = []
ready, tell = os.pipe()
for _ in range(8):
    pid = os.fork()
    if pid == 0:
        try:
            held = bytearray(b"x" * (40 << 20))
            os.write(tell, b"x")
            time.sleep(30)
        finally:
            os._exit(0)
    children.append(pid)
os.close(tell)
got = 0
for _ in children:
    if not os.read(ready, 1):
        break
    got += 1
time.sleep(2)
for pid in children:
    os.kill(pid, signal.SIGKILL)
if got == len(children):
    escaped(f"{got} processes held 40 MiB each for two seconds under a limit of 64")
contained(f"{got} of {len(children)} processes got their memory")
