"""What a function returns, as outputs of its step, and back.

Alone, or as the items of a tuple, list or mapping that it returns: a path object or ``File`` is an output
that lies there, a plain value is kept in the record, any other object is an output in memory. A plain
result as a whole, such as a mapping of numbers, is one output.

The caller gets plain values as they are and an ``Output`` for each other item. Where each item stood is
noted at the output, so that a hit gives the same.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from headwater.client.recording import keeping
from headwater.client.recording.outputs import Output
from headwater.errors import InvalidRequest

ALONE = "output"
"""The name of a result that is one output, where none was declared."""


@dataclass(frozen=True)
class Item:
    """An output in a result."""

    name: str
    value: Any
    place: str
    """Where it stood: JSON of the kind of container, the place in it, and the key."""


def items_of(result: object, declared: Mapping[str, str]) -> list[Item]:
    """The outputs in a result; none if it is ``None``.

    Raises:
        InvalidRequest: what is declared and what was returned do not fit.
    """
    names = list(declared)
    if result is None:
        return []
    kind = _container(result)
    if len(names) > 1 and kind == "":
        raise InvalidRequest(
            f"{len(names)} outputs are declared ({', '.join(names)}), and a single "
            f"{type(result).__name__} was returned; return a tuple or a mapping of them"
        )
    if kind == "" or (len(names) == 1 and kind != "dict") or _is_one(result, names):
        return [Item(names[0] if names else ALONE, result, json.dumps(["", 0, ""]))]
    pairs = (
        list(result.items()) if isinstance(result, dict) else list(enumerate(cast("list[object]", result)))
    )
    if kind == "dict":
        unknown = [key for key, _ in pairs if names and key not in names]
        if unknown:
            raise InvalidRequest(f"output {unknown[0]!r} was returned and is not declared")
        return [
            Item(str(key), value, json.dumps([kind, index, key])) for index, (key, value) in enumerate(pairs)
        ]
    if names and len(names) != len(pairs):
        raise InvalidRequest(
            f"{len(names)} outputs are declared ({', '.join(names)}), and {len(pairs)} values were returned"
        )
    return [
        Item(names[index] if names else f"{ALONE}[{index}]", value, json.dumps([kind, index, ""]))
        for index, value in pairs
    ]


def _container(result: object) -> str:
    if type(result) is tuple and result:
        return "tuple"
    if type(result) is list and result:
        return "list"
    if type(result) is dict and result and all(type(key) is str and key for key in result):
        return "dict"
    return ""


def _is_one(result: object, names: list[str]) -> bool:
    """Whether a container is one output as a whole: plain, and not taken apart by declared names."""
    if isinstance(result, dict) and names and set(result) <= set(names):
        return False
    if len(names) > 1:
        return False
    return keeping.plain_text(result) is not None


def result_of(outputs: Iterable[Output]) -> Any:
    """What the function returned, from the outputs of its step."""
    found = []
    for output in outputs:
        place = output.properties.get(keeping.RETURNED)
        if place is not None:
            kind, index, key = json.loads(str(place))
            found.append((int(index), str(kind), str(key), given_back(output)))
    if not found:
        return None
    found.sort(key=lambda one: one[0])
    kind = found[0][1]
    if kind == "":
        return found[0][3]
    if kind == "dict":
        return {key: value for _, _, key, value in found}
    values = [value for _, _, _, value in found]
    return tuple(values) if kind == "tuple" else values


def has_sound_place(output: Output) -> bool:
    """Whether the record of an output says readably where in a result it stood, or says nothing of it."""
    place = output.properties.get(keeping.RETURNED)
    if place is None:
        return True
    try:
        kind, index, key = json.loads(str(place))
    except (ValueError, TypeError, RecursionError):
        return False
    return kind in ("", "tuple", "list", "dict") and type(index) is int and type(key) is str


def given_back(output: Output) -> Any:
    """An output as the caller of a step gets it: a plain value itself, all else as a handle."""
    return output.value if output.holds_plain_value else output


def is_place(value: object) -> bool:
    """Whether a returned value says where something lies."""
    return isinstance(value, os.PathLike) and not isinstance(value, Output)
