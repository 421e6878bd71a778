"""Calls every member of the helper with hostile values: of the right types and of wrong ones.

fuzz.py bus|peer SEED COUNT

Over the helper's own socket, a message with descriptors or of more than 64 KiB ends the connection:
no call needs one.

What exists is learnt by introspection, as dfuzzer does. No call names a service of the catalogue
and is right in all else, so none may do anything. What came of it is printed as JSON: the number of
calls that reached the helper, the errors with their numbers, and every answer that was no error.
"""

import collections
import json
import os
import random
import sys
import xml.etree.ElementTree as xml

import dbus
import dbus.lowlevel

PATH = "/org/aictl1"
# Answers that come from the bus, which lets nothing else through to the helper.
OF_THE_BUS = ("Rejected send message", "does not exist")

way, seed, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
chance = random.Random(seed)
peer = way == "peer"
destination = None if peer else "org.aictl1"
null = os.open("/dev/null", os.O_RDONLY)
pipe = os.pipe()


def connect():
    if peer:
        return dbus.connection.Connection("unix:path=/run/aictl/bus")
    return dbus.SystemBus(private=True)


connection = connect()

TEXTS = [
    "", " ", "\n", "\x01\x1b[2J\x7f", "\r\n_UID=0\nPRIORITY=0", "%s%n%x%p", "../../etc/passwd",
    "/", "-", "--help", "$(id)", "`id`", ";id", "'\"\\", "*", "?", "[a-z]*", "ollama.service",
    "ollama\n", "Ollama", "\u043ellama", "ollama\u200b", "\u202eamallo", "\ufeffollama", "\U0010ffff",
    "ssh", "-.mount", "a" * 255, "a" * 257, "a" * 65536, "\u00e9" * 300, "{}", "null", "true", "0",
    "aictl-unit-file@enable:ollama", "llm@1", "nothing",
]
NUMBERS = {
    "y": (0, 255), "n": (-(2**15), 2**15 - 1), "q": (0, 2**16 - 1), "i": (-(2**31), 2**31 - 1),
    "u": (0, 2**32 - 1), "x": (-(2**63), 2**63 - 1), "t": (0, 2**64 - 1),
}
TYPES = ["s", "o", "g", "b", "d", "h", "v", "as", "ay", "a{sv}", "(su)", "aas", "a{s(iv)}", *NUMBERS]


def value(signature):
    """A hostile value of one complete type."""
    first = signature[0]
    if first in NUMBERS:
        low, high = NUMBERS[first]
        return chance.choice([low, high, 0, 1, min(2, high), high - 1, chance.randint(low, high)])
    if first == "s":
        return chance.choice(TEXTS)
    if first == "o":
        return chance.choice(["/", "/org/aictl1", "/a" * 200])
    if first == "g":
        return chance.choice(["", "s", "a{sv}", "i" * 255])
    if first == "b":
        return chance.choice([True, False])
    if first == "d":
        return chance.choice([0.0, float("nan"), float("inf"), -1e308])
    if first == "h":
        return dbus.types.UnixFd(chance.choice([null, pipe[0], pipe[1]]))
    if first == "v":
        kind = chance.choice("sutbd")
        make = {"s": dbus.String, "u": dbus.UInt32, "t": dbus.UInt64, "b": dbus.Boolean,
                "d": dbus.Double}[kind]
        return make(value(kind), variant_level=chance.choice([1, 2, 8]))
    if signature.startswith("a{"):
        inner = signature[3:-1]
        return {f"key{n}": value(inner) for n in range(chance.choice([0, 1, 30]))}
    if first == "a":
        length = chance.choice([0, 1, 100, 5000 if signature == "ay" else 100])
        return [value(signature[1:]) for _ in range(length)]
    return tuple(value(inner) for inner in complete(signature[1:-1]))


def complete(signature):
    return [str(part) for part in dbus.Signature(signature)]


def call(path, interface, member, signature, values):
    message = dbus.lowlevel.MethodCallMessage(
        destination=destination, path=path, interface=interface, method=member
    )
    message.append(*values, signature=signature)
    reply = connection.send_message_with_reply_and_block(message, 60.0)
    return reply.get_args_list()


document = call(PATH, "org.freedesktop.DBus.Introspectable", "Introspect", "", [])[0]
methods = [
    (interface.get("name"), method.get("name"),
     "".join(arg.get("type") for arg in method.findall("arg") if arg.get("direction") != "out"))
    for interface in xml.fromstring(document).findall("interface")
    for method in interface.findall("method")
]
reached, errors, answered, lost = 1, collections.Counter(), [], []


# The most descriptors of a message that the bus lets through; it ends the connection of who sends
# more (dbus-daemon(1), max_message_unix_fds).
MOST_DESCRIPTORS = 16


def descriptors(values):
    """How many descriptors are among the values, at any depth."""
    if isinstance(values, dbus.types.UnixFd):
        return 1
    if isinstance(values, dict):
        values = list(values.values())
    return sum(map(descriptors, values)) if isinstance(values, (list, tuple)) else 0


def attempt(path, interface, member, signature, values):
    global reached, connection
    what = [path, interface, member, signature, repr(values)[:200]]
    # As libdbus counts it, near enough.
    too_much = descriptors(values) > MOST_DESCRIPTORS or peer and (
        "h" in signature or len(repr(values)) > 60000
    )
    try:
        call(path, interface, member, signature, values)
        reached += 1
        answered.append(what)
    except dbus.DBusException as error:
        name, text = error.get_dbus_name(), error.get_dbus_message()
        if "Cannot send file descriptors" in text:
            # The client's own library, before the two sides have agreed on it.
            return
        if not peer and any(words in text for words in OF_THE_BUS):
            errors["the bus: " + name] += 1
            return
        if name.endswith((".NoReply", ".Disconnected")):
            connection = connect()
            errors["the end of the connection"] += 1
            if not too_much:
                lost.append(what)
            return
        reached += 1
        # Those of ours have words for the user; those of others tell what went wrong.
        errors[name if name != "org.freedesktop.DBus.Error.Failed" else f"{name}: {text}"] += 1


for _ in range(count):
    interface, member, signature = chance.choice(methods)
    path = PATH
    kind = chance.random()
    if kind < 0.4:
        pass
    elif kind < 0.7:
        signature = "".join(chance.choices(TYPES, k=chance.randint(0, 5)))
    elif kind < 0.8:
        signature += chance.choice(TYPES)
    elif kind < 0.9:
        member = chance.choice(["Nothing", "reboot", "Exec", "Get" * 80, "Set", "Changed"])
    elif kind < 0.95:
        interface = chance.choice(["org.aictl1", "org.aictl1.Nothing", "a.b", "org.freedesktop.DBus"])
    else:
        path = chance.choice(["/", "/org", "/org/aictl1/ollama", "/a" * 100])
    values = [value(part) for part in complete(signature)]
    attempt(path, interface, member, signature, values)

print(json.dumps({
    "methods": len(methods), "reached": reached, "errors": errors, "answered": answered, "lost": lost,
}))
