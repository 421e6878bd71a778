# attack: leaves System V shared memory, semaphores and a message queue for the next run
# stopped-by: ipc-ns seccomp
# off: ipc-ns seccomp
# runs: 2
import ctypes, errno, json, sys

F = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def contained(how):
    print("CONTAINED", how, flush=True)
    sys.exit(0)


def escaped(what):
    print("ESCAPED", what, flush=True)
    sys.exit(1)


libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


def syscall(nr, *args):
    """The call's result, or minus its errno."""
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in args]
    words += [ctypes.c_long(0)] * (6 - len(words))
    r = libc.syscall(ctypes.c_long(nr), *words)
    return r if r >= 0 else -ctypes.get_errno()


def word(r):
    return errno.errorcode.get(-r, str(r)) if r < 0 else f"success ({r})"


IPC_CREAT, IPC_RMID = 0o1000, 0
SHMGET, SHMCTL, SEMGET, SEMCTL, MSGGET, MSGCTL = 29, 31, 64, 66, 68, 71
key = int(F["run"][-6:], 16) + 0x100000
first = F["round"] == 1
flags = 0o666 | (IPC_CREAT if first else 0)
made = {
    "shared memory": (SHMCTL, syscall(SHMGET, key, 4096, flags)),
    "semaphores": (SEMCTL, syscall(SEMGET, key, 1, flags)),
    "message queue": (MSGCTL, syscall(MSGGET, key, flags)),
}
said = {what: word(r) for what, (_, r) in made.items()}
if first:
    contained(f"to be left: {said}")
for control, r in made.values():
    if r >= 0:
        syscall(control, r, *([0, IPC_RMID] if control == SEMCTL else [IPC_RMID, None]))
if any(r >= 0 for _, r in made.values()):
    escaped(f"found what the first run has left: {said}")
contained(str(said))
