import argparse
import ast
import collections
import functools
import io
import json
import logging
import operator
import random
import re
import sqlite3
import sys
import textwrap
import threading
import types

import pandas as pd
import polars as pl
import pytest

from headwater.client.capture.code import code_digest

BASE = {
    "steps.py": """
        import math
        import helpers
        from helpers import scale
        from pkg.deep import weigh

        RATE = 0.1

        def unrelated(x):
            return x - 1

        def shift(x):
            return x + RATE

        def train(x, y=2):
            values = [scale(v) for v in x]
            return sum(map(shift, values)) + helpers.clean(y) + weigh(x) + math.pi
    """,
    "helpers.py": """
        FACTOR = 3

        def scale(v):
            return v * FACTOR

        def clean(v):
            return _strip(v)

        def _strip(v):
            return v

        def unused(v):
            return 1
    """,
    "pkg/__init__.py": "",
    "pkg/deep.py": """
        from pkg import tables

        class Base:
            def share(self):
                return 1

        class Weight(Base):
            def __init__(self, n):
                self.n = n

            def value(self):
                return self.n * tables.DENSITY["iron"] * self.share()

        def weigh(x):
            return Weight(len(x)).value()
    """,
    "pkg/tables.py": """
        DENSITY = {"iron": 7.8, "lead": 11.3}
        OTHER = {"tin": 7.2}
    """,
}

BASE = {name: textwrap.dedent(text) for name, text in BASE.items()}


def edited(name, old, new):
    assert old in BASE[name]
    return {**BASE, name: BASE[name].replace(old, new)}


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("steps.py", "return x - 1", "return x - 2"),
        ("steps.py", "def unrelated(x):", "def added():\n    pass\n\n\ndef unrelated(x):"),
        ("helpers.py", "return 1", "return 2"),
        ("pkg/tables.py", '"tin": 7.2', '"tin": 7.3'),
        ("steps.py", "def shift(x):", "# A comment.\ndef shift(x):\n    '''And words.'''\n"),
        ("steps.py", "return x + RATE", "return (x\n        + RATE)  # Here too."),
        ("steps.py", "def train(x, y=2):", "def train(x: list[int], y: int = 2) -> float:"),
        ("steps.py", "values = [", "values: list[float] = ["),
        ("helpers.py", "FACTOR = 3", "FACTOR = 3  # Kept.\nOTHER = 4"),
        ("pkg/tables.py", '{"iron": 7.8, "lead": 11.3}', '{\n    "lead": 11.3,\n    "iron": 7.8,\n}'),
        ("pkg/deep.py", "class Base:", "class Base:\n    '''The first.'''\n"),
    ],
    ids=["unrelated function", "function added before", "unused helper", "unused table",
         "comment and docstring", "layout", "annotations", "annotated variable", "constant added",
         "order of a dict", "class docstring"],
)  # fmt: skip
def test_what_changes_nothing_keeps_the_digest(project, name, old, new):
    assert project.digest(edited(name, old, new)) == project.digest(BASE)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("steps.py", "+ math.pi", "- math.pi"),
        ("steps.py", "y=2", "y=3"),
        ("steps.py", "return x + RATE", "return x - RATE"),
        ("steps.py", "RATE = 0.1", "RATE = 0.2"),
        ("steps.py", "from helpers import scale", "from helpers import clean as scale"),
        ("steps.py", "import math", "import cmath as math"),
        ("helpers.py", "FACTOR = 3", "FACTOR = 4"),
        ("helpers.py", "FACTOR = 3", "FACTOR = 3.0"),
        ("helpers.py", "return v\n", "return -v\n"),
        ("pkg/deep.py", "len(x)", "len(x) + 1"),
        ("pkg/deep.py", "return 1", "return 2"),
        ("pkg/deep.py", "self.n = n", "self.n = n + 1"),
        ("pkg/tables.py", "7.8", "7.9"),
    ],
    ids=["itself", "default", "helper", "constant", "which helper", "which module", "constant elsewhere",
         "type of a constant", "indirect helper", "through a class", "base class", "constructor",
         "table of a module of a package"],
)  # fmt: skip
def test_what_the_step_uses_changes_the_digest(project, name, old, new):
    assert project.digest(edited(name, old, new)) != project.digest(BASE)


def test_the_parts_say_which_one_changed(project):
    old, new = project.code(BASE), project.code(edited("helpers.py", "return v\n", "return -v\n"))

    assert {part.partition("=")[0] for part in set(old.parts) ^ set(new.parts)} == {"helpers._strip"}
    assert {part.partition("=")[0] for part in old.parts} == {
        "steps.train", "steps.shift", "steps.RATE", "helpers.scale", "helpers.clean", "helpers._strip",
        "helpers.FACTOR", "pkg.deep.weigh", "pkg.deep.Weight", "pkg.deep.Base", "pkg.tables.DENSITY",
    }  # fmt: skip


def test_the_source_is_that_of_the_step(project):
    code = project.code("""
        import functools

        def logged(f):
            @functools.wraps(f)
            def call(*args):
                return f(*args)
            return call

        @logged
        def train(x):
            return x  # Words stay.
        """)

    assert code.source == "@logged\ndef train(x):\n    return x  # Words stay."
    assert code.digest.startswith("sha256:")
    assert len(code.digest) == 7 + 64


def variants(before, *afters):
    return [(before, after) for after in afters]


CLOSURE = """
    def make(rate, extra={extra}):
        def train(x):
            return x * rate + extra
        return train
    train = make({rate})
"""
DECORATED = """
    import functools
    def retry(times):
        def decorate(f):
            @functools.wraps(f)
            def call(*args):
                for _ in range(times):
                    {body}
            return call
        return decorate
    TIMES = 2
    @retry(TIMES)
    def train(x):
        return x {sign} 1
"""
PLAIN_WRAPPER = """
    def twice(f):
        return lambda x: f(f(x)) {sign} 1
    @twice
    def train(x):
        return x {inner} 1
"""
PARTIAL = """
    from functools import partial
    def fit(x, rate, seed=0):
        return x {sign} rate
    train = partial(fit, rate={rate}, {more})
"""
CALLABLE = """
    class Trainer:
        def __init__(self, rate):
            self.rate = rate
        def __call__(self, x):
            return self.step(x)
        def step(self, x):
            return x {sign} self.rate
    train = Trainer({rate})
"""
METHOD = """
    class Trainer:
        SPEED = {speed}
        def __init__(self, rate):
            self.rate = rate
        def fit(self, x):
            return self.step(x) * self.SPEED
        def step(self, x):
            return x {sign} self.rate
    train = Trainer({rate}).fit
"""
CLASS_METHOD = """
    class Trainer:
        @classmethod
        def fit(cls, x):
            return cls.step(x)
        @staticmethod
        def step(x):
            return x {sign} 1
    train = Trainer.fit
"""
LAMBDAS = """
    helper = lambda v: v {helper} 1
    other, train = lambda x: x + {other}, lambda x: helper(x) {sign} 2
"""
GENERATOR = """
    def rows(n):
        yield from range(n {sign} 1)
    def train(n):
        for row in rows(n):
            yield row
"""
ASYNC = """
    async def fetch(n):
        return n {sign} 1
    async def train(n):
        return await fetch(n)
"""
RECURSIVE = """
    def even(n):
        return n == 0 or odd(n - 1)
    def odd(n):
        return n != 0 and even(n {sign} 1)
    class Node:
        def grow(self):
            return Node()
    def train(n):
        Node().grow()
        return even(n) or train(n - 1)
"""
NESTED = """
    def helper(x):
        return x {sign} 1
    def train(x):
        def inner(y):
            class Local:
                def run(self):
                    return [helper(z) for z in y]
            return Local().run()
        return inner(x)
"""
REGISTRY = """
    STEPS = {{}}
    def register(f):
        STEPS[f.__name__] = f
        return f
    @register
    def one(x):
        return x {sign} 1
    def train(x, name="one"):
        return STEPS[name](x)
"""
DATACLASS = """
    from dataclasses import dataclass
    @dataclass(frozen=True)
    class Settings:
        rate: float = {default}
        def scaled(self):
            return self.rate {sign} 1
    SETTINGS = Settings({rate})
    def train(x):
        return x * SETTINGS.scaled()
"""
ENUM = """
    import enum
    class Kind(enum.Enum):
        LOW = {low}
        HIGH = 10
    DEFAULT = Kind.{member}
    def train(x):
        return x if DEFAULT is Kind.LOW else Kind.HIGH.value
"""
OPAQUE = """
    import threading, random
    def make(seed):
        return random.Random(seed {sign} 1)
    LOCK = threading.Lock()
    SOURCE = make({seed})
    def train(x):
        with LOCK:
            return SOURCE.random()
"""
LRU = """
    import functools
    @functools.lru_cache(maxsize={size})
    def helper(x):
        return x {sign} 1
    def train(x):
        return helper(x)
"""
SINGLEDISPATCH = """
    import functools
    @functools.singledispatch
    def helper(x):
        return 0
    @helper.register
    def _(x: {kind}):
        return x {sign} 1
    def train(x):
        return helper(x)
"""
NAMED_TUPLE = """
    from typing import NamedTuple
    class Point(NamedTuple):
        x: int = 1
        def far(self):
            return self.x {sign} 1
    POINT = Point({x})
    def train(x):
        return POINT.far()
"""
PROPERTY = """
    class Trainer:
        @property
        def rate(self):
            return helper()
    def helper():
        return {value}
    def train(x):
        return Trainer().rate
"""
KEYWORD_DEFAULT = """
    RATE = {rate}
    def train(x, *, rate=RATE):
        return x * rate
"""


@pytest.mark.parametrize(
    ("template", "values", "edits"),
    [
        (CLOSURE, {"rate": "2", "extra": "1"}, [{"rate": "3"}, {"extra": "2"}, {"rate": "2.0"}]),
        (DECORATED, {"body": "return f(*args)", "sign": "+"}, [{"body": "f(*args)"}, {"sign": "-"}]),
        (PLAIN_WRAPPER, {"sign": "+", "inner": "+"}, [{"sign": "-"}, {"inner": "-"}]),
        (PARTIAL, {"sign": "+", "rate": "1", "more": ""}, [{"sign": "-"}, {"rate": "2"}, {"more": "seed=3"}]),
        (CALLABLE, {"sign": "+", "rate": "1"}, [{"sign": "-"}, {"rate": "2"}]),
        (METHOD, {"sign": "+", "rate": "1", "speed": "5"}, [{"sign": "-"}, {"rate": "2"}, {"speed": "6"}]),
        (CLASS_METHOD, {"sign": "+"}, [{"sign": "-"}]),
        (LAMBDAS, {"sign": "+", "helper": "+", "other": "1"}, [{"sign": "-"}, {"helper": "-"}]),
        (GENERATOR, {"sign": "+"}, [{"sign": "-"}]),
        (ASYNC, {"sign": "+"}, [{"sign": "-"}]),
        (RECURSIVE, {"sign": "-"}, [{"sign": "+"}]),
        (NESTED, {"sign": "-"}, [{"sign": "+"}]),
        (REGISTRY, {"sign": "-"}, [{"sign": "+"}]),
        (DATACLASS, {"sign": "-", "default": "1.0", "rate": ""},
         [{"sign": "+"}, {"default": "2.0"}, {"rate": "3.0"}]),
        (ENUM, {"low": "1", "member": "LOW"}, [{"low": "2"}, {"member": "HIGH"}]),
        (OPAQUE, {"sign": "+", "seed": "1"}, [{"sign": "-"}, {"seed": "2"}]),
        (LRU, {"sign": "+", "size": "8"}, [{"sign": "-"}, {"size": "9"}]),
        (SINGLEDISPATCH, {"sign": "+", "kind": "int"}, [{"sign": "-"}, {"kind": "float"}]),
        (NAMED_TUPLE, {"sign": "+", "x": "2"}, [{"sign": "-"}, {"x": "3"}]),
        (PROPERTY, {"value": "1"}, [{"value": "2"}]),
        (KEYWORD_DEFAULT, {"rate": "1"}, [{"rate": "2"}]),
    ],
    ids=["closure", "decorator", "wrapper without wraps", "partial", "callable object", "method",
         "class method",
         "lambdas on one line", "generator", "async", "recursion", "nested", "registry", "dataclass", "enum",
         "without canonical form", "lru_cache", "singledispatch", "named tuple", "property",
         "keyword default"],
)  # fmt: skip
def test_all_shapes_of_functions_are_seen_through(project, template, values, edits):
    first = project.digest(template.format(**values))

    assert project.digest(template.format(**values)) == first
    found = {project.digest(template.format(**{**values, **edit})) for edit in edits}
    assert len(found | {first}) == len(edits) + 1


def test_lambdas_on_one_line_are_told_apart(project):
    module = project.load({"steps.py": "one, two = lambda x: x + 1, lambda x: x + 2\n"})

    assert code_digest(module.one).digest != code_digest(module.two).digest
    if sys.version_info >= (3, 11):
        assert code_digest(module.two).source == "lambda x: x + 2"


def test_another_lambda_of_the_line_does_not_count(project):
    if sys.version_info < (3, 11):
        pytest.skip("before Python 3.11 code objects do not say from which column they are")
    values = {"sign": "+", "helper": "+", "other": "1"}

    assert project.digest(LAMBDAS.format(**values)) == project.digest(
        LAMBDAS.format(**{**values, "other": "9"})
    )


def test_what_a_memo_or_a_counter_holds_does_not_count(project):
    module = project.load(
        {
            "steps.py": """
            CALLS = 0
            _memo = {}
            _client = None

            def client():
                global _client
                if _client is None:
                    _client = object()
                return _client

            def helper(x):
                global CALLS
                CALLS += 1
                client()
                if x not in _memo:
                    _memo[x] = x * 2
                return _memo[x]

            def train(x, seen=[]):
                seen.append(x)
                return helper(x)
            """
        }
    )
    before = code_digest(module.train)
    module.train(3)

    assert code_digest(module.train) == before


def test_a_setting_that_a_function_sets_counts(project):
    module = project.load(
        {
            "steps.py": """
            RATE = 1
            OPTIONS = {"depth": 1}

            def configure(rate, depth):
                global RATE
                RATE = rate
                OPTIONS["depth"] = depth

            def train(x):
                return x * RATE * OPTIONS["depth"]
            """
        }
    )
    before = code_digest(module.train).digest
    module.configure(2, 1)
    second = code_digest(module.train).digest
    module.configure(2, 2)

    assert len({before, second, code_digest(module.train).digest}) == 3


LOCAL_IMPORT = {
    "steps.py": """
        def train(x):
            from lib.helpers import clean
            from lib import helpers as h
            import lib.more
            return clean(x) + h.scale(x) + lib.more.add(x)
    """,
    "lib/__init__.py": "",
    "lib/helpers.py": """
        from .base import *
        RATE = 2
        def clean(x):
            return _inner(x)
        def _inner(x):
            return x + shared(x)
        def scale(x):
            return x * RATE
        def unused(x):
            return 1
    """,
    "lib/base.py": """
        def shared(x):
            return 5
    """,
    "lib/more.py": """
        raise_if_imported = True
        def add(x):
            return x + 1
        def idle(x):
            return 1
    """,
}


@pytest.mark.parametrize(
    ("edit", "is_same"),
    [
        (("lib/helpers.py", "x + shared(x)", "x - shared(x)"), False),
        (("lib/helpers.py", "RATE = 2", "RATE = 3"), False),
        (("lib/base.py", "return 5", "return 6"), False),
        (("lib/more.py", "x + 1", "x + 2"), False),
        (("lib/helpers.py", "return 1", "return 2"), True),
        (("lib/more.py", "return 1", "return 2"), True),
        (("lib/base.py", "return 5", "return 5  # Five."), True),
    ],
    ids=["helper of a helper", "constant", "star import", "attribute of a package", "unused",
         "unused attribute", "comment"],
)  # fmt: skip
def test_imports_within_a_function_are_followed(project, monkeypatch, edit, is_same):
    def digest(files):
        module = project.load(files)
        monkeypatch.syspath_prepend(project.last)
        found = code_digest(module.train).digest
        assert "lib" not in sys.modules  # Read, and not imported.
        module.train(1)
        assert code_digest(module.train).digest == found
        for loaded in [loaded for loaded in sys.modules if loaded.partition(".")[0] == "lib"]:
            del sys.modules[loaded]
        return found

    name, old, new = edit
    other = {**LOCAL_IMPORT, name: LOCAL_IMPORT[name].replace(old, new)}

    assert (digest(other) == digest(LOCAL_IMPORT)) is is_same


def test_an_edit_after_the_import_counts_by_what_runs(project):
    module = project.load({"steps.py": "def train(x):\n    return x + 1\n"})
    before = code_digest(module.train)
    (project.last / "steps.py").write_text("def train(x):\n    return x + 22222\n")

    stale = code_digest(module.train)

    assert stale.digest != project.digest("def train(x):\n    return x + 22222\n")
    assert stale.digest != before.digest
    assert stale.source is None


def test_functions_made_by_exec_count_by_their_bytecode():
    def made(text):
        namespace = {"__name__": "made_by_exec"}
        exec(text, namespace)
        return code_digest(namespace["f"])

    first = made("def f(x):\n    return x in {'a', 'b'} or g(x)\ndef g(x): return 1")

    assert first.source is None
    assert first == made("\n\ndef f(x):\n    return x in {'a', 'b'} or g(x)\ndef g(x): return 1")
    assert first.digest != made("def f(x):\n    return x in {'a', 'c'} or g(x)\ndef g(x): return 1").digest
    assert first.digest != made("def f(x):\n    return x in {'a', 'b'} or g(x)\ndef g(x): return 2").digest


@pytest.mark.parametrize(
    "function",
    [len, "a-b".split, operator.itemgetter(1), functools.partial(max, 3), json.dumps, ast.parse, dict.get,
     dict,
     functools.partial(json.dumps, indent=2), [].append, functools.lru_cache(json.dumps)],
    ids=["builtin", "bound builtin", "callable object", "partial", "function", "other module", "method",
         "class", "partial with a keyword", "method of a list", "cached"],
)  # fmt: skip
def test_what_nobody_here_wrote_counts_by_name_and_version(function):
    code = code_digest(function)

    assert code == code_digest(function)
    assert not [part for part in code.parts if part.startswith("(")]


def test_installed_functions_are_told_apart():
    functions = [
        len,
        max,
        json.dumps,
        json.loads,
        functools.partial(json.dumps, indent=2),
        "a".split,
        "b".split,
    ]

    assert len({code_digest(function).digest for function in functions}) == len(functions)


def test_own_decorators_of_headwater_do_not_count(project):
    text = """
        def main():
            class run:
                @staticmethod
                def step(*args, **options):
                    return lambda f: f
            {decorator}
            def train(x):
                return x
            return train
        train = main()
    """

    assert project.digest(text.format(decorator="@run.step('a')")) == project.digest(
        text.format(decorator="@run.step('b', cache='off')")
    )


def test_the_place_of_the_checkout_does_not_count(project):
    text = """
        from pathlib import Path
        import os
        ROOT = Path(__file__).parent
        TABLE = {"data": [os.path.join(os.path.dirname(__file__), "data.csv")]}
        def train(x):
            return ROOT / "a", TABLE, __file__
    """

    assert project.digest(text) == project.digest(text)
    assert project.digest(text) != project.digest(text.replace("data.csv", "more.csv"))


def test_an_installed_package_counts_by_name(project):
    files = {
        "steps.py": """
            import os, sys
            sys.path.append(os.path.join(os.path.dirname(__file__), "{directory}"))
            from thing import f
            def train(x):
                return f(x)
        """,
        "{directory}/thing.py": """
            def f(x):
                return {value}
        """,
    }

    def digest(directory, value):
        written = {
            name.replace("{directory}", directory): text.replace("{directory}", directory).replace(
                "{value}", value
            )
            for name, text in files.items()
        }
        path = list(sys.path)
        try:
            return project.digest(written)
        finally:
            sys.path[:] = path
            del sys.modules["thing"]

    assert digest("site-packages", "1") == digest("site-packages", "2")
    assert digest("vendored", "1") != digest("vendored", "2")


def test_thousands_of_parts_end(project):
    count = 3_000
    lines = [f"def f{n}(x):\n    return f{n + 1}(x) + {n}" for n in range(count)]
    text = "\n".join([*lines, f"def f{count}(x):\n    return x", "def train(x):\n    return f0(x)"])

    code = project.code(text)

    assert len(code.parts) == 2_001
    assert code.parts[-1] == "(1 more)"
    assert project.digest(text + " + 1") != code.digest
    assert project.digest(text.replace("+ 2999", "+ 5")) != code.digest


def test_code_that_defends_itself_gets_a_digest_of_its_own():
    class Hostile:
        def __getattribute__(self, name):
            raise RuntimeError(name)

        def __call__(self):
            pass

    first, second = code_digest(Hostile()), code_digest(Hostile())

    assert first.digest != second.digest
    assert first.parts == ("(unreadable: RuntimeError)",)


SETTINGS = """
    CONFIG = {"k": 1}
    LEVEL = 1

    def configure(**given):
        CONFIG.update(given)
        return CONFIG["k"]

    def raise_level():
        global LEVEL
        LEVEL += 1

    def train():
        return CONFIG["k"] + LEVEL
"""


@pytest.mark.parametrize("change", ["configure", "raise_level"])
def test_what_somebody_else_reads_and_changes_counts_by_its_value(project, change):
    module = project.load({"steps.py": SETTINGS})
    before = code_digest(module.train).digest

    module.configure(k=2) if change == "configure" else module.raise_level()

    assert code_digest(module.train).digest != before


def test_a_log_that_is_only_written_does_not_count(project):
    module = project.load(
        {
            "steps.py": """
                from logs import KEPT

                LOG = []

                def train():
                    LOG.append(1)
                    KEPT["train"] = 1
                    return 1

                def read():
                    LOG.append(1)
                    return count()

                def count():
                    return len(LOG)

                def closing():
                    log = []

                    def inner():
                        log.append(1)
                        return 1

                    return inner
            """,
            "logs.py": "KEPT = {}",
        }
    )
    inner = module.closing()
    before = [code_digest(function).digest for function in (module.train, inner, module.read)]

    module.train()
    inner()
    after = [code_digest(function).digest for function in (module.train, inner, module.read)]

    assert after[:2] == before[:2]
    assert after[2] != before[2]


@pytest.mark.parametrize(
    ("made", "change"),
    [
        ("list(range(100_001))", "BIG[5] = -1"),
        ("dict.fromkeys(range(100_001))", "BIG[5] = -1"),
        ("set(range(100_001))", "BIG.remove(5); BIG.add(-1)"),
        ("[lambda: 1] + list(range(100_001))", "BIG[5] = -1"),
    ],
)
def test_a_value_of_very_many_items_counts_by_all_of_them(project, made, change):
    text = f"BIG = {made}\ndef train():\n    return sum(BIG)\n"
    module = project.load({"steps.py": text})
    before = code_digest(module.train).digest
    again = code_digest(module.train).digest

    exec(change, vars(module))

    assert code_digest(module.train).digest != before
    # What cannot be pickled has a digest of its own each time.
    assert (again == before) == ("lambda" not in made)


@pytest.mark.parametrize("kind", [argparse.Namespace, types.SimpleNamespace])
def test_options_of_a_command_line_count(kind):
    def digest_with(rate):
        options = kind(rate=rate)
        return code_digest(lambda x: x * options.rate).digest

    assert digest_with(1) != digest_with(2)
    assert digest_with(1) == digest_with(1)


OF_NO_PROJECT = {
    "pattern": (lambda: re.compile("1"), lambda: re.compile("2")),
    "flags of a pattern": (lambda: re.compile("a"), lambda: re.compile("a", re.IGNORECASE)),
    "method of a pattern": (lambda: re.compile("1").findall, lambda: re.compile("2").findall),
    "slice": (lambda: slice(1, 5), lambda: slice(1, 6)),
    "getter": (lambda: operator.itemgetter(0), lambda: operator.itemgetter(1)),
    "buffer": (lambda: io.BytesIO(b"1"), lambda: io.BytesIO(b"2")),
    "random numbers": (lambda: random.Random(1), lambda: random.Random(2)),
    "table": (lambda: pd.DataFrame({"a": [1]}), lambda: pd.DataFrame({"a": [2]})),
    "names of columns": (lambda: pd.DataFrame({"a": [1]}), lambda: pd.DataFrame({"b": [1]})),
    "column": (lambda: pd.Series([1, None]), lambda: pd.Series([2, None])),
    "method of a table": (
        lambda: pd.DataFrame({"a": [1]}).merge,
        lambda: pd.DataFrame({"a": [2]}).merge,
    ),
    "tables in a list": (lambda: [pd.Series([1])], lambda: [pd.Series([2])]),
    "set in an object": (
        lambda: collections.UserList([{"a", "b"}, pd.Series([1])]),
        lambda: collections.UserList([{"a", "c"}, pd.Series([1])]),
    ),
    "polars": (lambda: pl.DataFrame({"a": [1]}), lambda: pl.DataFrame({"a": [2]})),
}
BINDS = """
    class Model:
        def __init__(self, value):
            self.value = value

        def train(self, x):
            return x, self.value

    class Marked(set):
        pass

    def train(value, x):
        return x, value

    def closing_over(value):
        def train(x):
            return x, value
        return train

    def with_default(value):
        def train(x, value=value):
            return x, value
        return train
"""


@pytest.mark.parametrize("name", OF_NO_PROJECT)
@pytest.mark.parametrize("binds", ["partial", "closure", "default", "method"])
def test_what_a_function_is_bound_to_counts_by_its_content(binds, name, project):
    module = project.load({"steps.py": BINDS})
    bound = {
        "partial": lambda value: functools.partial(module.train, value),
        "closure": module.closing_over,
        "default": module.with_default,
        "method": lambda value: module.Model(value).train,
    }[binds]
    one, another = OF_NO_PROJECT[name]

    first, again, other = (code_digest(bound(make())) for make in (one, one, another))

    assert first.doubts == other.doubts == ()
    assert first.digest == again.digest != other.digest


def test_a_set_of_a_class_of_the_project_counts_by_its_items(project):
    module = project.load({"steps.py": BINDS})

    assert (
        code_digest(module.closing_over(module.Marked("a"))).digest
        != code_digest(module.closing_over(module.Marked("b"))).digest
    )


def test_what_was_put_into_a_variable_without_statement_counts_by_its_content(project):
    module = project.load({"steps.py": "def train(x):\n    return x + TABLE\n"})
    found = []
    for number in (1, 1, 2):
        module.TABLE = pd.Series([number])
        found.append(code_digest(module.train).digest)

    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: (number for number in ()), "builtins.generator', which cannot be pickled (TypeError"),
        (lambda: sqlite3.connect(":memory:"), "sqlite3.Connection', which cannot be pickled (TypeError"),
        (lambda: {"rows": [memoryview(b"1")]}, "builtins.memoryview', which cannot be pickled (TypeError"),
        (lambda: pd.Series(range(9_000_000)), "pandas.Series', which has more than 64 MiB"),
    ],
    ids=["generator", "connection", "view", "large"],
)
def test_of_what_cannot_be_looked_at_it_is_said_that_nobody_knows(make, why, project):
    module = project.load({"steps.py": BINDS})
    value = make()

    first, again = (code_digest(module.closing_over(value)) for _ in range(2))

    (doubt,) = first.doubts
    assert doubt.startswith("value of steps.closing_over.<locals>.train holds an object of type ")
    assert why in doubt
    assert doubt.endswith("so nobody knows whether it changed")
    assert first.digest != again.digest


def test_random_numbers_that_are_drawn_do_not_count(project):
    module = project.load(
        {
            "steps.py": """
            from random import random
            from numpy.random import rand

            def train(x):
                return x + random() + rand()
            """
        }
    )
    before = code_digest(module.train)
    module.train(1)

    assert code_digest(module.train) == before
    assert before.doubts == ()


def test_locks_loggers_and_standard_streams_are_nothing_that_a_step_computes_with(project):
    module = project.load({"steps.py": BINDS})
    held = [threading.Lock(), threading.RLock(), threading.Condition(), logging.getLogger("steps")]

    held += [threading.local(), sys.__stdout__]

    first, again = (code_digest(module.closing_over(held)) for _ in range(2))

    assert (first, first.doubts) == (again, ())
