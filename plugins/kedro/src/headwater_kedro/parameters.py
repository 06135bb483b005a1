"""Parameters of Kedro as plain values, without those that are to be left out."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from headwater_kedro.config import Settings

WHOLE = "parameters"
"""The dataset that holds all of them."""
PREFIX = "params:"


def is_parameter(dataset: str) -> bool:
    """Whether a dataset of this name is a parameter."""
    return dataset == WHOLE or dataset.startswith(PREFIX)


def path_of(dataset: str) -> str:
    """What the parameter is called, with dots; empty for all of them together."""
    return "" if dataset == WHOLE else dataset.removeprefix(PREFIX)


def plain(value: Any) -> Any:
    """Models of Pydantic and dataclasses, as which Kedro gives typed parameters, as mappings."""
    if hasattr(value, "model_dump") and hasattr(type(value), "model_fields"):
        names = [*type(value).model_fields, *(value.model_extra or {})]
        return {name: plain(getattr(value, name)) for name in names}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name)) for one in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def flat(value: Any, path: str) -> dict[str, Any]:
    """A plain parameter by the names of what is in it, with dots; a list is one value.

    A mapping whose keys are not texts, or have dots themselves, is one value too.
    """
    if not isinstance(value, Mapping) or not value:
        return {path or WHOLE: value}
    if any(not isinstance(key, str) or not key or "." in key for key in value):
        return {path or WHOLE: value}
    found: dict[str, Any] = {}
    for key, item in value.items():
        found.update(flat(item, f"{path}.{key}" if path else key))
    return found


def orders(value: Any, path: str) -> list[tuple[str, list[str]]]:
    """By mapping within a parameter its keys in their order, which a function may go by.

    Not of the top of all parameters: Kedro reads their files in any order.
    """
    if isinstance(value, list):
        return [found for index, item in enumerate(value) for found in orders(item, f"{path}.{index}")]
    if not isinstance(value, Mapping):
        return []
    own = [(path, [repr(key) for key in value])] if path and len(value) > 1 else []
    items = value.items() if path else sorted(value.items(), key=lambda item: repr(item[0]))
    return own + [
        found for key, item in items for found in orders(item, f"{path}.{key}" if path else str(key))
    ]


def left_over(value: Any, path: str, settings: Settings) -> Any:
    """A plain parameter without what ``settings`` leave out; ``path`` is what it is called."""
    if not settings.exclude:
        return value
    if isinstance(value, Mapping):
        kept = {}
        for key, item in value.items():
            inner = f"{path}.{key}" if path else str(key)
            if not settings.is_excluded(inner):
                kept[key] = left_over(item, inner, settings)
        return kept
    if isinstance(value, list):
        return [left_over(item, f"{path}.{index}", settings) for index, item in enumerate(value)]
    return value


def only_left_out(value: Any, path: str, settings: Settings) -> Any:
    """What ``left_over`` takes away of a mapping, nested as it was."""
    found = {}
    for key, item in value.items():
        inner = f"{path}.{key}" if path else str(key)
        if settings.is_excluded(inner):
            found[key] = item
        elif isinstance(item, Mapping):
            rest = only_left_out(item, inner, settings)
            if rest:
                found[key] = rest
    return found


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Both, nested ones too; of what both have that of ``over``."""
    found = {**under, **over}
    for key, value in over.items():
        below = under.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            found[key] = merged(below, value)
    return found
