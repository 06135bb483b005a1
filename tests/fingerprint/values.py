"""Values in a notation that any language can read from JSON, and random ones in it.

JSON cannot tell 1 from 1.0 in most languages, so a value is a list: its kind, then what makes it.

============================================  =====================================================
``["null"]``, ``["true"]``, ``["false"]``
``["int", "12"]``                             decimal digits
``["float", "3ff0000000000000"]``             the bits of the double, highest first
``["text", "a"]``, ``["bytes", "00ff"]``      bytes in hexadecimal
``["list", [value, ...]]``, ``["set", ...]``
``["map", [[key, value], ...]]``              keys are values too
``["complex", "bits", "bits"]``
``["decimal", "-15", -1]``                    coefficient with its sign, exponent; or one text
``["fraction", "1", "3"]``, ``["timedelta", "1"]``
``["datetime", text]``, ``["date", text]``, ``["time", text]``, ``["uuid", text]``, ``["path", text]``
``["range", "0", "10", "2"]``
``["enum", class, value]``
``["object", class, [[name, value], ...]]``   name is text
``["numpy", dtype, value]``
``["array", dtype, [length, ...], value]``
============================================  =====================================================
"""

import dataclasses
import datetime
import enum
import math
import struct
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePosixPath
from random import Random
from typing import Any
from uuid import UUID

Notation = list[Any]


def bits(value: float) -> str:
    return struct.pack(">d", value).hex()


def _double(text: str) -> float:
    return struct.unpack(">d", bytes.fromhex(text))[0]


def _member(name: str, value: Notation) -> enum.Enum:
    module, _, kind = name.rpartition(".")
    return enum.Enum(kind, {"MEMBER": python(value)}, module=module).MEMBER


def _record(name: str, fields: list[list[Any]]) -> object:
    module, _, kind = name.rpartition(".")
    made = dataclasses.make_dataclass(kind, [field for field, _ in fields], namespace={"__module__": module})
    made.__module__ = module
    return made(*(python(value) for _, value in fields))


def _scalar(dtype: str, value: Notation) -> object:
    import numpy as np

    return np.array(python(value), dtype=dtype)[()]


def _array(dtype: str, shape: list[int], value: Notation) -> object:
    import numpy as np

    return np.array(python(value), dtype=dtype).reshape(shape)


def _number(coefficient: str, exponent: int | None = None) -> Decimal:
    return Decimal(coefficient) if exponent is None else Decimal(f"{coefficient}E{exponent}")


_MAKERS: dict[str, Callable[..., object]] = {
    "null": lambda: None,
    "true": lambda: True,
    "false": lambda: False,
    "int": int,
    "float": _double,
    "text": str,
    "bytes": bytes.fromhex,
    "list": lambda items: [python(item) for item in items],
    "set": lambda items: {python(item) for item in items},
    "map": lambda pairs: {python(key): python(value) for key, value in pairs},
    "complex": lambda real, imaginary: complex(_double(real), _double(imaginary)),
    "decimal": _number,
    "fraction": lambda top, bottom: Fraction(int(top), int(bottom)),
    "timedelta": lambda microseconds: datetime.timedelta(microseconds=int(microseconds)),
    "datetime": datetime.datetime.fromisoformat,
    "date": datetime.date.fromisoformat,
    "time": datetime.time.fromisoformat,
    "uuid": UUID,
    "path": PurePosixPath,
    "range": lambda *bounds: range(*map(int, bounds)),
    "enum": _member,
    "object": _record,
    "numpy": _scalar,
    "array": _array,
}


def python(notation: Notation) -> Any:
    """The value that ``notation`` stands for."""
    kind, *rest = notation
    return _MAKERS[kind](*rest)


_LETTERS = 'ab$ !"\\/\x00\x1f\x7f\n\t\r\b\f\xe9\u0301\u2028\uffff\ud7ff\ue000\U00010000\U0010ffff'


def random_text(random: Random) -> str:
    return "".join(random.choices(_LETTERS, k=random.randrange(6)))


def random_double(random: Random) -> float:
    """Any bits at all, numbers as people write them, and powers of ten around the changes of layout."""
    way = random.randrange(3)
    if way == 0:
        return _double(random.getrandbits(64).to_bytes(8, "big").hex())
    if way == 1:
        return round(random.uniform(-1000, 1000), random.randrange(6))
    return random.choice([1, -1, 1.5, 123456789.125, 9.999999999999999]) * 10.0 ** random.randrange(-12, 30)


def _random_scalar(random: Random) -> Notation:
    kind = random.choice(["null", "true", "false", "int", "float", "text", "bytes", "complex", "decimal"])
    match kind:
        case "int":
            return [kind, str(random.randrange(-(10 ** random.randrange(1, 30)), 10**9))]
        case "float":
            return [kind, bits(_without_payload(random_double(random)))]
        case "text":
            return [kind, random_text(random)]
        case "bytes":
            return [kind, random.randbytes(random.randrange(5)).hex()]
        case "complex":
            return [kind, *(bits(_without_payload(random_double(random))) for _ in range(2))]
        case "decimal":
            return [kind, str(random.randrange(-999, 999)), random.randrange(-5, 5)]
    return [kind]


def _without_payload(value: float) -> float:
    return math.nan if math.isnan(value) else value


def random_value(random: Random, depth: int = 3) -> Notation:
    """A value of which no part is a NaN in a set or a key, where Python itself cannot say what is equal."""
    kind = random.choice(["scalar", "scalar", "list", "set", "map", "texts", "object"]) if depth else "scalar"
    count = random.randrange(5)
    match kind:
        case "list":
            return [kind, [random_value(random, depth - 1) for _ in range(count)]]
        case "set":
            return [kind, [["text", random_text(random)], ["int", str(count)], ["int", "-3"]]]
        case "map":
            keys = [
                random.choice([["int", str(n)], ["text", str(n)], ["bytes", f"{n:02x}"]])
                for n in range(count)
            ]
            return [kind, [[key, random_value(random, depth - 1)] for key in keys]]
        case "texts":
            names = {random_text(random) for _ in range(count)}
            return ["map", [[["text", name], random_value(random, depth - 1)] for name in sorted(names)]]
        case "object":
            return [kind, "shop.Model", [[f"f{n}", random_value(random, depth - 1)] for n in range(count)]]
    return _random_scalar(random)
