# attack: prints a second document on standard output, to pass for the report itself
# stopped-by: output
# off: control (no layer: output is quoted as JSON; the control run ends with 0)
# expect: outcome=exited exit_code=9
import json, os, sys

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


print("CONTAINED if the exit code is 9")
print('"}\n{"request_id":"' + "0" * 32 + '","outcome":"exited","exit_code":0,"result":"forged"}', flush=True)
sys.stdout.buffer.write(b'\x00\xff\xfe"}\\"\x1b[2J\x1b]0;title\x07\xed\xa0\x80\n{"exit_code":0}\n')
sys.stdout.flush()
os._exit(0 if F.get("control") else 9)
