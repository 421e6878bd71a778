"""Speaks to the helper's socket as no library would: SEED, COUNT connections of hostile bytes."""

import os
import random
import socket
import struct
import sys

chance = random.Random(int(sys.argv[1]))


def header(**changes):
    """A call of Ping, by its bytes (D-Bus specification, "Message Format")."""
    fields = {"endian": b"l", "kind": 1, "flags": 0, "version": 1, "body": 0, "serial": 1} | changes
    path = b"\x01\x01o\x00" + struct.pack("<I", 11) + b"/org/aictl1\x00"
    member = b"\x03\x01s\x00" + struct.pack("<I", 4) + b"Ping\x00"
    array = path + b"\x00" * (-len(path) % 8) + member
    length = changes.get("array", len(array))
    start = fields["endian"] + bytes([fields["kind"], fields["flags"], fields["version"]])
    start += struct.pack("<III", fields["body"], fields["serial"], length)
    return start + array + b"\x00" * (-(len(start) + len(array)) % 8)


def messages():
    yield b""
    yield os.urandom(0) + chance.randbytes(4096)
    yield header(body=2**32 - 1)
    yield header(body=2**27 - 1) + b"a" * 65536
    yield header(array=2**32 - 1)
    yield header(array=2**26)
    yield header(serial=0)
    yield header(version=255)
    yield header(endian=b"x")
    yield header(kind=0)
    yield header(kind=255)
    yield header()[:13]
    whole = bytearray(header())
    for _ in range(chance.randint(1, 6)):
        whole[chance.randrange(len(whole))] = chance.randrange(256)
    yield bytes(whole)
    yield header(flags=255) * 500


def greetings():
    name = str(os.getuid()).encode().hex().encode()
    good = b"\0AUTH EXTERNAL " + name + b"\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n"
    return [good, good, good, good, b"", b"\0", b"\0AUTH\r\n", b"\0" * 100, b"\0AUTH " + b"A" * 100000,
            b"\0AUTH EXTERNAL 30\r\nBEGIN\r\n", b"\0AUTH ANONYMOUS\r\nBEGIN\r\n", b"\0BEGIN\r\n"]


for _ in range(int(sys.argv[2])):
    for message in messages():
        peer = socket.socket(socket.AF_UNIX)
        peer.settimeout(0.2)
        try:
            peer.connect("/run/aictl/bus")
            peer.sendall(chance.choice(greetings()))
            peer.sendall(message)
            if chance.random() < 0.5:
                peer.recv(65536)
        except OSError:
            pass
        finally:
            peer.close()
