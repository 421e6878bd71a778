# attack: changes the times of the machine's own device files
# stopped-by: mount-ns user-ns
# off: mount-ns
import os, sys

done = []
for path in ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"):
    try:
        os.utime(path)
        done.append(path)
    except OSError as error:
        seen = os.strerror(error.errno)
if done:
    print("ESCAPED changed", done, flush=True)
    sys.exit(1)
print("CONTAINED", seen, flush=True)
