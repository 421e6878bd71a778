"""How long `aictl status` takes, and what it replaces: beside.py ROUNDS NAME:PORT...

The services' units have their names. In turns, ROUNDS times after one that does not count; printed
as JSON: for each row, the milliseconds of each round.
"""

import json
import subprocess
import sys
import time

rounds, services = int(sys.argv[1]), [argument.split(":") for argument in sys.argv[2:]]
show = ["systemctl", "show", "--property=Id,ActiveState,SubState,MainPID,MemoryCurrent,NRestarts"]
curl = ["curl", "--silent", "--show-error", "--fail", "--max-time", "3"]
ROWS = {
    "aictl status": [["aictl", "status", "--json", *(name for name, _ in services)]],
    "systemctl show, one after the other": [[*show, f"{name}.service"] for name, _ in services],
    "curl, one after the other": [
        [*curl, f"http://127.0.0.1:{port}/v1/models"] for _, port in services
    ],
}
times = {row: [] for row in ROWS}
for number in range(rounds + 1):
    for row, commands in ROWS.items():
        time.sleep(0.01)
        begin = time.monotonic()
        for command in commands:
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        if number > 0:
            times[row].append((time.monotonic() - begin) * 1000)
print(json.dumps(times))
