//! Ordinary programs: each must pass.

use crate::{checked, lines};

const PROGRAMS: &[(&str, &str)] = &[
    ("nothing", "\n# nothing\n"),
    ("a mark and a coding comment", "\u{feff}# -*- coding: utf-8 -*-\nprint('ä')\r\nprint(1)\r\n"),
    ("a shebang", "#!/usr/bin/env python3\n# vim: set fileencoding=utf8 :\nresult = 1\n"),
    ("arithmetic", "x = 3\ny = x ** 2 % 7 // 2 + -x\nprint(f'{x:>5} {y!r:^{x}}')\n"),
    (
        "the mean of a list",
        "import statistics\n\ndata = [1.5, 2.5, 4.0]\nprint(statistics.mean(data), statistics.stdev(data))\n",
    ),
    (
        "primes",
        "def primes(n):\n    sieve = [True] * (n + 1)\n    for i in range(2, int(n ** 0.5) + 1):\n        if sieve[i]:\n            sieve[i * i :: i] = [False] * len(sieve[i * i :: i])\n    return [i for i in range(2, n + 1) if sieve[i]]\n\nprint(primes(100))\n",
    ),
    (
        "words",
        "from collections import Counter\n\ntext = 'the cat and the dog'\nfor word, count in Counter(text.split()).most_common(2):\n    print('%-5s %d' % (word, count))\n",
    ),
    (
        "json",
        "import json\n\ndata = json.loads('{\"a\": [1, 2]}')\ntry:\n    json.loads('x')\nexcept json.JSONDecodeError as error:\n    print(error.msg, type(error).__name__)\nresult = data\n",
    ),
    (
        "json's parts",
        "import json.decoder\nfrom json import JSONEncoder\njson.decoder.JSONDecoder()\n",
    ),
    (
        "dates",
        "from datetime import datetime, timedelta, timezone\nimport datetime as dt\n\nday = datetime(2024, 2, 29, tzinfo=timezone.utc)\nprint(day.isoformat(), day + timedelta(days=1), dt.time(1, 2), day.strftime('%Y'))\nprint(datetime.strptime('2024', '%Y'))\n",
    ),
    (
        "regular expressions",
        "import re\n\npattern = re.compile(r'(?P<key>\\w+)=(\\d+)')\nfor match in pattern.finditer('a=1 b=2'):\n    print(match.group('key'), match[2])\nprint(re.sub('a', lambda m: m.group().upper(), 'banana'))\n",
    ),
    (
        "a class",
        "class Point:\n    '''A point.'''\n\n    __slots__ = ('x', 'y')\n\n    def __init__(self, x, y):\n        self.x, self.y = x, y\n\n    def __add__(self, other):\n        return Point(self.x + other.x, self.y + other.y)\n\n    def __repr__(self):\n        return f'{type(self).__name__}({self.x}, {self.y})'\n\n    def __eq__(self, other):\n        return isinstance(other, Point) and (self.x, self.y) == (other.x, other.y)\n\n    __hash__ = None\n\nprint(Point(1, 2) + Point(3, 4))\n",
    ),
    (
        "a family of classes",
        "class Base:\n    def __init__(self, name, **rest):\n        super().__init__(**rest)\n        self._name = name\n        self.__secret = 1\n\n    @property\n    def name(self):\n        return self._name\n\n    @name.setter\n    def name(self, value):\n        self._name = value\n\nclass Child(Base):\n    def __init__(self):\n        Base.__init__(self, 'x')\n        super().__init__('child')\n\n    @classmethod\n    def make(cls):\n        return cls()\n\n    @staticmethod\n    def help_text():\n        return Child.__doc__\n\nprint(Child.make().name)\n",
    ),
    (
        "data classes",
        "from __future__ import annotations\n\nfrom dataclasses import dataclass, field\nfrom typing import Optional\n\n@dataclass(order=True)\nclass Item:\n    type: str\n    id: int = 0\n    tags: list[str] = field(default_factory=list)\n    parent: Optional['Item'] = None\n\n    def __post_init__(self):\n        self.id += 1\n\nprint(Item('a'), sorted([Item('b'), Item('a')]))\n",
    ),
    (
        "an enumeration",
        "import enum\nfrom enum import Enum, auto\n\nclass Color(Enum):\n    RED = auto()\n    BLUE = auto()\n\n    @classmethod\n    def _missing_(cls, value):\n        return cls.RED\n\nclass Bits(enum.IntFlag):\n    A = 1\n\nprint(Color(7), Color['RED'].value, Color.RED._value_, [c.name for c in Color], Bits.A)\n",
    ),
    (
        "functions of functions",
        "import functools\nimport itertools\nfrom functools import wraps, lru_cache, partial, reduce\n\ndef logged(f):\n    @wraps(f)\n    def inner(*args, **kwargs):\n        print(f.__name__)\n        return f(*args, **kwargs)\n    return inner\n\n@lru_cache(maxsize=None)\ndef fib(n):\n    return n if n < 2 else fib(n - 1) + fib(n - 2)\n\n@logged\ndef add(a, b=2, /, *, c=3):\n    return a + b + c\n\nprint(add(1), fib(30), reduce(lambda a, b: a * b, range(1, 6)), partial(add, 1)())\nprint(list(itertools.chain.from_iterable([[1], [2]])), functools.cmp_to_key(lambda a, b: 0))\n",
    ),
    (
        "generators",
        "def count(n):\n    total = 0\n    while total < n:\n        received = yield total\n        total += received or 1\n\ndef both():\n    yield from count(3)\n    return 4\n\nprint(list(both()), sum(x * x for x in range(5)), next(iter([1])))\n",
    ),
    (
        "a context of its own",
        "class Timer:\n    def __enter__(self):\n        return self\n\n    def __exit__(self, kind, error, trace):\n        print(kind is None)\n        return False\n\nwith Timer() as a, Timer() as b:\n    pass\n",
    ),
    (
        "errors",
        "class Oops(Exception):\n    def __str__(self):\n        return 'oops: ' + super().__str__()\n\ntry:\n    raise Oops('x') from ValueError(1)\nexcept (Oops, KeyError) as error:\n    print(error, error.args)\nelse:\n    pass\nfinally:\n    print('done')\nassert True, 'fine'\n",
    ),
    (
        "a match",
        "from collections import namedtuple\n\nPoint = namedtuple('Point', 'x y')\ndef where(p):\n    match p:\n        case Point(x=0, y=0):\n            return 'here'\n        case Point(x, y) if x > 0:\n            return x\n        case [1, *rest] | {'a': rest}:\n            return rest\n        case {'b': 1, **more}:\n            return more\n        case str() as s:\n            return s\n        case None | True | 'x' | -1:\n            return 0\n        case _:\n            return p._replace(x=1)\n\nprint(where(Point(0, 0)))\n",
    ),
    (
        "classes in patterns",
        "from dataclasses import dataclass\nimport dataclasses\nfrom typing import NamedTuple\n\n@dataclass\nclass Point:\n    x: int\n    y: int\n\n@dataclasses.dataclass(frozen=True)\nclass Deep(Point):\n    z: int = 0\n\nclass Row(NamedTuple):\n    a: int\n\ndef f(v):\n    match v:\n        case Deep(x, y, z) | Point(x, y, z=z):\n            return x\n        case Row(a):\n            return a\n        case int(n) | float(n):\n            return n\n        case str(s) | tuple(s):\n            return s\n        case ValueError(args=args):\n            return args\n    return type(v)(v)\n",
    ),
    (
        "types",
        "import typing\nfrom typing import Any, Callable, Generic, NamedTuple, Protocol, TypedDict, TypeVar, Union\nfrom collections.abc import Iterable\n\nT = TypeVar('T')\n\nclass Row(NamedTuple):\n    a: int\n    b: typing.List[str] = []\n\nclass Box(Generic[T]):\n    def __init__(self, item: T) -> None:\n        self.item = item\n\n    def __class_getitem__(cls, item):\n        return cls\n\ndef make(kind: type, other: type[int], f: Callable[[Any], T], xs: Iterable[T]) -> type:\n    return kind\n\nif typing.TYPE_CHECKING:\n    pass\nprint(isinstance(int, type), type(1) is int, type(1) == int, Row(1)._asdict())\n",
    ),
    (
        "coroutines",
        "async def work(n):\n    return n\n\nasync def main():\n    async for x in nothing():\n        pass\n    async with a as b:\n        pass\n    return [await work(i) for i in range(3)]\n",
    ),
    (
        "a simulation",
        "import random\nfrom decimal import Decimal, getcontext\nfrom fractions import Fraction\nimport math as m\n\nrandom.seed(1)\nr = random.Random(2)\ninside = sum(m.hypot(r.random(), r.random()) <= 1 for _ in range(1000))\ngetcontext().prec = 5\nprint(4 * inside / 1000, random.choice('abc'), Decimal('1.10') + 1, Fraction(1, 3).numerator, m.pi)\n",
    ),
    (
        "texts",
        "import string\nfrom string import Template, ascii_letters\n\nprint('{} {name:>{width}} {0[a]} {1.real}'.format({'a': 1}, 2, name='x', width=5))\nprint('{{0.__class__}}'.format(), format(3.14159, '.2f'), Template('$a').substitute(a=1))\nprint(string.digits, 'a,b'.split(','), 'x'.encode('utf-8').decode(), '\\x1b[0m', '__class__')\n",
    ),
    (
        "names that look like others",
        "class File:\n    def open(self): return self\n    def compile(self, text): return text\n    def json(self): return {}\n\nf = File()\nf.open().compile(1)\nopened, evaluate, importer, directory = 1, 2, 3, 4\nprint(dict(open=1, dir=2), f.json(), evaluate)\n\n",
    ),
    (
        "the usual end",
        "import json\n\ndef main() -> int:\n    nonlocal_ = 0\n    def inner():\n        nonlocal nonlocal_\n        nonlocal_ += 1\n    inner()\n    print(json.dumps({'n': nonlocal_}, indent=2, sort_keys=True))\n    return 0\n\nif __name__ == '__main__':\n    raise SystemExit(main())\n",
    ),
    (
        "a long sum and a long table",
        concat!(
            "x = (1 + 2 + 3 + 4 + 5 + 6 + 7 + 8 + 9 + 10 + 11 + 12 + 13 + 14 + 15 + 16 + 17 + 18\n",
            "     + 19 + 20 + 21 + 22 + 23 + 24 + 25 + 26 + 27 + 28 + 29 + 30 + 31 + 32 + 33 + 34)\n",
            "table = {'a': [1, 2, {'b': (3, 4, [5, [6, [7]]])}]}\n",
            "y = 1_000_000_007 * 0xffff_ffff_ffff_ffff_ffff\n",
        ),
    ),
    (
        "graphs",
        "from collections import defaultdict, deque\n\ngraph = defaultdict(list)\nfor a, b in [(1, 2), (2, 3), (3, 1)]:\n    graph[a].append(b)\nseen, queue = {1}, deque([1])\nwhile queue:\n    node = queue.popleft()\n    for other in graph[node]:\n        if other not in seen:\n            seen.add(other)\n            queue.append(other)\nelse:\n    print(*seen, sep=', ', end='!\\n')\ndel graph[1]\n",
    ),
];

#[test]
fn ordinary_programs_pass() {
    assert!(PROGRAMS.len() >= 20);
    for (what, text) in PROGRAMS {
        let report = checked(text);
        assert!(report.findings.is_empty(), "{what}: {:#?}", lines(&report));
    }
}
