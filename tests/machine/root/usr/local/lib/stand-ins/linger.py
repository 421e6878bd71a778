"""A socket that takes an hour to close."""

import socket
import struct


def lingering():
    """A socket that whoever closes it last waits for, an hour long (SO_LINGER); with its other end."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        end, other = socket.create_connection(server.getsockname()), server.accept()[0]
    end.setblocking(False)
    try:
        while True:
            end.send(bytes(65536))
    except BlockingIOError:
        pass
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3600))
    return end, other
