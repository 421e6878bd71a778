"""Writes src/members.txt: what modules of the standard library hold that is itself a module.

Run it with each CPython that is to be known; the lines of all go into the file:

    for python in python3.11 python3.13; do $python -I members.py; done | sort -u > src/members.txt

A line is `module attribute = module` for an attribute that is a module, and `module attribute` for
a public one that is none although a module has its name, such as the class `time` in `datetime`.
"""

import importlib
import sys
import types
import warnings

warnings.simplefilter("ignore")

# The modules that are allowed where nothing is configured, and others that hold no way out by
# themselves and that people may want to add.
MODULES = """
    abc array base64 binascii bisect calendar cmath collections collections.abc colorsys contextlib
    copy csv dataclasses datetime decimal difflib enum fractions functools graphlib hashlib heapq
    hmac html itertools json json.decoder json.encoder keyword locale math numbers operator pprint
    random re reprlib secrets statistics string struct textwrap time types typing unicodedata uuid
    zlib zoneinfo
""".split()

NAMES = {name for name in getattr(sys, "stdlib_module_names", ()) if not name.startswith("_")}

for name in MODULES:
    module = importlib.import_module(name)
    for attribute, value in vars(module).items():
        if attribute.startswith("_"):
            continue
        if isinstance(value, types.ModuleType):
            print(name, attribute, "=", value.__name__)
        elif attribute in NAMES:
            print(name, attribute)
# src/standard.txt: print("\n".join(sorted(NAMES))), of all versions together.
