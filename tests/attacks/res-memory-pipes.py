# attack: hides memory in pipes that nobody reads
# stopped-by: seccomp
# off: seccomp
# run: --memory 16M
# expect: outcome=out-of-memory|exited
import errno, fcntl, json, os, sys, time

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


F_SETPIPE_SZ = 1031
TARGET = 40 << 20
size = 0
held = []
how = ""
try:
    for _ in range(2000):
        r, w = os.pipe()
        held.append((r, w))
        try:
            fcntl.fcntl(w, F_SETPIPE_SZ, 1 << 20)
        except OSError as e:
            how = errno.errorcode[e.errno]
        os.set_blocking(w, False)
        try:
            while True:
                size += os.write(w, b"x" * 65536)
        except BlockingIOError:
            pass
        if size >= TARGET:
            break
except OSError as e:
    how += " " + errno.errorcode[e.errno]
time.sleep(2)
if size >= TARGET:
    escaped(f"hid {size >> 20} MiB in pipes for two seconds under a limit of 16")
contained(f"{size >> 20} MiB in pipes: {how}")
