#!/usr/bin/python3
"""Runs a Python script in the helper's sandbox, as a program of your own would.

run-script.py SCRIPT [ARGUMENT...]

It needs GLib's Python module (Debian: python3-gi), and that polkit lets you run scripts
(org.aictl1.sandbox.run: who sits at the machine may).
"""

import fcntl
import os
import sys
import threading

from gi.repository import Gio, GLib

NAME, PATH, INTERFACE = "org.aictl1", "/org/aictl1", "org.aictl1.Sandbox"
# Milliseconds in all, milliseconds of CPU, bytes of memory, processes, bytes of each output, bytes
# of /work. 0: as the configuration says.
LIMITS = (10_000, 0, 256 << 20, 0, 0, 0)
WANT_RESULT, HAS_STDIN = 1, 2


def sealed(text):
    """The text in memory that nobody can change any more."""
    memory = os.memfd_create("script", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with os.fdopen(os.dup(memory), "wb") as file:
        file.write(text)
    seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
    fcntl.fcntl(memory, fcntl.F_ADD_SEALS, seals)
    return memory


def call(bus, member, values, descriptors=()):
    """Calls a method of the helper; returns what it answers, and the descriptors of that."""
    return bus.call_with_unix_fd_list_sync(
        NAME,
        PATH,
        INTERFACE,
        member,
        values,
        None,
        Gio.DBusCallFlags.ALLOW_INTERACTIVE_AUTHORIZATION,
        GLib.MAXINT32,
        Gio.UnixFDList.new_from_array(list(descriptors)),
        None,
    )


def copy(source, target):
    """Copies what comes, as it comes."""
    with os.fdopen(source, "rb", buffering=0) as stream:
        while data := stream.read(65536):
            target.buffer.write(data)
            target.flush()


def run(path, arguments):
    """Runs the script; returns the record of the run."""
    # The run ends with this connection, and only this connection can wait for it.
    bus = Gio.bus_get_sync(Gio.BusType.SYSTEM)
    with open(path, "rb") as file:
        script = sealed(file.read())
    name = os.path.basename(path)
    # A descriptor is given by its place in the list.
    values = GLib.Variant(
        "(hssass(tttttt)t)",
        (0, name, "python", arguments, "standard", LIMITS, WANT_RESULT),
    )
    reply, descriptors = call(bus, "Run", values, [script])
    # With HAS_STDIN among the flags, the last of them holds a stream to write to.
    identifier, stdout, stderr, _no_stdin = reply.unpack()
    copies = [
        threading.Thread(target=copy, args=(descriptors.get(stdout), sys.stdout)),
        threading.Thread(target=copy, args=(descriptors.get(stderr), sys.stderr)),
    ]
    for thread in copies:
        thread.start()
    reply, _ = call(bus, "Wait", GLib.Variant("(s)", (identifier,)))
    for thread in copies:
        thread.join()
    return reply.unpack()[0]


if len(sys.argv) < 2:
    sys.exit(__doc__.strip())
try:
    record = run(sys.argv[1], sys.argv[2:])
except GLib.Error as error:
    name = Gio.DBusError.get_remote_error(error)
    words = error.message.removeprefix(f"GDBus.Error:{name}: ")
    sys.exit(f"run-script: {words}")
print(f"outcome {record['outcome']}, result {record.get('result')}", file=sys.stderr)
sys.exit(record.get("exit_code", 1))
