# attack: makes empty files until the inodes are used up
# stopped-by: mount-ns landlock
# off: mount-ns landlock
# run: --timeout 60s --cpu 60s
import errno, json, os, sys

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


made = []
said = ""
for directory in ["/work", "/tmp", F["drop_dir"], "."]:
    base = f"{directory}/aictl-inodes-{F['run']}"
    try:
        os.mkdir(base)
    except OSError as e:
        said += f" {directory}: {errno.errorcode[e.errno]}"
        continue
    here = []
    try:
        while len(here) < 100_000:
            path = f"{base}/{len(here)}"
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            here.append(path)
    except OSError as e:
        said += f" {directory}: {errno.errorcode[e.errno]} after {len(here)}"
    made.append((base, here))
    if len(here) == 100_000:
        break
most = max((len(here) for _, here in made), default=0)
for base, here in made:
    for path in here:
        os.unlink(path)
    os.rmdir(base)
if most >= 100_000:
    escaped(f"made {most} files in one directory")
contained(f"files ran out:{said}")
