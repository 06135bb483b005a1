"""What decides the outputs of a step, as one canonical text and one digest.

A step's fingerprint is a digest over named components: its code, its parameters, what it reads. The
components are short texts that are stored beside the execution, so that two fingerprints can be told
apart by name. ``docs/fingerprint.md`` says byte for byte how a parameter value becomes text and how
components become a fingerprint, and holds the vectors that any other implementation has to meet.

Two rules decide the details. Values that a step may tell apart get different texts (``1`` and ``1.0``,
a member of an enumeration and its value), because a needless miss costs time and a false hit is wrong.
And what has no obvious text is refused by name rather than written with ``repr``, which holds addresses.
"""

import dataclasses
import datetime
import decimal
import enum
import fractions
import hashlib
import inspect
import json
import pathlib
import re
import types
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from typing import Any, NamedTuple

from headwater.errors import InvalidRequest

#: The rules below. Another set of rules gets another number, so that its fingerprints never meet these.
VERSION = 1

#: How many containers may lie within each other in a value.
MAX_DEPTH = 100

#: A component text with more UTF-8 bytes than this is stored as its digest.
MAX_COMPONENT_BYTES = 256

_PLAIN_NAMES = ("step", "code", "version", "salt")
_NAMED_KINDS = ("parameter", "input", "environment", "output")
_ORDER_OF_DIFFERENCES = ("code", "version", "salt", "environment", "parameter", "input", "output", "step")
_FINGERPRINT = re.compile(r"hw[1-9][0-9]*:[0-9a-f]{64}")
_MADE_AGAIN = re.compile(r"(made:hw[1-9][0-9]*:[0-9a-f]{64}#.+) by [0-9a-f-]{36}", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Difference:
    """A component by name, with its text on both sides; ``None`` where a side lacks it."""

    component: str
    old: str | None
    new: str | None

    @property
    def is_made_again(self) -> bool:
        """Whether it is an object in memory on both sides, made of the same by another execution."""
        return None not in (self.old, self.new) and made_text(self.old or "") == made_text(self.new or "")


def canonical(value: object, *, what: str) -> str:
    """The text of a parameter value: the same for equal values on any machine and in any order.

    ``what`` names the value in an error, with or without its own name: ``"parameter 'model'"`` or
    ``"parameter"``; the path to the part at fault is put behind it ("parameter 'model.callback'").

    Raises:
        InvalidRequest: a part has no canonical form, is nested deeper than ``MAX_DEPTH``, or contains
            itself.

    Source: docs/fingerprint.md, "Values".
    """
    try:
        return _text(value, set())
    except _Refused as refused:
        raise InvalidRequest(f"{_place(what, refused.path)} {refused.reason}") from None
    except RecursionError:
        raise InvalidRequest(f"{what} is nested too deeply to be read here; pass flatter values") from None


def component(text: str) -> str:
    """``text`` itself if it has at most ``MAX_COMPONENT_BYTES`` bytes of UTF-8, otherwise its digest.

    Raises:
        InvalidRequest: the text holds a lone surrogate and so has no UTF-8 form.
    """
    return _shortened(text, "a component's text")


def _shortened(text: str, what: str) -> str:
    data = _utf8(text, what)
    if len(data) <= MAX_COMPONENT_BYTES:
        return text
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def fingerprint(components: Mapping[str, str]) -> str:
    """The fingerprint of ``components`` (texts by name): "hw1:" and 64 hexadecimal digits.

    Names are ``step``, ``code``, ``version``, ``salt``, and ``parameter:``, ``input:``,
    ``environment:`` and ``output:`` with a name behind them. The order does not matter, and a text
    counts as ``component`` gives it.

    Raises:
        InvalidRequest: ``step`` or ``code`` is missing or empty, a name is none of these, or a text is
            not text.

    Source: docs/fingerprint.md, "The fingerprint".
    """
    for name, text in components.items():
        _check_name(name)
        if not isinstance(text, str):
            raise InvalidRequest(f"component {name!r} must be text, not {text!r}; use canonical() to get it")
    for name in ("step", "code"):
        if not components.get(name):
            raise InvalidRequest(
                f"component {name!r} is missing; a fingerprint without it would match unrelated steps"
            )
    pairs = ",".join(
        f"{_encode(name)}:{_encode(_shortened(components[name], f'component {name!r}'))}"
        for name in sorted(components)
    )
    data = f'{{"components":{{{pairs}}},"version":{VERSION}}}'.encode()
    return f"hw{VERSION}:{hashlib.sha256(data).hexdigest()}"


def made_by(fingerprint: str, output: str) -> str:
    """The text of an input whose content is not known yet, or lives in memory only.

    It stands for the output named ``output`` of the step with this ``fingerprint``, so that a change
    there reaches every reader.

    Raises:
        InvalidRequest: ``fingerprint`` is not one, or ``output`` is empty.
    """
    if not _FINGERPRINT.fullmatch(fingerprint):
        raise InvalidRequest(f"{fingerprint!r} is not a fingerprint; expected 'hw{VERSION}:' and 64 digits")
    if not output:
        raise InvalidRequest(f"the output of {fingerprint!r} needs a name")
    return f"made:{fingerprint}#{output}"


def made_text(text: str) -> str:
    """The text of an input, without the attempt where it is in memory and was made again.

    What was computed once more with the same fingerprint may be something else, so it counts as that; to
    those who compare, it is what was made of the same.
    """
    found = _MADE_AGAIN.fullmatch(text)
    return found[1] if found else text


def differences(old: Mapping[str, str], new: Mapping[str, str]) -> list[Difference]:
    """The components whose texts differ, or that one side lacks.

    In the order in which people look for a cause: code, version, salt, environment, parameters, inputs,
    outputs, step, and last what this version does not know; those of one kind by name.
    """
    return [
        Difference(name, old.get(name), new.get(name))
        for name in sorted(old.keys() | new.keys(), key=_place_among_differences)
        if old.get(name) != new.get(name)
    ]


def _place_among_differences(name: str) -> tuple[int, str]:
    kind = name.partition(":")[0]
    known = kind in _ORDER_OF_DIFFERENCES
    return _ORDER_OF_DIFFERENCES.index(kind) if known else len(_ORDER_OF_DIFFERENCES), name


def _check_name(name: object) -> None:
    if not isinstance(name, str):
        raise InvalidRequest(f"a component's name must be text, not {name!r}")
    if name in _PLAIN_NAMES:
        return
    kind, colon, rest = name.partition(":")
    if kind not in _NAMED_KINDS or not colon:
        expected = ", ".join([*_PLAIN_NAMES, *(f"{kind}:<name>" for kind in _NAMED_KINDS)])
        raise InvalidRequest(f"{name!r} is not the name of a component; expected one of {expected}")
    if not rest:
        raise InvalidRequest(f"component {name!r} lacks a name behind the colon")
    _utf8(name, f"the name of component {name!r}")


def _utf8(text: str, what: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise InvalidRequest(
            f"{what} holds a lone surrogate: {text[:80]!r}; pass text that is Unicode"
        ) from None


# Values. Each writer takes the value and the ids of the containers around it, and gives its text.


class _Refused(Exception):
    """A part that has no text. ``path`` collects the way to it, innermost first."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path: list[str] = []


def _place(what: str, innermost_first: Sequence[str]) -> str:
    path = "".join(reversed(innermost_first))
    if not path:
        return what
    if what[-1:] in ("'", '"'):
        return f"{what[:-1]}{path}{what[-1]}"
    return f"{what} {path.removeprefix('.')!r}"


def _text(value: object, within: set[int]) -> str:
    writer = _WRITERS.get(type(value)) or _writer_of(value)
    return writer(value, within)


def _enter(value: object, within: set[int]) -> None:
    if id(value) in within:
        raise _Refused("contains itself; pass plain values, or leave it out of the fingerprint")
    if len(within) >= MAX_DEPTH:
        raise _Refused(f"is nested deeper than {MAX_DEPTH} levels; pass flatter values")
    within.add(id(value))


def _tagged(tag: str, text: str) -> str:
    return f'{{"${tag}":{text}}}'


_encode = json.JSONEncoder(ensure_ascii=False).encode


def _string(value: str, within: Collection[int] = ()) -> str:
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise _Refused(f"holds a lone surrogate: {value[:80]!r}; pass text that is Unicode") from None
    return _encode(value)


def _integer(value: int, within: Collection[int] = ()) -> str:
    if value.bit_length() < 10_000:
        return int.__repr__(value)
    # Python limits how many digits it writes; the decimal module does not.
    return format(decimal.Decimal(value), "f")


def _float(value: float, within: Collection[int] = ()) -> str:
    text = float.__repr__(value)
    if "e" in text:
        return _as_ecmascript(text)
    if text[-1] in "nf":
        return _tagged("float", _encode({"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[text]))
    return text


def _as_ecmascript(text: str) -> str:
    """Python's shortest digits with an exponent, laid out as Number::toString lays them out."""
    mantissa, _, exponent = text.partition("e")
    sign = "-" if mantissa[0] == "-" else ""
    digits = mantissa.lstrip("-").replace(".", "")
    point = int(exponent) + 1
    if len(digits) <= point <= 21:
        return f"{sign}{digits}{'0' * (point - len(digits))}.0"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    rest = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{rest}e{point - 1:+d}"


def _list(value: Iterable[object], within: set[int]) -> str:
    _enter(value, within)
    parts = []
    for index, item in enumerate(value):
        try:
            parts.append(_text(item, within))
        except _Refused as refused:
            refused.path.append(f"[{index}]")
            raise
    within.discard(id(value))
    return f"[{','.join(parts)}]"


def _set(value: Iterable[object], within: set[int]) -> str:
    _enter(value, within)
    parts = sorted(_text(item, within) for item in value)
    within.discard(id(value))
    return _tagged("set", f"[{','.join(parts)}]")


def _mapping(value: Mapping[Any, object], within: set[int]) -> str:
    _enter(value, within)
    if all(type(key) is str or _is_text(key, within) for key in value):
        text = _with_text_keys(value, within)
    else:
        text = _as_pairs(value, within)
    within.discard(id(value))
    return text


def _is_text(key: object, within: set[int]) -> bool:
    # A subclass of str may have a form of its own, such as a member of an enumeration.
    return isinstance(key, str) and _key(key, within).startswith('"')


def _with_text_keys(value: Mapping[str, object], within: set[int]) -> str:
    parts = []
    # Python compares text by code point, which is the order of the UTF-8 bytes too.
    for key in sorted(value):
        written = _key(f"${key}" if key.startswith("$") else key, within)
        try:
            parts.append(f"{written}:{_text(value[key], within)}")
        except _Refused as refused:
            refused.path.append(f".{key}")
            raise
    return f"{{{','.join(parts)}}}"


def _as_pairs(value: Mapping[object, object], within: set[int]) -> str:
    written: dict[str, str] = {}
    for key, item in value.items():
        text = _key(key, within)
        if text in written:
            raise _Refused(f"has two keys that are written alike: {text[:80]}; pass keys that differ")
        try:
            written[text] = _text(item, within)
        except _Refused as refused:
            refused.path.append(f"[{key!r}]")
            raise
    pairs = ",".join(f"[{key},{written[key]}]" for key in sorted(written))
    return _tagged("map", f"[{pairs}]")


def _key(key: object, within: set[int]) -> str:
    try:
        return _text(key, within)
    except _Refused as refused:
        # The path would end in the part of a key; the key as a whole is what a reader can find.
        raise _Refused(f"has a key that {refused.reason}") from None


def _object(value: object, fields: Mapping[str, object], within: set[int]) -> str:
    _enter(value, within)
    text = _tagged("object", f"[{_string(_qualified(type(value)))},{_mapping(fields, within)}]")
    within.discard(id(value))
    return text


def _enum(value: enum.Enum, within: set[int]) -> str:
    # The value, not the name: what a combination of flags is called differs between Python versions.
    try:
        text = _text(value.value, within)
    except _Refused as refused:
        refused.path.append(".value")
        raise
    return _tagged("enum", f"[{_string(_qualified(type(value)))},{text}]")


def _datetime(value: datetime.datetime, within: Collection[int] = ()) -> str:
    # Timestamps of pandas are datetimes with nanoseconds, and its missing time is one too.
    if getattr(value, "nanosecond", 0) != 0:
        raise _Refused("is a time with nanoseconds or none at all; pass it as text or as an integer")
    return _tagged("datetime", f'"{datetime.datetime.isoformat(value, timespec="microseconds")}"')


def _time(value: datetime.time, within: Collection[int] = ()) -> str:
    return _tagged("time", f'"{datetime.time.isoformat(value, timespec="microseconds")}"')


def _date(value: datetime.date, within: Collection[int] = ()) -> str:
    return _tagged("date", f'"{value.year:04d}-{value.month:02d}-{value.day:02d}"')


def _timedelta(value: datetime.timedelta, within: Collection[int] = ()) -> str:
    return _tagged("timedelta", str(value // datetime.timedelta(microseconds=1)))


def _decimal(value: decimal.Decimal, within: Collection[int] = ()) -> str:
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        return _tagged("decimal", f'"{value}"')
    return _tagged("decimal", f'"{"-" if sign else ""}{"".join(map(str, digits))}E{exponent}"')


def _fraction(value: fractions.Fraction, within: Collection[int] = ()) -> str:
    return _tagged("fraction", f"[{_integer(value.numerator)},{_integer(value.denominator)}]")


def _bytes(value: bytes | bytearray, within: Collection[int] = ()) -> str:
    return _tagged("bytes", f'"{value.hex()}"')


def _complex(value: complex, within: Collection[int] = ()) -> str:
    return _tagged("complex", f"[{_float(value.real)},{_float(value.imag)}]")


def _path(value: pathlib.PurePath, within: Collection[int] = ()) -> str:
    return _tagged("path", _string(value.as_posix()))


def _range(value: range, within: Collection[int] = ()) -> str:
    return _tagged("range", f"[{_integer(value.start)},{_integer(value.stop)},{_integer(value.step)}]")


# The interface of numpy, which is not imported: only its own arrays and scalars are known. A subclass,
# such as a masked array or one with units, means more than its numbers.
_DTYPE_KINDS = "biufcSUTMmO"


def _numpy(value: Any, within: set[int]) -> str:
    dtype = value.dtype
    is_array = type(value).__name__ == "ndarray"
    plain = value.tolist() if is_array else value.item()
    if dtype.kind not in _DTYPE_KINDS or type(plain).__module__ == "numpy":
        raise _refuse(value)
    _enter(value, within)
    text = _text(plain, within)
    within.discard(id(value))
    name = _string(dtype.name)
    if is_array:
        return _tagged("array", f"[{name},[{','.join(map(str, value.shape))}],{text}]")
    return _tagged("numpy", f"[{name},{text}]")


def _fields_of(value: object) -> dict[str, object] | None:
    """The fields of a named tuple, a dataclass, a pydantic model or an attrs class; ``None`` for others."""
    kind: Any = type(value)
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return dict(zip(kind._fields, value, strict=True))
    if hasattr(kind, "model_fields") and hasattr(kind, "model_dump"):
        # Not model_dump(): it writes a field by its declared class and drops what a subclass adds.
        names = [name for name, field in kind.model_fields.items() if not field.exclude]
        extra = getattr(value, "model_extra", None) or {}
        return {**{name: getattr(value, name) for name in names}, **extra}
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if hasattr(kind, "__attrs_attrs__"):
        return {field.name: getattr(value, field.name) for field in kind.__attrs_attrs__}
    return None


class _Known(NamedTuple):
    kind: type | tuple[type, ...]
    writer: Callable[[Any, set[int]], str]


_WRITERS: dict[type, Callable[[Any, set[int]], str]] = {
    type(None): lambda value, within: "null",
    bool: lambda value, within: "true" if value else "false",
    int: _integer,
    float: _float,
    str: _string,
    list: _list,
    tuple: _list,
    dict: _mapping,
    set: _set,
    frozenset: _set,
    datetime.timedelta: _timedelta,
    range: _range,
}

# For what is not exactly one of the above, in this order: a datetime is a date as well.
_FAMILIES = (
    _Known(int, _integer),
    _Known(float, _float),
    _Known(str, _string),
    _Known(complex, _complex),
    _Known((bytes, bytearray), _bytes),
    _Known(datetime.datetime, _datetime),
    _Known(datetime.date, _date),
    _Known(datetime.time, _time),
    _Known(decimal.Decimal, _decimal),
    _Known(fractions.Fraction, _fraction),
    _Known(uuid.UUID, lambda value, within: _tagged("uuid", f'"{value}"')),
    _Known(pathlib.PurePath, _path),
    _Known(Mapping, _mapping),
    _Known(Set, _set),
    _Known(Sequence, _list),
)


def _writer_of(value: object) -> Callable[[Any, set[int]], str]:
    # First those that are often a str, an int or a tuple as well.
    if isinstance(value, enum.Enum):
        return _enum
    if type(value).__module__ == "numpy":
        named = type(value).__name__
        if hasattr(value, "dtype") and (named == "ndarray" or getattr(value, "shape", None) == ()):
            return _numpy
        raise _refuse(value)
    fields = None if isinstance(value, type) else _fields_of(value)
    if fields is not None:
        return lambda value, within: _object(value, fields, within)
    # A view shows numbers of any width as bytes, and a subclass of timedelta may count in months.
    if not isinstance(value, memoryview | datetime.timedelta):
        for known in _FAMILIES:
            if isinstance(value, known.kind):
                return known.writer
    raise _refuse(value)


def _qualified(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _refuse(value: object) -> _Refused:
    if inspect.isroutine(value):
        found = "a function"
    elif isinstance(value, type):
        found = f"the class {_qualified(value)!r}"
    elif isinstance(value, types.ModuleType):
        found = f"the module {value.__name__!r}"
    else:
        found = f"of type {_qualified(type(value))!r}"
    return _Refused(
        f"is {found}, which has no canonical form; pass plain values, or leave it out of the fingerprint"
    )
