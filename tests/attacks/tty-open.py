# attack: opens the caller's terminal, or any, and makes a new one
# stopped-by: mount-ns landlock
# off: mount-ns landlock
import json, os, sys

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


got = []
for path in ["/dev/tty", "/dev/console", "/dev/tty0", "/dev/tty1", "/dev/ptmx", "/dev/pts/ptmx"] + [f"/dev/pts/{n}" for n in range(16)]:
    try:
        os.open(path, os.O_RDWR | os.O_NOCTTY)
        got.append(path)
    except OSError:
        pass
for fd in range(64):
    if os.isatty(fd):
        got.append(f"descriptor {fd}")
if got:
    escaped("has " + " ".join(got))
contained("no terminal")
