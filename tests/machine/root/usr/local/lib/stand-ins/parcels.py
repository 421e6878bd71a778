"""Sends the helper's socket what takes an hour to close, in every way that there is.

Before each way its name is printed, and a line is waited for after something was sent. In the end
what came of each is printed as JSON: "the end" of the connection, the name of an error, or what was
answered.
"""

import array
import contextlib
import json
import os
import signal
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(__file__))

from linger import lingering

PATIENCE = 60
ME = str(os.getuid()).encode().hex().encode()
AUTH = b"\0AUTH EXTERNAL " + ME + b"\r\n"
PLAIN = AUTH + b"BEGIN\r\n"
GREETING = AUTH + b"NEGOTIATE_UNIX_FD\r\nBEGIN\r\n"
LIMITS = (0, 0, 0, 0, 0, 0)
sent, kept = [], []


def text(value):
    return struct.pack("<I", len(value)) + value.encode() + b"\0"


def padded(data, to):
    return data + b"\0" * (-len(data) % to)


def call(interface, member, signature, body, fds):
    """A call by its bytes (D-Bus specification, "Message Format")."""
    fields = b""
    for code, kind, value in (
        (1, "o", text("/org/aictl1")),
        (2, "s", text(f"org.aictl1.{interface}")),
        (3, "s", text(member)),
        (8, "g", bytes([len(signature)]) + signature.encode() + b"\0"),
        (9, "u", struct.pack("<I", fds)),
    ):
        fields = padded(fields, 8) + bytes([code, 1]) + kind.encode() + b"\0" + value
    return padded(b"l\1\0\1" + struct.pack("<III", len(body), 1, len(fields)) + fields, 8) + body


def run(fds):
    """A call to run the first of so many descriptors."""
    body = struct.pack("<I", 0) + text("a.py")
    body = padded(body, 4) + text("python")
    body = padded(body, 4) + struct.pack("<I", 0)
    body = padded(body, 4) + text("standard")
    body = padded(body, 8) + struct.pack("<6QQ", *LIMITS, 0)
    return call("Sandbox", "Run", "hssass(tttttt)t", body, fds)


def look(fds=1):
    return call("Services", "Get", "h", struct.pack("<I", 0), fds)


def send(peer, data, fds, flags=0):
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    peer.sendmsg([data], rights, flags)


class Lost(Exception):
    """Whoever got it has closed it already, and it was waited for here."""


def lost(*_):
    raise Lost


@contextlib.contextmanager
def parcel():
    """A new one to send; whoever gets it has it alone soon, and is the last to close it."""
    end, other = lingering()
    try:
        yield end
    except OSError:
        # It was not sent, and would be waited for here.
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes(8))
        raise
    else:
        sent.append(end.getsockname()[1])
        kept.append(other)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 1)
        end.close()
        signal.setitimer(signal.ITIMER_REAL, 0)


def connected(greeting=b""):
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(PATIENCE)
    peer.connect("/run/aictl/bus")
    if greeting:
        peer.sendall(greeting)
        said = b""
        while said.count(b"\r\n") < greeting.count(b"\r\n") - 1:
            more = peer.recv(4096)
            if not more:
                raise ConnectionResetError
            said += more
    return peer


def with_one(greeting, *packets, flags=0):
    """Sends these, and with the last one a descriptor."""
    peer = connected(greeting)
    *first, last = packets
    for packet in first:
        peer.sendall(packet)
    with parcel() as end:
        send(peer, last, [end.fileno()], flags)
    return peer


def at_once(*packets):
    """The same before the helper has noticed the connection, perhaps."""
    with parcel() as end:
        peer = connected()
        *first, last = packets
        for packet in first:
            peer.sendall(packet)
        send(peer, last, [end.fileno()])
    return peer


def out_of_band():
    peer = with_one(b"", b"\0AUTH EXTER", b"N", flags=socket.MSG_OOB)
    with contextlib.suppress(OSError):
        peer.sendall(b"AL\r\n")
    return peer


def many():
    """As many as the kernel passes at one time."""
    peer = connected(GREETING)
    with parcel() as end:
        send(peer, run(253), [end.fileno()] * 253)
    return peer


def wrapped():
    """In a socket that is sent along, where nobody has received it yet."""
    peer, (outer, inner) = connected(GREETING), socket.socketpair()
    with parcel() as end:
        send(outer, b"x", [end.fileno()])
    send(peer, look(), [inner.fileno()])
    signal.setitimer(signal.ITIMER_REAL, 1)
    inner.close()
    signal.setitimer(signal.ITIMER_REAL, 0)
    return peer


def left_behind():
    """Behind what ends the connection: nobody ever receives it."""
    return at_once(b"\n", b"x" * 100)


def crowd():
    """On connections of which there are too many already."""
    while True:
        try:
            kept.append(connected(GREETING))
        except OSError:
            break
    peers = []
    while len(peers) < 20:
        try:
            peers.append(at_once(b"\0"))
        except (Lost, BrokenPipeError):
            pass
    assert {came_of(peer) for peer in peers[:-1]} == {"the end"}
    return peers[-1]


def came_of(peer):
    """What comes back after the greeting."""
    said = b""
    try:
        while len(said) < 16 or len(said) < 16 + int.from_bytes(said[4:8], "little"):
            more = peer.recv(65536)
            if not more:
                return "the end"
            said += more
    except TimeoutError:
        return "nothing"
    except ConnectionResetError:
        return "the end"
    if b"org.aictl1.Error." not in said:
        return repr(said)
    return said.split(b"org.aictl1.Error.")[1].split(b"\0")[0].decode()


def state(port):
    """That of the connection from there (enum in the kernel's net/tcp_states.h)."""
    with open("/proc/net/tcp") as table:
        for line in table:
            _, local, remote, state, *_ = line.split()
            if local.endswith(f":{port:04X}") and not remote.endswith(":0000"):
                return int(state, 16) if state != "st" else 0
    return None


def all_are_closed():
    """Whether every one that was sent is closed, by whoever had it, and lingers in the kernel."""
    deadline = time.monotonic() + PATIENCE
    # FIN_WAIT1; of too many such the kernel lets go before.
    while any(state(port) not in (4, None) for port in sent):
        if time.monotonic() > deadline:
            return [state(port) for port in sent]
        time.sleep(0.01)
    return True


WAYS = {
    "before AUTH": lambda: with_one(b"", b"\0"),
    "during AUTH": lambda: with_one(b"", b"\0AUTH EXTERNAL ", ME),
    "out of band": out_of_band,
    "not agreed on": lambda: with_one(PLAIN, look()),
    "with a call that takes none": lambda: with_one(GREETING, look()),
    "as script": lambda: with_one(GREETING, run(1)),
    "more than any call has": many,
    "within a message": lambda: with_one(GREETING, look()[:20], look()[20:]),
    "within another": wrapped,
    "left behind": left_behind,
    "in a crowd": crowd,
}
seen = {}
signal.signal(signal.SIGALRM, lost)
for what, way in WAYS.items():
    peer = None
    while peer is None:
        try:
            peer = way()
        except (Lost, BrokenPipeError, ConnectionResetError) as error:
            print(f"{what}: once more: {error!r}", file=sys.stderr)
    print(what, flush=True)
    sys.stdin.readline()
    seen[what] = came_of(peer)
    kept.append(peer)
    if seen[what] == "nothing":
        break
seen["all are closed"] = all_are_closed()
print(json.dumps(seen))
