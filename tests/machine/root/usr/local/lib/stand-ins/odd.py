"""Has scripts run in every odd way that one user can think of: odd.py WHAT, as that user.

Printed as JSON: what was tried, with the answer; an error of the helper by its short name.
"""

import ctypes
import errno
import fcntl
import json
import mmap
import os
import pty
import select
import signal
import socket
import sys
import tempfile
import threading

sys.path.insert(0, os.path.dirname(__file__))

import dbus
import runs
from linger import lingering

SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
libc = ctypes.CDLL(None, use_errno=True)
bus = dbus.SystemBus(private=True)


def memory(flags=os.MFD_ALLOW_SEALING, text=b"print(1)", size=None, seals=SEALS | fcntl.F_SEAL_SEAL):
    fd = os.memfd_create("x", flags)
    os.write(fd, text)
    if size is not None:
        os.ftruncate(fd, size)
    if seals:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


def sealed_too_late():
    """Sealed against writing, but for who has it mapped already."""
    fd = memory(seals=0)
    keep.append(mmap.mmap(fd, 8))
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, SEALS & ~fcntl.F_SEAL_WRITE | fcntl.F_SEAL_FUTURE_WRITE)
    return fd


def sparse():
    file = tempfile.TemporaryFile(dir=os.environ["HOME"])
    keep.append(file)
    os.ftruncate(file.fileno(), 1 << 40)
    return file.fileno()


def syscall(number, *arguments):
    fd = libc.syscall(number, *arguments)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "not on this machine")
    return fd


def the_bus_itself():
    """A descriptor of this very connection."""
    for name in os.listdir("/proc/self/fd"):
        try:
            with socket.socket(fileno=os.dup(int(name))) as found:
                if found.getpeername() == "/run/dbus/system_bus_socket":
                    return os.dup(int(name))
        except OSError:
            pass
    raise OSError("no such descriptor")


def fifo(mode):
    path = tempfile.mktemp(dir=os.environ["HOME"])
    os.mkfifo(path)
    return os.open(path, mode)


def opened(path, mode=os.O_RDONLY):
    return os.open(path, mode)


keep = []
# What is no script.
SCRIPTS = {
    "a directory": lambda: opened("/"),
    "a directory by its path alone": lambda: opened("/", os.O_PATH),
    "a file": lambda: opened("/etc/passwd"),
    "a file by its path alone": lambda: opened("/etc/passwd", os.O_PATH),
    "a huge sparse file": sparse,
    "/dev/zero": lambda: opened("/dev/zero"),
    "/dev/full": lambda: opened("/dev/full"),
    "/dev/random": lambda: opened("/dev/random"),
    "a terminal": lambda: keep.append(pty.openpty()) or keep[-1][1],
    "its master": lambda: keep.append(pty.openpty()) or keep[-1][0],
    "a socket": lambda: keep.append(socket.socketpair()) or keep[-1][0].fileno(),
    "a socket that listens": lambda: keep.append(socket.create_server(("127.0.0.1", 0))) or keep[-1].fileno(),
    "the caller's own bus": the_bus_itself,
    "a process": lambda: os.pidfd_open(os.getpid()),
    "an event": lambda: os.eventfd(0),
    "an epoll": lambda: keep.append(select.epoll()) or keep[-1].fileno(),
    "signals": lambda: syscall(289, -1, ctypes.byref(ctypes.c_ulong(1 << signal.SIGUSR1)), 8, 0),
    "an inotify": lambda: syscall(294, 0),
    "a timer": lambda: syscall(283, 1, 0),
    "a namespace": lambda: opened("/proc/self/ns/net"),
    "the caller's memory": lambda: opened("/proc/self/mem"),
    "secret memory": lambda: syscall(447, 0),
    "a userfaultfd": lambda: syscall(323, 1),
    "an io_uring": lambda: syscall(425, 1, ctypes.create_string_buffer(120)),
    "memory that is not sealed": lambda: memory(seals=0),
    "memory that can still grow": lambda: memory(seals=fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK),
    "memory that can still shrink": lambda: memory(seals=fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW),
    "memory that is sealed too late": sealed_too_late,
    "memory by its path alone": lambda: opened(f"/proc/self/fd/{memory()}", os.O_PATH),
    "a pipe to write to": lambda: keep.append(os.pipe()) or keep[-1][1],
    "a pipe by its path alone": lambda: opened(f"/proc/self/fd/{(keep.append(os.pipe()) or keep[-1])[0]}", os.O_PATH),
    "memory without an end": lambda: memory(size=1 << 40),
    "memory with nothing in it": lambda: memory(text=b""),
    "a pipe": lambda: keep.append(os.pipe()) or keep[-1][0],
    "a pipe without a writer": lambda: fifo(os.O_RDONLY | os.O_NONBLOCK),
}
# What may be handed over: a script that prints 1.
GOOD_SCRIPTS = {
    "sealed memory": memory,
    "memory that may be executed": lambda: memory(flags=os.MFD_ALLOW_SEALING | 0x10),
    "memory that may not": lambda: memory(flags=0x8),
    "memory that is opened for reading": lambda: opened(f"/proc/self/fd/{memory()}"),
}


def outcome(answer):
    """What a run came to that was accepted, with what it printed; else the error."""
    if isinstance(answer, str):
        return answer
    name, stdout, stderr, *_ = answer
    record = runs.call(bus, "Wait", "s", name)
    with open(stdout) as out, open(stderr) as err:
        text = out.read() + err.read()
    return record if isinstance(record, str) else f"{record[0]['outcome']}: {text}"


def each(kinds, use):
    """What comes of each kind, once it is made; those are left out that this machine has not."""
    seen = {}
    for what, make in kinds.items():
        try:
            fd = make()
        except OSError as error:
            print(f"{what}: {error}", file=sys.stderr)
            continue
        seen[what] = outcome(use(fd))
        global bus
        if not bus.get_is_connected():
            # The kernel passes some kinds to nobody (unix(7)).
            bus = dbus.SystemBus(private=True)
    return seen


def descriptors():
    # As a caller would try who knows the call as it once was: with a pipe to read from.
    pipe = dbus.Array([dbus.types.UnixFd(os.pipe()[0])], "h")
    limits = (0, 0, 0, 0, 0, 0)
    values = (dbus.types.UnixFd(memory()), "a.py", "python", dbus.Array((), "s"), "standard", limits, pipe, dbus.UInt64(0))
    return {
        "scripts": each(SCRIPTS, lambda fd: runs.run(bus, fd)),
        "good scripts": each(GOOD_SCRIPTS, lambda fd: runs.run(bus, fd)),
        "a pipe to read from": runs.call(bus, "Run", "hssass(tttttt)aht", *values),
    }


def names():
    """Names of scripts, each with what the script says it is called."""
    script = memory(text=b"import posix\nprint(ascii(__file__), len(posix.listdir('/work')))")
    odd = [
        "", ".", "..", "/", "a/b", "../a.py", "/etc/passwd", "a.py/", "x" * 256, "\n", "a\nb.py", "\x1b[2J.py", "\x7f",
        "json.py", "re.py", "os.py", "__main__.py", "sitecustomize.py", "-c", "--help", "-", " ", ".hidden", "a.pyc",
        "\u202eyp.a", "\u00e9.py", "x" * 255, "*", "$(id)", "%s%n", "CON", "\ufeff.py", "a.py ", "stdout", "result",
    ]
    return {name: outcome(runs.run(bus, script, name=name)) for name in odd}


def arguments():
    script = memory(text=b"import sys\nprint(len(sys.argv), sum(map(len, sys.argv[1:])))")
    odd = {
        "1 MiB in one": ["x" * (1 << 20)],
        "1 MiB in many": ["x" * 1024] * 1024,
        "a million": [""] * 1_000_000,
        "30 MiB": ["x" * (30 << 20)],
        "1025": ["x"] * 1025,
        "1024": ["x"] * 1024,
        "odd ones": ["", "-c", "--", "\n", "\x1b[2J", "\u202e", "-" * 1000, "\U0010ffff"],
    }
    return {what: outcome(runs.run(bus, script, arguments=values)) for what, values in odd.items()}


def guesses(real):
    """Waits for, ends and lists the runs of others: by a name that is right, and by others."""
    names = [real, "0" * 32, "f" * 32, real[:-1] + ("0" if real[-1] != "0" else "1"), real.upper(), real[:31], "", "*", "../" + real]
    seen = {}
    for member in ("Wait", "Cancel"):
        for name in names:
            answer = runs.call(bus, member, "s", name)
            seen.setdefault(member, {}).setdefault(str(answer), []).append("the real one" if name == real else name)
    listed = runs.call(bus, "List", "t", dbus.UInt64(0))
    seen["my own"] = len(listed[0])
    seen["all"] = runs.call(bus, "List", "t", dbus.UInt64(1))
    return seen


def waits():
    """One run, and a crowd that waits for it: on the same connection, and on others."""
    script = memory(text=b"import sys; print('on', flush=True); sys.stdin.read()")
    name, stdout, _, stdin = runs.run(bus, script, stdin=True)
    os.read(stdout, 3)
    answers, lock = {}, threading.Lock()

    def told(answer):
        text = answer if isinstance(answer, str) else str(answer[0]["outcome"])
        with lock:
            answers[text] = answers.get(text, 0) + 1

    def many(count):
        mine = dbus.SystemBus(private=True)
        for _ in range(count):
            told(runs.call(mine, "Wait", "s", name))

    others = [threading.Thread(target=many, args=(40,)) for _ in range(8)]
    for other in others:
        other.start()
    for other in others:
        other.join()
    os.close(stdin)
    told(runs.call(bus, "Wait", "s", name))
    return answers


def unread():
    """One whose output nobody reads, beside one of the same user that prints."""
    limits = (2000, 0, 0, 0, 0, 0)
    name, stdout, stderr = runs.run(bus, memory(text=b"while True: print('x' * 1000)"), limits=limits)
    beside = outcome(runs.run(bus, memory()))
    record = runs.call(bus, "Wait", "s", name)
    return {"beside": beside, "outcome": record[0]["outcome"], "cut": bool(record[0]["stdout_truncated"])}


def full_pipe():
    """The end to write to of a pipe that nobody reads from, with no room left."""
    keep.append(os.pipe())
    os.set_blocking(keep[-1][1], False)
    try:
        while True:
            os.write(keep[-1][1], bytes(4096))
    except BlockingIOError:
        os.set_blocking(keep[-1][1], True)
    return keep[-1][1]


def forever(what):
    """Does something in a thread that is not expected to come back."""

    def attempt():
        try:
            what()
        except OSError as error:
            print(f"{what}: {error}", file=sys.stderr)

    threading.Thread(target=attempt, daemon=True).start()


def in_hand(stream):
    """Waits with a stream's end in hand in every way that there is, and says what cannot be done."""
    seen = {}

    def said(what, error):
        seen[what] = errno.errorcode[error.errno]

    try:
        os.open(f"/proc/self/fd/{stream}", os.O_RDWR)
    except OSError as error:
        said("opened once more", error)
    end = socket.socket(fileno=os.dup(stream))
    keep.append(end)
    lingers, other = lingering()
    keep.append(other)
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, lingers.fileno().to_bytes(4, sys.byteorder))]
    try:
        end.sendmsg([b"x"], rights)
        # From here on whoever gets it has it alone.
        lingers.close()
    except OSError as error:
        said("sent along", error)
        keep.append(lingers)
    full, pipe = full_pipe(), keep.append(os.pipe()) or keep[-1]
    forever(lambda: end.recv(1))
    forever(lambda: os.splice(stream, full, 1 << 16))
    forever(lambda: os.splice(pipe[0], stream, 1 << 16))
    forever(lambda: [os.write(stream, bytes(1 << 16)) for _ in range(1000)])
    return seen


def stalls():
    """Runs whose caller waits with what it was given in hand; who else is there shall not notice."""
    seen, script = {}, memory(text=b"import signal\nwhile True: signal.pause()")
    printing = memory(text=b"while True: print('x' * 1000)")
    for which, text in (("stdin", script), ("stdout", printing)):
        name, stdout, stderr, stdin = runs.run(bus, text, stdin=True, limits=(2000, 0, 0, 0, 0, 0))
        cannot = in_hand({"stdin": stdin, "stdout": stdout}[which])
        print(f"{which}: stalled", file=sys.stderr, flush=True)
        record = runs.call(bus, "Wait", "s", name)
        outcome = record if isinstance(record, str) else str(record[0]["outcome"])
        seen[which] = {"outcome": outcome, "cannot": cannot}
        # One that is not let begin at all is let go of without a wait, too.
        name, *_, stdin = runs.run(bus, text, stdin=True)
        in_hand(stdin)
        seen[which]["cancelled"] = str(runs.call(bus, "Cancel", "s", name))
        runs.call(bus, "Wait", "s", name)
    return seen


known = {f.__name__: f for f in (descriptors, names, arguments, guesses, waits, unread, stalls)}
print(json.dumps(known[sys.argv[1]](*sys.argv[2:]), indent=1))
