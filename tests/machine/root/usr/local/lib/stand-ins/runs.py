"""Scripts that are run for many users, by a library that is not ours: a module, and a program.

runs.py ten QUEUED ROUNDS     how long runs take of nine users, and beside a tenth with QUEUED that wait
runs.py turns QUEUED ROUNDS   the same where one script runs at one time: who begins before whom
runs.py flood COUNT           one user has COUNT scripts run that never end, and leaves
runs.py places                who begins, and with which nice value, where three scripts run at one time
runs.py thousands COUNT       the same of four users, none of whom waits for what a script prints
runs.py connections COUNT     four users have a script run on each of COUNT connections, and leave

What was seen is printed as JSON. Run by root.
"""

import json
import multiprocessing
import os
import pwd
import random
import signal
import statistics
import subprocess
import sys
import time

import dbus
import dbus.lowlevel

# Their time is not up before a test is.
LONG = (600_000, 0, 0, 0, 0, 0)
ERROR = "org.aictl1.Error."
# Everybody but the first is honest.
PEOPLE = ["anna", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy"]
# How many seconds somebody waits before his next run, about.
PACE = 0.5
# Its processes have a name by which they are found, whatever their command lines are.
ENDLESS = """import ctypes, signal
ctypes.CDLL(None).prctl(15, b"run-in-flight", 0, 0, 0)  # PR_SET_NAME
while True: signal.pause()
"""


def become(name):
    user = pwd.getpwnam(name)
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    os.environ["HOME"] = user.pw_dir


def sealed(text):
    """A script as it must be handed over: memory that nobody can change any more."""
    import fcntl

    memory = os.memfd_create("script", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    os.write(memory, text.encode())
    every = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
    fcntl.fcntl(memory, fcntl.F_ADD_SEALS, every)
    return memory


def call(bus, member, signature, *values):
    """What the helper answers: a list, or its error's name without what all of them have."""
    message = dbus.lowlevel.MethodCallMessage("org.aictl1", "/org/aictl1", "org.aictl1.Sandbox", member)
    message.append(*values, signature=signature)
    try:
        return bus.send_message_with_reply_and_block(message, 60.0).get_args_list()
    except dbus.DBusException as error:
        return error.get_dbus_name().removeprefix(ERROR)


def run(bus, script, name="a.py", arguments=(), stdin=False, limits=(0, 0, 0, 0, 0, 0)):
    """Has a script run; `script` is a descriptor.

    The run's name with its streams: output, errors, and standard input where it has one; or an error.
    """
    values = (dbus.types.UnixFd(script), name, "python", dbus.Array(arguments, "s"), "standard", limits)
    answer = call(bus, "Run", "hssass(tttttt)t", *values, dbus.UInt64(2 if stdin else 0))
    if isinstance(answer, str):
        return answer
    run, stdout, stderr, inputs = answer
    return str(run), stdout.take(), stderr.take(), *(fd.take() for fd in inputs)


def flooder(queued, script, ready, over):
    become(PEOPLE[0])
    bus, memory, runs, errors = dbus.SystemBus(private=True), sealed(script), [], {}
    for _ in range(queued):
        answer = run(bus, memory)
        if isinstance(answer, str):
            errors[answer] = errors.get(answer, 0) + 1
        else:
            for fd in answer[1:]:
                os.close(fd)
            runs.append(answer[0])
    ready.put(errors | {"accepted": len(runs)})
    over.wait()
    # Whose connection ends, his runs end.
    os._exit(0)


def honest(name, rounds, pace, gate, results):
    """Has a script run so many times, and waits so many seconds before each."""
    become(name)
    with open(f"{pwd.getpwnam(name).pw_dir}/hello.py", "w") as file:
        file.write("print('hello')\n")
    gate.wait()
    for _ in range(rounds):
        # Nobody waits for exactly as long as the others.
        time.sleep(random.uniform(0.5, 1.5) * pace)
        began = time.monotonic()
        done = subprocess.run(
            ["aictl", "run", "--no-stdin", f"{os.environ['HOME']}/hello.py"], capture_output=True, text=True
        )
        took = (time.monotonic() - began) * 1000
        results.put((name, done.returncode, done.stdout + done.stderr, took))


def crowd(names, rounds, pace):
    """The honest at the same time: milliseconds of each run."""
    gate, results = multiprocessing.Barrier(len(names)), multiprocessing.Queue()
    people = [multiprocessing.Process(target=honest, args=(name, rounds, pace, gate, results)) for name in names]
    for person in people:
        person.start()
    seen = [results.get() for _ in range(rounds * len(names))]
    for person in people:
        person.join()
    for name, code, text, _ in seen:
        if (code, text) != (0, "hello\n"):
            raise SystemExit(f"{name}: {code} {text}")
    return [took for *_, took in seen]


def told(times):
    times = sorted(times)
    p95 = times[max(0, -(-len(times) * 95 // 100) - 1)]
    return {"count": len(times), "median_ms": statistics.median(times), "p95_ms": p95}


def ten(queued, rounds):
    """What a run takes of each of nine users alone on the machine, of one beside a tenth with QUEUED
    runs that wait, and of the nine beside him: at the pace of people, who look at what came out. Then
    what it takes of nine who do not, each of whom has one run after the other.
    """
    others = PEOPLE[1:]
    crowd(others[:1], 3, PACE)
    lone = [took for name in others for took in crowd([name], rounds, PACE)]
    nine = crowd(others, rounds, PACE)
    in_a_row = crowd(others, rounds, 0)
    ready, over = multiprocessing.Queue(), multiprocessing.Event()
    flood = "end = __import__('time').process_time() + 0.1\nwhile __import__('time').process_time() < end: pass"
    anna = multiprocessing.Process(target=flooder, args=(queued, flood, ready, over))
    anna.start()
    flooded = ready.get()
    one = [took for name in others for took in crowd([name], rounds, PACE)]
    all_ten = crowd(others, rounds, PACE)
    all_in_a_row = crowd(others, rounds, 0)
    bus = dbus.SystemBus(private=True)
    left = len(call(bus, "List", "t", dbus.UInt64(1))[0])
    over.set()
    anna.join()
    return {
        "lone": told(lone),
        "one beside the flood": told(one),
        "nine": told(nine),
        "nine beside the flood": told(all_ten),
        "nine in a row": told(in_a_row),
        "nine in a row beside the flood": told(all_in_a_row),
        "flood": flooded,
        "still there at the end": left,
    }


TOLD = "import time; print(time.monotonic_ns())"


def begun(pipe):
    """When a script that prints TOLD has begun."""
    with open(pipe) as file:
        return int(file.read())


def begun_of(accepted):
    _, stdout, stderr = accepted
    os.close(stderr)
    return begun(stdout)


def many_in_turn(queued, ready, go, over, begins):
    """The first of all users: queues all behind one that waits, and tells when each has begun."""
    become(PEOPLE[0])
    bus, memory = dbus.SystemBus(private=True), sealed(TOLD)
    *first, end = run(bus, sealed("import sys; sys.stdin.read()"), stdin=True, limits=LONG)
    accepted = [first] + [run(bus, memory) for _ in range(queued)]
    refused = [answer for answer in accepted if isinstance(answer, str)]
    ready.put({"queued": len(accepted) - 1 - len(refused), "refused": refused})
    go.wait()
    os.close(end)
    over.wait()
    # Whose connection ends, his runs end.
    bus.close()
    times = []
    for _, stdout, stderr in accepted:
        with open(stdout) as file:
            times += [int(line) for line in file]
        os.close(stderr)
    begins.put(times)


def one_after_the_other(name, rounds, gate, results):
    become(name)
    bus, memory = dbus.SystemBus(private=True), sealed(TOLD)
    for number in range(rounds):
        answer = run(bus, memory)
        accepted = time.monotonic_ns()
        if number == 0:
            gate.wait()
        if isinstance(answer, str):
            results.put((name, answer, 0))
        else:
            results.put((name, accepted, begun_of(answer)))


def turns(queued, rounds):
    """For each run of the nine others: how many began between its acceptance and its begin, by user.

    Only the most that any one has seen is told: of all others together, and of the one with many.
    """
    ready, go, over = multiprocessing.Queue(), multiprocessing.Event(), multiprocessing.Event()
    begins = multiprocessing.Queue()
    many = multiprocessing.Process(target=many_in_turn, args=(queued, ready, go, over, begins))
    many.start()
    flood = ready.get()
    others = PEOPLE[1:]
    # All wait before the first of them begins.
    gate, results = multiprocessing.Barrier(len(others) + 1), multiprocessing.Queue()
    people = [
        multiprocessing.Process(target=one_after_the_other, args=(name, rounds, gate, results)) for name in others
    ]
    for person in people:
        person.start()
    gate.wait()
    go.set()
    seen = [results.get() for _ in range(rounds * len(others))]
    over.set()
    of_many = begins.get()
    for process in [*people, many]:
        process.join()
    bad = [entry for entry in seen if isinstance(entry[1], str)]
    if bad:
        raise SystemExit(str(bad))
    began = [(PEOPLE[0], at) for at in of_many] + [(name, at) for name, _, at in seen]
    before = [
        [other for other, at in began if other != name and accepted < at < mine] for name, accepted, mine in seen
    ]
    return {
        **flood,
        "begun of many": len(of_many),
        "runs of the others": len(seen),
        "most before one": max(map(len, before)),
        "most of many before one": max(list_.count(PEOPLE[0]) for list_ in before),
        "many had a turn too": len([1 for list_ in before if PEOPLE[0] in list_]) > 0,
    }


SAYS = """import os, sys
print(os.nice(0), flush=True)
sys.stdin.read()
"""


def bus_of(name):
    """A connection to the bus that is this user's."""
    os.seteuid(pwd.getpwnam(name).pw_uid)
    try:
        return dbus.SystemBus(private=True)
    finally:
        os.seteuid(0)


class Waits:
    """A script that says which nice value it has, and then waits for the end of its input."""

    def __init__(self, bus):
        self.run, out, err, self.end = run(bus, sealed(SAYS), stdin=True, limits=LONG)
        os.close(err)
        self.out = open(out)

    def nice(self):
        """Waits until it has begun."""
        return int(self.out.readline())

    def leave(self):
        os.close(self.end)
        assert self.out.read() == ""


def places():
    """Of three places anna has one and bob, the second of anna's leaves the third to carol."""
    # Who never begins is not waited for until the end of all time.
    signal.alarm(60)
    everybody = dbus.SystemBus(private=True)
    anna, bob, carol = (bus_of(name) for name in PEOPLE[:3])

    def states():
        listed = {str(one["run"]): str(one["state"]) for one in call(everybody, "List", "t", dbus.UInt64(1))[0]}
        return {name: listed[one.run] for name, one in there.items() if one.run in listed}

    there = {"anna's": Waits(anna), "bob's": Waits(bob)}
    nice = {name: one.nice() for name, one in there.items()}
    there["anna's second"] = Waits(anna)
    there["carol's"] = Waits(carol)
    nice["carol's"] = there["carol's"].nice()
    while_all_are_there = states()
    there.pop("carol's").leave()
    there.pop("bob's").leave()
    nice["anna's second"] = there["anna's second"].nice()
    when_they_have_gone = states()
    for one in there.values():
        one.leave()
    return {"nice": nice, "while all are there": while_all_are_there, "when they have gone": when_they_have_gone}


def ask_for(name, count, fresh, deaf, results, gate):
    """Has `count` endless scripts run, each on a connection of its own if `fresh`, and keeps them; but not
    the ends of what they print, if `deaf`."""
    become(name)
    buses, memory, errors, kept = [dbus.SystemBus(private=True)], sealed(ENDLESS), {}, []
    for _ in range(count):
        answer = run(buses[-1], memory, limits=LONG)
        kind = answer if isinstance(answer, str) else "accepted"
        errors[kind] = errors.get(kind, 0) + 1
        if deaf and kind == "accepted":
            for fd in answer[1:]:
                os.close(fd)
        kept.append(answer)
        if fresh:
            buses.append(dbus.SystemBus(private=True))
    results.put(errors)
    gate.wait()
    os._exit(0)


def ask_all(names, count, fresh, deaf=False):
    results, gate = multiprocessing.Queue(), multiprocessing.Barrier(len(names) + 1)
    people = [
        multiprocessing.Process(target=ask_for, args=(name, count // len(names), fresh, deaf, results, gate))
        for name in names
    ]
    for person in people:
        person.start()
    answers = {}
    for _ in people:
        for kind, number in results.get().items():
            answers[kind] = answers.get(kind, 0) + number
    listed = call(dbus.SystemBus(private=True), "List", "t", dbus.UInt64(1))
    states = [str(one["state"]) for one in listed[0]]
    gate.wait()
    for person in people:
        person.join()
    return {"answers": answers, "running": states.count("running"), "queued": states.count("queued")}


def flood(count):
    return ask_all(["bob"] * 4, count, fresh=False)


def thousands(count):
    return ask_all(PEOPLE[1:5], count, fresh=False, deaf=True)


def connections(count):
    return ask_all(PEOPLE[1:5], count, fresh=True)


if __name__ == "__main__":
    what, *numbers = sys.argv[1:]
    known = {"ten": ten, "turns": turns, "places": places, "flood": flood, "thousands": thousands, "connections": connections}
    print(json.dumps(known[what](*map(int, numbers)), indent=1))
