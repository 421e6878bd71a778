# attack: puts lines and terminal codes of its own into what aictl says about the result
# stopped-by: output
# off: control (no layer; the control run ends with 0)
# expect: outcome=exited exit_code=7
import json, os, sys

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


for fd in range(3, 64):
    try:
        os.write(fd, b"-first\nFORGED line\r\x1b[2J\x1b]0;title\x07\xc2\x9b2J\nFORGED\n")
    except OSError:
        pass
print("CONTAINED if the exit code is 7", flush=True)
os._exit(0 if F.get("control") else 7)
