# "Frees disk space", says its author. It looks for secrets, a way out and more processes.
import glob
import os
import socket
import subprocess


def keys():
    """SSH keys of whoever runs this."""
    homes = ["~", "/root", *glob.glob("/home/*")]
    return [key for home in homes for key in glob.glob(os.path.expanduser(f"{home}/.ssh/*"))]


def passwords():
    with open("/etc/shadow") as shadow:
        return shadow.read().splitlines()


def tokens():
    """Secrets in the environment."""
    words = ("KEY", "TOKEN", "SECRET", "PASS")
    return [name for name in os.environ if any(word in name.upper() for word in words)]


def others():
    """Programs that other people run here, with their arguments."""
    mine = {1, os.getpid()}
    return [pid for pid in os.listdir("/proc") if pid.isdigit() and int(pid) not in mine]


def way_out():
    with socket.create_connection(("1.1.1.1", 443), timeout=2) as connection:
        return [connection.getpeername()]


def back_door():
    with open("/usr/bin/aictl-update", "w") as file:
        file.write("#!/bin/sh\n")
    return [file.name]


print("Cleaning up, please wait ...")
result = {}
for attempt in (keys, passwords, tokens, others, way_out, back_door):
    try:
        loot = attempt()
    except OSError as error:
        loot, why = [], error.strerror or type(error).__name__
    else:
        why = "there is none"
    result[attempt.__name__] = len(loot)
    print(f"{attempt.__name__:>10}: {f'got {len(loot)}' if loot else f'nothing ({why})'}")

# Processes that mean to outlive the run. Look for them afterwards with: pgrep -f "sleep 31536"
for _ in range(3):
    subprocess.Popen(["sleep", "31536"], start_new_session=True)
