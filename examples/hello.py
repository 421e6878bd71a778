# Says hello from inside the sandbox.
import os, platform

result = {"python": platform.python_version(), "uid": os.getuid(), "files": os.listdir()}
print(f"Hello from {os.getcwd()} on {platform.node()}:", result)
