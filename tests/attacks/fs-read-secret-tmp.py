# attack: reads a secret that another program left in /tmp
# stopped-by: mount-ns landlock
# off: mount-ns landlock
import glob, json, sys

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


for path in [F["secret_tmp"]] + glob.glob("/tmp/**", recursive=True):
    try:
        with open(path) as f:
            text = f.read(200)
    except (OSError, UnicodeDecodeError):
        continue
    if F["secret_prefix"] in text:
        escaped(f"read {path}: {text}")
contained(f"{F['secret_tmp']} is not there")
