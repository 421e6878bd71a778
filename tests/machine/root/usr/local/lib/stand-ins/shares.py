"""How long each of the calls takes that the helper makes of others for one of its own: the median
of COUNT of them, one after the other, over one connection."""

import statistics
import sys
import time

import dbus
import dbus.lowlevel

COUNT = int(sys.argv[1])
UNIT = "org.freedesktop.systemd1.Unit"
SERVICE = "org.freedesktop.systemd1.Service"
PATH = "/org/freedesktop/systemd1/unit/ollama_2eservice"
bus = dbus.SystemBus()


def call(destination, path, interface, member, signature, *arguments):
    message = dbus.lowlevel.MethodCallMessage(destination, path, interface, member)
    message.append(*arguments, signature=signature)
    return bus.send_message_with_reply_and_block(message, 60.0)


def manager(member, signature, argument):
    path, interface = "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"
    call("org.freedesktop.systemd1", path, interface, member, signature, argument)


def properties(member, signature, *arguments):
    interface = "org.freedesktop.DBus.Properties"
    call("org.freedesktop.systemd1", PATH, interface, member, signature, *arguments)


def bus_itself(member, signature="", *arguments):
    name, path = "org.freedesktop.DBus", "/org/freedesktop/DBus"
    call(name, path, name, member, signature, *arguments)


def polkit():
    subject = ("system-bus-name", {"name": dbus.String(bus.get_unique_name(), variant_level=1)})
    details = {"service": "ollama", "unit": "ollama.service"}
    call(
        "org.freedesktop.PolicyKit1",
        "/org/freedesktop/PolicyKit1/Authority",
        "org.freedesktop.PolicyKit1.Authority",
        "CheckAuthorization",
        "(sa{sv})sa{ss}us",
        subject,
        "org.aictl1.services.read",
        details,
        dbus.UInt32(0),
        "",
    )


ASKED = {
    "the bus, GetId": lambda: bus_itself("GetId"),
    "the bus, GetConnectionCredentials": lambda: bus_itself(
        "GetConnectionCredentials", "s", bus.get_unique_name()
    ),
    "polkit, CheckAuthorization": polkit,
    "systemd, GetUnitByPID": lambda: manager("GetUnitByPID", "u", dbus.UInt32(1)),
    "systemd, LoadUnit": lambda: manager("LoadUnit", "s", "ollama.service"),
    "systemd, Get MainPID": lambda: properties("Get", "ss", SERVICE, "MainPID"),
    "systemd, Get ActiveState": lambda: properties("Get", "ss", UNIT, "ActiveState"),
    "systemd, GetAll Unit": lambda: properties("GetAll", "s", UNIT),
}

for name, ask in ASKED.items():
    times = []
    for _ in range(COUNT):
        begin = time.monotonic()
        ask()
        times.append(time.monotonic() - begin)
    print(f"{name}: median {statistics.median(times) * 1e6:.0f} µs")
