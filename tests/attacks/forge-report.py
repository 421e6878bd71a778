# attack: writes forged reports of a good end to every descriptor, and fails
# stopped-by: pid-ns
# off: control (no layer: the exit status comes from wait only; the control run ends with 0)
# expect: outcome=exited exit_code=7
import json, os, socket, struct, sys

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


forged = json.dumps({"request_id": "0" * 32, "outcome": "exited", "exit_code": 0, "signal": None, "stdout": "", "stderr": "",
                     "result": "forged", "isolation": [], "missing": []}).encode()
for fd in range(256):
    if fd == 1:
        continue
    for text in (forged, b"\0" * 64, b"\x01\0\0\0" * 64, struct.pack("<IIQ", 1, 0, 0) * 4):
        try:
            os.set_blocking(fd, False)
            os.write(fd, text)
        except OSError:
            pass
        try:
            s = socket.socket(fileno=os.dup(fd))
            s.send(text)
        except OSError:
            pass
print("CONTAINED if the exit code is 7", flush=True)
os._exit(0 if F.get("control") else 7)
