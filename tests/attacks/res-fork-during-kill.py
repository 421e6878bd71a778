# attack: forks without an end, each process in a session of its own and gone in a moment, while its caller is killed
# stopped-by: pid-ns
# off: pid-ns watch
# run: --max-processes 1000
# kill: READY
import ctypes, os, signal, time

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
libc = ctypes.CDLL(None)
libc.prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0)
libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
for number in signal.valid_signals():
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
end = time.monotonic() + 25
ready, tell = os.pipe()
# Some are too quick for whoever kills by number, some slow enough to be seen by who looks for them.
for pause in (0.005, 0.05, 0.5):
    if os.fork() == 0:
        os.write(tell, b"x")
        # Each is the child of the one before, which has gone: none has a parent that could end it.
        while time.monotonic() < end:
            if os.fork():
                os._exit(0)
            os.setsid()
            libc.prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0)
            time.sleep(pause)
        os._exit(0)
for _ in range(3):
    os.read(ready, 1)
os.write(1, b"READY\n")
time.sleep(25)
