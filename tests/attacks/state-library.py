# attack: changes what the interpreter of the next run will load: modules, their bytecode, sitecustomize, libraries
# stopped-by: mount-ns landlock
# off: control (left off, it would change the interpreter of this machine; the control run changes its own search path)
# runs: 2
import errno, glob, json, mmap, os, sys, sysconfig

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


name = f"left_{F['run']}"
if F.get("control"):
    os.makedirs("/tmp/m", exist_ok=True)
    sys.path.append("/tmp/m")
else:
    sys.path.append(os.path.dirname(os.__file__))
places = {p for p in sys.path if os.path.isdir(p)} | {os.path.dirname(m.__file__) for m in list(sys.modules.values()) if getattr(m, "__file__", None)}
places |= set(sysconfig.get_paths().values()) | {"/etc", "/usr/lib", "/usr/local/lib", "/lib", "/tmp/m"}
# Its own directory is new in each run, and is asked about last.
places.discard(os.path.dirname(os.path.abspath(sys.argv[0])))


def change():
    """What could be made or changed, and why nothing else."""
    made, why = [], set()

    def tried(what, act):
        try:
            act()
            made.append(what)
        except OSError as error:
            why.add(errno.errorcode.get(error.errno, str(error.errno)))

    def write(path, flags):
        fd = os.open(path, flags, 0o666)
        if flags & os.O_CREAT:
            os.write(fd, b"found = True\n")
        os.close(fd)

    def through_memory(path):
        fd = os.open(path, os.O_RDONLY)
        try:
            mmap.mmap(fd, 1, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE).close()
        finally:
            os.close(fd)

    for place in sorted(places):
        for file in (name + ".py", "sitecustomize.py", "usercustomize.py", name + ".pth", "__pycache__/" + name + ".pyc"):
            path = os.path.join(place, file)
            tried(path, lambda: write(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    libraries = {line.split()[-1] for line in open("/proc/self/maps") if "/" in line}
    modules = [m.__file__ for m in list(sys.modules.values()) if getattr(m, "__file__", None)]
    for path in [*libraries, *modules, *glob.glob("/usr/lib/python3*/__pycache__/json*"), "/etc/ld.so.cache", sys.executable]:
        tried(path, lambda: write(path, os.O_WRONLY))
        tried(path, lambda: write(path, os.O_RDWR))
        tried(path, lambda: through_memory(path))
        tried(path, lambda: os.rename(path, path + "~"))
        tried(path, lambda: os.utime(path, (0, 0)))
    return made, why


if F["round"] == 1:
    made, why = change()
    # In its own directories it may: they go with it.
    outside = [path for path in made if not path.startswith(("/tmp/", "/work/", "/proc/"))]
    if outside:
        escaped(f"changed {outside}")
    contained(f"changed nothing outside: {sorted(why)}")
if F.get("control"):
    change()
try:
    module = __import__(name)
except ImportError:
    contained("the next interpreter is as the first one was")
escaped(f"loaded {module.__file__}")
