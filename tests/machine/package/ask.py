"""Runs a command on a terminal of its own, and gives the password that it asks for.

Usage: ask.py PASSWORD COMMAND [ARGUMENT…]. Prints what the terminal showed.
"""

import os
import pty
import select
import sys
import termios

password, command = sys.argv[1], sys.argv[2:]
child, terminal = pty.fork()
if child == 0:
    os.execvp(command[0], command)

shown, answered = b"", False
while True:
    ready, _, _ = select.select([terminal], [], [], 0.02)
    if ready:
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # The terminal's other end is closed.
            break
        if not piece:
            break
        shown += piece
    # Once it is not shown what is typed: what was typed before is thrown away then.
    quiet = not termios.tcgetattr(terminal)[3] & termios.ECHO
    if not answered and b"assword" in shown and quiet:
        os.write(terminal, password.encode() + b"\n")
        answered = True

sys.stdout.write(shown.decode(errors="replace"))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
