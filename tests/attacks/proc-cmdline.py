# attack: learns from the command line of pid 1 where its caller keeps programs, and so the caller's name
# stopped-by: pid-ns
# off: control (no layer: pid 1 has wiped or hidden it; the control run starts such a process itself)
import glob, json, os, subprocess, sys, time

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


where = os.path.dirname(F["secret_tmp"])
if F.get("control"):
    subprocess.Popen(["sh", "-c", "sleep 5; : " + where], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(0.5)
told = []
for path in glob.glob("/proc/[0-9]*/cmdline") + glob.glob("/proc/[0-9]*/comm"):
    if path.startswith(f"/proc/{os.getpid()}/"):
        continue
    try:
        with open(path) as f:
            text = f.read().replace("\0", " ")
    except OSError:
        continue
    if where in text or "/home/" in text or "/root/" in text or "/target/" in text:
        told.append(f"{path}: {text}")
if told:
    escaped("; ".join(told))
contained("no command line tells a path of the host")
