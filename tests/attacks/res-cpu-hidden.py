# attack: burns CPU time in short-lived children whose times nobody adds up (SIGCHLD is ignored)
# stopped-by: watch
# off: watch
# run: --cpu 500ms --timeout 30s
# expect: outcome=timed-out
import json, os, signal, struct, sys, time

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


signal.signal(signal.SIGCHLD, signal.SIG_IGN)
burnt = 0.0
while burnt < 2.5:
    r, w = os.pipe()
    if os.fork() == 0:
        while time.process_time() < 0.02:
            pass
        os.write(w, struct.pack("d", time.process_time()))
        os._exit(0)
    os.close(w)
    burnt += struct.unpack("d", os.read(r, 8))[0]
    os.close(r)
escaped(f"burnt {burnt:.1f} s of CPU in short-lived children under a limit of 0.5 s")
