"""The canonical text of a value: what is alike, what differs, what is refused and how it is named."""

import collections
import dataclasses
import datetime
import enum
import json
import math
import os
import subprocess
import sys
import types
from collections import OrderedDict
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePosixPath, PureWindowsPath
from random import Random
from typing import Any, NamedTuple

import pytest
from fingerprint.values import Notation, python, random_value

from headwater.errors import InvalidRequest
from headwater.fingerprint import MAX_DEPTH, canonical


def text(value: object) -> str:
    return canonical(value, what="parameter")


class Colour(enum.Enum):
    RED = 1
    CRIMSON = RED
    BLUE = 2


class Word(str, enum.Enum):
    A = "a"


class Right(enum.Flag):
    READ = 1
    WRITE = 2


class Point(NamedTuple):
    x: int
    y: int


@dataclasses.dataclass
class Model:
    name: str
    options: dict[str, object] = dataclasses.field(default_factory=dict)


HERE = Model.__module__


def rearranged(value: Any, random: Random) -> Any:
    """``value`` with every mapping in another order, and tuples for lists."""
    if isinstance(value, list):
        return tuple(rearranged(item, random) for item in value)
    if isinstance(value, dict):
        pairs = list(value.items())
        random.shuffle(pairs)
        return {key: rearranged(item, random) for key, item in pairs}
    return value


def test_random_values_keep_their_text_when_mappings_are_rearranged():
    random = Random(1)
    for _ in range(1000):
        value = python(random_value(random))

        assert text(rearranged(value, random)) == text(value)


def _told_apart(notation: Notation) -> Any:
    """Python's own equality on this form is the one that the texts are to have: 1, 1.0 and True differ."""
    kind, *rest = notation
    if kind == "list":
        return (kind, *map(_told_apart, rest[0]))
    if kind == "set":
        return (kind, frozenset(map(_told_apart, rest[0])))
    if kind == "map":
        return (kind, frozenset({_told_apart(key): _told_apart(value) for key, value in rest[0]}.items()))
    if kind == "object":
        return (kind, rest[0], frozenset((name, _told_apart(value)) for name, value in rest[1]))
    return (kind, *rest)


def test_random_values_have_equal_texts_if_and_only_if_they_are_equal():
    random = Random(2)
    notations = [random_value(random, 2) for _ in range(3000)]

    by_text = collections.defaultdict(set)
    by_value = collections.defaultdict(set)
    for notation in notations:
        by_text[text(python(notation))].add(_told_apart(notation))
        by_value[_told_apart(notation)].add(text(python(notation)))

    assert [values for values in by_text.values() if len(values) > 1] == []
    assert [texts for texts in by_value.values() if len(texts) > 1] == []
    assert len(by_text) > 1000


def test_a_value_without_tags_reads_back_as_json():
    value = {"a": [1, 2.5, None, True, "é"], "b": {"c": []}}

    assert json.loads(text(value)) == value


def test_the_seed_of_python_hashes_changes_nothing():
    program = (
        "from headwater.fingerprint import canonical;"
        "print(canonical({'s': {str(n) for n in range(50)}, 'f': frozenset([b'a', 'b', 3, None]),"
        " **{str(n): n for n in range(50)}}, what='parameter'))"
    )

    texts = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            timeout=60,
        ).stdout
        for seed in ("0", "1", "4242")
    }

    assert len(texts) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((1, [2]), [1, (2,)]),
        ({"a": 1, "b": 2}, OrderedDict(b=2, a=1)),
        ({"a": 1}, types.MappingProxyType({"a": 1})),
        ({"a": [1]}, collections.defaultdict(list, a=[1])),
        ([1, 2], collections.deque([1, 2])),
        ({1, 2}, frozenset([2, 1])),
        ({"a", "b"}, {"b": 1, "a": 2}.keys()),
        (b"ab", bytearray(b"ab")),
        (Colour.RED, Colour.CRIMSON),
        (PurePosixPath("a/b"), PureWindowsPath("a\\b")),
        (float("nan"), -math.nan),
        (Fraction(2, 6), Fraction(1, 3)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_alike(one: object, other: object):
    assert text(one) == text(other)


@pytest.mark.parametrize(
    "values",
    [
        [
            1,
            1.0,
            True,
            "1",
            Decimal(1),
            Fraction(1),
            Colour.RED,
            Right.READ,
            1 + 0j,
            {1},
            [1],
            {"1": 1},
            {1: 1},
        ],
        [0, False, 0.0, -0.0, None, "", b"", [], {}, set(), datetime.timedelta(0)],
        ["a", Word.A, b"a", PurePosixPath("a"), ["a"], {"a"}, {"a": None}],
        [
            Decimal("1.5"),
            Decimal("1.50"),
            Decimal("NaN"),
            Decimal("sNaN"),
            Decimal("NaN7"),
            Decimal("-Infinity"),
        ],
        [Point(1, 2), (1, 2), {"x": 1, "y": 2}],
        [Model("a"), {"name": "a", "options": {}}],
        [{"$bytes": "61"}, b"a", {"$$bytes": "61"}, {"$map": [["$bytes", "61"]]}],
        [{"$map": [["a", 1], [1, 2]]}, {"a": 1, 1: 2}],
        [{Word.A: 1}, {"a": 1}],
        [datetime.datetime(2026, 1, 31), datetime.date(2026, 1, 31), "2026-01-31"],
        [
            datetime.datetime(2026, 7, 1, 12),
            datetime.datetime(2026, 7, 1, 12, tzinfo=datetime.timezone.utc),
            datetime.datetime(2026, 7, 1, 14, tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
        ],
        [[[1], 2], [[1, 2]], [1, [2]]],
        ["é", "e\u0301"],
        [range(3), [0, 1, 2]],
    ],
    ids=lambda values: type(values[0]).__name__,
)
def test_all_different(values: list[object]):
    assert len({text(value) for value in values}) == len(values)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Right.READ | Right.WRITE, f'{{"$enum":["{HERE}.Right",3]}}'),
        (Point(1, 2), f'{{"$object":["{HERE}.Point",{{"x":1,"y":2}}]}}'),
        (
            Model("a", {"in": Model("b")}),
            f'{{"$object":["{HERE}.Model",{{"name":"a","options":{{"in":'
            f'{{"$object":["{HERE}.Model",{{"name":"b","options":{{}}}}]}}}}}}]}}',
        ),
        (
            datetime.time(1, 2, 3, 4, tzinfo=datetime.timezone(datetime.timedelta(hours=-3, minutes=-30))),
            '{"$time":"01:02:03.000004-03:30"}',
        ),
        (datetime.timedelta.max, '{"$timedelta":86399999999999999999}'),
    ],
    ids=["flags", "named tuple", "dataclasses", "time with offset", "longest duration"],
)
def test_forms_that_have_no_vector(value: object, expected: str):
    assert text(value) == expected


def test_an_integer_of_any_size_is_written_out():
    assert text(10**5000) == "1" + "0" * 5000
    assert text(-(10**5000)) == "-1" + "0" * 5000


def test_models_of_pydantic_keep_what_a_subclass_adds_and_lose_what_they_exclude():
    pydantic = pytest.importorskip("pydantic")

    class Base(pydantic.BaseModel):
        depth: int
        client: object = pydantic.Field(default=None, exclude=True)

    class More(Base):
        rate: float

    class Outer(pydantic.BaseModel):
        inner: Base

    name = f"{HERE}.{Base.__qualname__}"
    assert text(Base(depth=3, client=print)) == f'{{"$object":["{name}",{{"depth":3}}]}}'
    assert text(Outer(inner=More(depth=3, rate=0.5))) != text(Outer(inner=More(depth=3, rate=0.6)))


def test_classes_of_attrs_are_objects_with_fields():
    attrs = pytest.importorskip("attrs")
    made = attrs.make_class("Made", ["a", "b"])
    made.__module__ = "shop"

    assert text(made(1, [2])) == '{"$object":["shop.Made",{"a":1,"b":[2]}]}'


def test_numpy_is_written_alike_whatever_the_layout_in_memory():
    np = pytest.importorskip("numpy")
    rows = np.arange(6).reshape(2, 3)

    assert text(np.asfortranarray(rows)) == text(rows)
    assert text(rows.astype(">i8")) == text(rows.astype("<i8"))
    assert text(np.array([0.5])[::-1]) == text(np.array([0.5]))
    assert text(rows.astype("int32")) != text(rows.astype("int64"))
    assert text(rows.T) != text(rows)
    assert text(np.zeros((0, 3))) != text(np.zeros((3, 0)))


def test_scalars_of_numpy_differ_from_plain_ones():
    np = pytest.importorskip("numpy")

    assert text(np.float64(0.5)) == '{"$numpy":["float64",0.5]}'
    assert text(np.bool_(True)) == '{"$numpy":["bool",true]}'
    assert text({np.str_("a"): 1}) == '{"$map":[[{"$numpy":["str32","a"]},1]]}'


@pytest.mark.parametrize(
    "make",
    [
        lambda np: np.ma.array([1, 2], mask=[0, 1]),
        lambda np: np.longdouble(1),
        lambda np: np.array([1], dtype="longdouble"),
        lambda np: np.array([(1, 2)], dtype=[("a", "i4"), ("b", "i4")]),
        lambda np: np.dtype("int64"),
        lambda np: np.random.default_rng(1),
    ],
    ids=["masked", "longdouble", "longdoubles", "records", "dtype", "generator"],
)
def test_what_means_more_than_its_numbers_is_refused(make: Any):
    np = pytest.importorskip("numpy")
    if np.dtype("longdouble").itemsize == 8:
        pytest.skip("longdouble is double on this platform")

    with pytest.raises(InvalidRequest, match="has no canonical form"):
        text(make(np))


def test_the_nanoseconds_of_pandas_are_refused_and_its_other_times_are_not():
    pd = pytest.importorskip("pandas")

    assert text(pd.Timestamp("2026-01-31T12:00:00")) == text(datetime.datetime(2026, 1, 31, 12))
    for value in (pd.Timestamp("2026-01-31T12:00:00.000000001"), pd.NaT, pd.Timedelta(1), pd.Series([1])):
        with pytest.raises(InvalidRequest):
            text(value)


CYCLE: list[object] = []
CYCLE.append({"again": CYCLE})
PLAIN = "pass plain values, or leave it out of the fingerprint"


@pytest.mark.parametrize(
    ("value", "what", "sentence"),
    [
        (
            {"model": {"callback": test_alike}},
            "parameter",
            f"parameter 'model.callback' is a function, which has no canonical form; {PLAIN}",
        ),
        (
            {"callback": len},
            "parameter 'model'",
            f"parameter 'model.callback' is a function, which has no canonical form; {PLAIN}",
        ),
        (
            [1, {"a": (None, Colour)}],
            "parameter 'model'",
            f"parameter 'model[1].a[1]' is the class '{HERE}.Colour', which has no canonical form; {PLAIN}",
        ),
        (
            object(),
            "parameter 'x'",
            f"parameter 'x' is of type 'builtins.object', which has no canonical form; {PLAIN}",
        ),
        (json, "parameter 'x'", f"parameter 'x' is the module 'json', which has no canonical form; {PLAIN}"),
        (
            memoryview(b"a"),
            "parameter 'x'",
            f"parameter 'x' is of type 'builtins.memoryview', which has no canonical form; {PLAIN}",
        ),
        (
            {(1, len): 2},
            "parameter 'x'",
            f"parameter 'x' has a key that is a function, which has no canonical form; {PLAIN}",
        ),
        (
            Model("a", {"f": {5: len}}),
            "parameter 'x'",
            f"parameter 'x.options.f[5]' is a function, which has no canonical form; {PLAIN}",
        ),
        (CYCLE, "parameter 'x'", f"parameter 'x[0].again' contains itself; {PLAIN}"),
        (
            {"a": ["\ud800"]},
            "parameter 'x'",
            "parameter 'x.a[0]' holds a lone surrogate: '\\ud800'; pass text that is Unicode",
        ),
        (
            {"\udfff": 1},
            "parameter 'x'",
            "parameter 'x' has a key that holds a lone surrogate: '\\udfff'; pass text that is Unicode",
        ),
        (
            {float("nan"): 1, -math.nan: 2},
            "parameter 'x'",
            'parameter \'x\' has two keys that are written alike: {"$float":"NaN"}; pass keys that differ',
        ),
    ],
    ids=[
        "path",
        "path behind a name",
        "index",
        "object",
        "module",
        "view",
        "key",
        "field",
        "cycle",
        "surrogate",
        "surrogate key",
        "equal keys",
    ],
)
def test_a_part_without_a_canonical_form_is_named(value: object, what: str, sentence: str):
    with pytest.raises(InvalidRequest) as refused:
        canonical(value, what=what)

    assert str(refused.value) == sentence


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


def test_nesting_is_bounded():
    assert text(nested(MAX_DEPTH)) == "[" * MAX_DEPTH + "]" * MAX_DEPTH
    with pytest.raises(
        InvalidRequest, match=f"is nested deeper than {MAX_DEPTH} levels; pass flatter values"
    ):
        text(nested(MAX_DEPTH + 1))


def test_a_part_that_stands_in_two_places_is_no_cycle():
    part = {"a": 1}

    assert text([part, part, {"in": part}]) == '[{"a":1},{"a":1},{"in":{"a":1}}]'
