# attack: writes bytes that are no JSON, lone surrogates and a flood to the descriptor for the result
# stopped-by: output
# off: control (no layer; the control run leaves the descriptor alone)
# expect: outcome=exited result=null
# run: --timeout 10s
import json, os, sys

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


if F.get("control"):
    result = "mine"
else:
    fds = []
    for fd in range(3, 256):
        try:
            os.fstat(fd)
            fds.append(fd)
        except OSError:
            pass
    for fd in fds:
        try:
            os.set_blocking(fd, False)
        except OSError:
            continue
        for text in (b"\xff\xfe{}", b"+", b"+\xed\xa0\x80", b'+"\\ud800"', b"+{" * 9, b"x" * 1_000_000):
            try:
                os.write(fd, text)
            except OSError:
                pass
print("CONTAINED if the result is null", flush=True)
