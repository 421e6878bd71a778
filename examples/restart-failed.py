#!/usr/bin/python3
"""Restarts services that have failed, as soon as the helper says so.

restart-failed.py SERVICE...

It needs GLib's Python module (Debian: python3-gi), and that polkit lets you restart the services
(org.aictl1.services.control).
"""

import sys

from gi.repository import Gio, GLib

NAME, PATH, INTERFACE = "org.aictl1", "/org/aictl1", "org.aictl1.Services"
# The helper tells of changes while it runs, and ends when nobody has called it for 60 s: these looks
# keep it there, and see what it could not tell.
SECONDS_BETWEEN_LOOKS = 30

bus = Gio.bus_get_sync(Gio.BusType.SYSTEM)
services = sys.argv[1:]


def call(member, signature, *arguments):
    """Calls a method of the helper, and returns the record that it answers."""
    flags = Gio.DBusCallFlags.ALLOW_INTERACTIVE_AUTHORIZATION
    values = GLib.Variant(signature, arguments)
    reply = bus.call_sync(
        NAME, PATH, INTERFACE, member, values, None, flags, GLib.MAXINT32, None
    )
    return reply.unpack()[0]


def look(service):
    """Restarts the service if it has failed."""
    try:
        if call("Get", "(s)", service)["active_state"] != "failed":
            return
        print(f"{service} has failed", flush=True)
        after = call("Restart", "(stu)", service, 0, 0)
        print(f"{service} is {after['active_state']}", flush=True)
    except GLib.Error as error:
        # Such as org.aictl1.Error.LimitExceeded, if it fails again and again.
        name = Gio.DBusError.get_remote_error(error)
        words = error.message.removeprefix(f"GDBus.Error:{name}: ")
        print(f"{service}: {words} ({name})", file=sys.stderr, flush=True)


def look_at_all():
    """Looks at every service, and is called again."""
    for service in services:
        look(service)
    return GLib.SOURCE_CONTINUE


def changed(_bus, _sender, _path, _interface, _signal, arguments):
    """Looks at a service of which the helper says that it has changed."""
    (service,) = arguments.unpack()
    if service in services:
        look(service)


if not services:
    sys.exit(__doc__.strip())
bus.signal_subscribe(
    NAME, INTERFACE, "Changed", PATH, None, Gio.DBusSignalFlags.NONE, changed
)
# A helper that has just come does not tell of what happened before.
Gio.bus_watch_name_on_connection(
    bus, NAME, Gio.BusNameWatcherFlags.NONE, lambda *_: look_at_all(), None
)
look_at_all()
print("watching", *services, flush=True)
GLib.timeout_add_seconds(SECONDS_BETWEEN_LOOKS, look_at_all)
GLib.MainLoop().run()
