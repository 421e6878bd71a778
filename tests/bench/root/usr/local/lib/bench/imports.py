import collections
import dataclasses
import datetime
import json
import re

print(1)
