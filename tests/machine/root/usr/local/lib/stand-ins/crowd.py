"""Many clients at once: of 50, 45 are honest and 5 are not; 20 calls each. Run by root.

What came of the honest calls is printed as JSON, and how long the middle one took.
"""

import json
import multiprocessing
import os
import pwd
import statistics
import time

import dbus
import dbus.lowlevel

CALLS = 20
HONEST = ["anna", "carol", "dave"]


def message(member, signature, *values):
    call = dbus.lowlevel.MethodCallMessage(
        destination="org.aictl1", path="/org/aictl1", interface="org.aictl1.Services", method=member
    )
    call.append(*values, signature=signature)
    return call


def become(name):
    user = pwd.getpwnam(name)
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)


def honest(number, results):
    become(HONEST[number % len(HONEST)])
    bus = dbus.SystemBus(private=True)
    for _ in range(CALLS):
        began = time.monotonic()
        try:
            reply = bus.send_message_with_reply_and_block(message("Get", "s", "ollama"), 60.0)
            result = str(reply.get_args_list()[0]["name"])
        except dbus.DBusException as error:
            result = f"{error.get_dbus_name()}: {error.get_dbus_message()}"
        results.put((result, time.monotonic() - began))


def hostile(number, results):
    become("bob")
    bus = dbus.SystemBus(private=True)
    for turn in range(CALLS):
        try:
            match (number + turn) % 5:
                case 0:
                    bus.send_message_with_reply_and_block(message("Get", "s", "a" * 2**20), 60.0)
                case 1:
                    bus.send_message_with_reply_and_block(message("Get", "aas", [["a"] * 50] * 50), 60.0)
                case 2:
                    # Asked, and gone before the answer.
                    bus.send_message(message("List", ""))
                    bus.close()
                    bus = dbus.SystemBus(private=True)
                case 3:
                    # Many at once, and never listened to.
                    for _ in range(50):
                        bus.send_message(message("List", ""))
                    bus.flush()
                case _:
                    call = message("Restart", "stu", "ollama", 0, 0)
                    call.set_allow_interactive_authorization(True)
                    bus.send_message_with_reply_and_block(call, 1.0)
        except dbus.DBusException:
            if not bus.get_is_connected():
                bus = dbus.SystemBus(private=True)


results = multiprocessing.Queue()
clients = [
    multiprocessing.Process(target=hostile if n % 10 == 0 else honest, args=(n, results))
    for n in range(50)
]
for client in clients:
    client.start()
answers = [results.get() for _ in range(45 * CALLS)]
for client in clients:
    client.join()
names = [name for name, _ in answers]
print(json.dumps({
    "answers": {name: names.count(name) for name in set(names)},
    "median_ms": statistics.median(seconds for _, seconds in answers) * 1000,
}))
