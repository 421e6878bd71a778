# attack: looks for the words of an earlier run in all memory that can be read: its own, old or fresh, and that of others
# stopped-by: pid-ns landlock seccomp
# off: control (no layer: an interpreter has one run only; the control run says the words itself)
# run: --memory 300M
# runs: 2
import ctypes, glob, json, mmap, os, sys

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
# The words are the id turned inside out, and are put together only by the one who says them.
first, second = (bytes(255 - byte for byte in half.encode()) for half in (F["run"][:15], F["run"][15:]))


def say():
    """Has the words wherever an interpreter has any: objects, names, modules, memory of its own."""
    import builtins, decimal, re

    words = bytes(255 - byte for byte in F["run"].encode())
    text = words.decode("latin-1")
    builtins.left = [words, text, {text: words}, sys.intern(text), words * 10_000]
    json.left = decimal.left = builtins.left
    re.compile(re.escape(text))
    os.environ["LEFT"] = text
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    for size in (64, 4096, 1 << 20):
        for _ in range(20):
            ctypes.memmove(libc.malloc(ctypes.c_size_t(size)), words, len(words))
    page = mmap.mmap(-1, 1 << 20, PRIVATE)
    page.write(words * 1000)
    builtins.left.append(page)
    return builtins.left


def holds(memory):
    """Whether there are the words, which are in no place as a whole while they are sought."""
    at = memory.find(first)
    while at >= 0:
        after = at + len(first)
        if memory[after : after + len(second)] == second:
            return True
        at = memory.find(first, after)
    return False


if F["round"] == 1:
    kept = say()
    contained(f"said in {len(kept)} ways")
if F.get("control"):
    kept = say()
found, looked = [], 0
# Fresh memory first, before what is read fills it.
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
for size in (64, 4096, 1 << 20):
    for _ in range(40):
        if holds(ctypes.string_at(libc.malloc(ctypes.c_size_t(size)), size)):
            found.append(f"fresh memory of {size} bytes")
fresh = mmap.mmap(-1, 64 << 20, PRIVATE)
for start in range(0, len(fresh), 1 << 20):
    if holds(fresh[start : start + (1 << 20)]):
        found.append("fresh pages")
fresh.close()
for maps in glob.glob("/proc/[0-9]*/maps") + ["/proc/self/maps"]:
    try:
        with open(maps) as lines, open(maps[:-4] + "mem", "rb", 0) as memory:
            for line in lines:
                bounds, mode = line.split()[:2]
                start, end = (int(bound, 16) for bound in bounds.split("-"))
                while mode[0] == "r" and start < end:
                    try:
                        memory.seek(start)
                        piece = memory.read(min(end - start, 1 << 20))
                    except (OSError, OverflowError, ValueError):
                        break
                    # Words that lie across the end of a piece are at the start of the next.
                    start += len(piece) if len(piece) < 1 << 20 else len(piece) - 64
                    looked += len(piece)
                    if not piece:
                        break
                    if holds(piece):
                        found.append(line.strip())
    except OSError:
        pass
if found:
    escaped(f"the words are in {len(found)} places, the first is {found[0]}")
if looked < 1 << 20:
    contained(f"hardly any memory can be read: {looked} bytes")
contained(f"not in {looked >> 20} MiB")
