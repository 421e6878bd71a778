# attack: reads which addresses, routes, neighbours, listeners and connections the host has, from its own /proc
# stopped-by: net-ns
# off: net-ns
import json, os, sys

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


def rows(name):
    """The lines of a list behind its head."""
    try:
        with open(f"/proc/self/net/{name}") as f:
            return f.read().splitlines()[1:]
    except OSError:
        return []


got = []
port = f":{F['tcp4_port']:04X} "
if any(port in row for row in rows("tcp")):
    got.append(f"who listens on port {F['tcp4_port']}")
if any(F["unix_path"] in row or F["unix_abstract"] in row for row in rows("unix")):
    got.append("sockets of other programs")
# A network of one's own has neither of these, and nobody who listens.
for name in ["route", "arp", "tcp", "tcp6", "udp", "udp6", "unix"]:
    if rows(name):
        got.append(f"{len(rows(name))} rows of {name}")
if got:
    escaped("; ".join(got))
contained("a network of its own, with nobody in it")
