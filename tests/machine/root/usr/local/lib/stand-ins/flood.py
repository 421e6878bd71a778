"""Large bodies over the system bus: COUNT clients at once, each with TURNS calls of MEBIBYTES MiB.

flood.py COUNT TURNS MEBIBYTES

What came of the calls is printed as JSON: for each error's name, how many.
"""

import collections
import json
import multiprocessing
import sys

import dbus
import dbus.lowlevel

COUNT, TURNS, MEBIBYTES = map(int, sys.argv[1:])
# A member that takes such an argument, one that does not, and one that there is not.
MEMBERS = [("Services", "Get", "s"), ("Services", "Start", "s"), ("Services", "Nothing", "ay")]


def client(number, gate, results):
    bus = dbus.SystemBus(private=True)
    body = b"a" * (MEBIBYTES * 2**20 - 1024)
    for turn in range(TURNS):
        interface, member, signature = MEMBERS[(number + turn) % len(MEMBERS)]
        message = dbus.lowlevel.MethodCallMessage(
            destination="org.aictl1",
            path="/org/aictl1",
            interface="org.aictl1." + interface,
            method=member,
        )
        message.append(body.decode() if signature == "s" else dbus.ByteArray(body), signature=signature)
        gate.wait()
        try:
            bus.send_message_with_reply_and_block(message, 60.0)
            results.put("answered")
        except dbus.DBusException as error:
            results.put(error.get_dbus_name())
            if not bus.get_is_connected():
                bus = dbus.SystemBus(private=True)


gate, results = multiprocessing.Barrier(COUNT), multiprocessing.Queue()
clients = [
    multiprocessing.Process(target=client, args=(number, gate, results)) for number in range(COUNT)
]
for process in clients:
    process.start()
answers = [results.get() for _ in range(COUNT * TURNS)]
for process in clients:
    process.join()
print(json.dumps(collections.Counter(answers)))
