# attack: writes to standard output without end
# stopped-by: output
# off: output
# run: --max-output 64K
# expect: outcome=output-limit stdout_truncated=true
import json, os, sys, time

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


block = b"x" * 65536
for _ in range(64):
    os.write(1, block)
time.sleep(1)
os.write(2, b"ESCAPED wrote 4 MiB under a limit of 64 KiB\n")
sys.exit(1)
