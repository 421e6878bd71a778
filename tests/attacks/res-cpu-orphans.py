# attack: burns CPU time in orphans whose parents have ended before they are reaped
# stopped-by: watch
# off: watch
# run: --cpu 500ms --timeout 30s
# expect: outcome=timed-out
import json, os, struct, sys, time

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


burnt = 0.0
r, w = os.pipe()
while burnt < 2.5:
    pid = os.fork()
    if pid == 0:
        if os.fork() == 0:
            while time.process_time() < 0.02:
                pass
            os.write(w, struct.pack("d", time.process_time()))
        os._exit(0)
    os.waitpid(pid, 0)
    burnt += struct.unpack("d", os.read(r, 8))[0]
escaped(f"burnt {burnt:.1f} s of CPU in orphans under a limit of 0.5 s")
