def _wait(copy):
    import os, sys
    # What scripts import most. None of these keeps anything that differs from run to run.
    import collections, dataclasses, datetime, enum, functools, itertools, json, math, re
    # The first time is the slowest.
    exec(compile('_ = 0', '', 'exec', 0, True), {})
    if copy:
        copy()
    os.write(4, b'!')
    job = os.read(4, 1 << 18)
    os.close(4)
    if not job:
        os._exit(0)
    send, *rest = job.decode('utf-8').split('\0')[:-1]
    if send:
        send = sys.argv[1]
    else:
        os.close(3)
    sys.orig_argv[1:] = ['-E', '-s', '-u', *rest[1:]]
    return ['-c', send, *rest]
