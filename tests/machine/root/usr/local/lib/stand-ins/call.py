"""One call of the helper, by a library that is not ours: Python's dbus module.

call.py [--peer] [--ask] INTERFACE MEMBER SIGNATURE [ARGUMENT...]

Each argument is JSON. What came of it is printed as JSON: {"answer": ...}, or {"error": NAME,
"message": TEXT}. --peer: without a bus, over the helper's own socket. --ask: polkit may ask.
"""

import json
import sys

import dbus
import dbus.lowlevel

arguments = sys.argv[1:]
options = {"--peer", "--ask"} & set(arguments)
interface, member, signature, *values = [a for a in arguments if a not in options]

message = dbus.lowlevel.MethodCallMessage(
    destination=None if "--peer" in options else "org.aictl1",
    path="/org/aictl1",
    interface="org.aictl1." + interface,
    method=member,
)
message.append(*map(json.loads, values), signature=signature)
if "--ask" in options:
    message.set_allow_interactive_authorization(True)
try:
    if "--peer" in options:
        connection = dbus.connection.Connection("unix:path=/run/aictl/bus")
    else:
        connection = dbus.SystemBus()
    reply = connection.send_message_with_reply_and_block(message, 60.0)
    answer = reply.get_args_list()
    result = {"answer": answer[0] if len(answer) == 1 else answer}
except dbus.DBusException as error:
    result = {"error": error.get_dbus_name(), "message": error.get_dbus_message()}
print(json.dumps(result, default=repr))
