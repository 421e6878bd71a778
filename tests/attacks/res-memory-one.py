# attack: takes three times its memory in one process
# stopped-by: watch rlimits
# off: watch rlimits
# run: --memory 64M
# expect: outcome=out-of-memory|exited
import json, sys, time

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


held = []
try:
    while len(held) < 192:
        held.append(bytearray(b"x" * (1 << 20)))
except MemoryError:
    size = len(held)
    held.clear()
    contained(f"MemoryError after {size} MiB")
time.sleep(2)
escaped("held 192 MiB for two seconds under a limit of 64")
