"""COUNT calls of Services.Get, one after the other, over one connection."""

import sys

import dbus
import dbus.lowlevel

bus = dbus.SystemBus()
for _ in range(int(sys.argv[1])):
    call = dbus.lowlevel.MethodCallMessage(
        destination="org.aictl1", path="/org/aictl1", interface="org.aictl1.Services", method="Get"
    )
    call.append("ollama", signature="s")
    bus.send_message_with_reply_and_block(call, 60.0)
