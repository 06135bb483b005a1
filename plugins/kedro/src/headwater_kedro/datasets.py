"""What the store is told of a Kedro dataset: where its content lies, and what of its configuration decides.

Kedro has no public way to ask where a dataset lies, so this reads what its datasets have by convention.
"""

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, CachedDataset

from headwater.client.capture.code import code_digest
from headwater.client.capture.project import is_installed

_LOCAL = ("", "file", "local")
# Where it lies and how it is reached is no part of what a node sees.
_SECRET = {"credentials", "storage_options"}
_LEFT_OUT = {
    *("filepath", "path", "versioned", "version", "metadata"),
    *("con", "connection", "connection_string"),
    *_SECRET,
}


def innermost(dataset: Any) -> Any:
    """The dataset that a ``CachedDataset`` stands for, which says of itself that it is in memory."""
    while isinstance(dataset, CachedDataset):
        dataset = dataset._dataset
    return dataset


def is_in_memory(dataset: Any) -> bool:
    """Whether its content is gone with the process."""
    return bool(getattr(innermost(dataset), "_EPHEMERAL", False))


def class_in_memory(dataset: Any) -> str:
    """Of which class the data of a dataset in memory is; of what another process holds nothing is known."""
    data = getattr(innermost(dataset), "_data", object())
    return f"{type(data).__module__}.{type(data).__qualname__}"


def label(name: str) -> str:
    """The name of what lies there, without the transcoding of this entry of the catalog."""
    return name.partition("@")[0]


def place_of(dataset: Any) -> str | None:
    """Path or URI of what a load would read now; ``None`` if there is nothing, or no one place.

    Of a versioned dataset this settles the version, as a load does, so what is looked at is what is loaded.
    """
    inner = innermost(dataset)
    try:
        if hasattr(inner, "_get_load_path"):
            return _uri(inner, inner._get_load_path())
    except Exception:
        # Of a version that is not there, each class says so in its own way.
        return None
    return _uri(inner, getattr(inner, "_filepath", None) or getattr(inner, "_path", None))


def place_of_saved(dataset: Any) -> str | None:
    """As ``place_of``, of what was just saved: with a pinned version a load would read another."""
    inner = innermost(dataset)
    if not has_versions(dataset):
        return place_of(dataset)
    try:
        return _uri(inner, inner._get_versioned_path(inner.resolve_save_version()))
    except Exception:
        return place_of(dataset)


def _uri(inner: Any, place: Any) -> str | None:
    if place is None or not has_place(inner):
        return None
    # Spark's datasets keep the scheme apart.
    text = f"{getattr(inner, '_fs_prefix', '')}{place}"
    if "://" in text:
        return text
    protocol = str(getattr(inner, "_protocol", "") or "")
    return str(Path(text).absolute()) if protocol in _LOCAL else f"{protocol}://{text}"


def has_place(dataset: Any) -> bool:
    """Whether its content can be looked at apart from the dataset."""
    inner = innermost(dataset)
    # What has a query has only the text of it in its file, and the content in a database.
    if "sql" in (getattr(inner, "_init_args", None) or {}):
        return False
    return any(getattr(inner, name, None) is not None for name in ("_filepath", "_path"))


def options_of(dataset: Any) -> dict[str, Any]:
    """With what fsspec reaches its files, credentials among them; never recorded."""
    filesystem = getattr(innermost(dataset), "_fs", None)
    return dict(getattr(filesystem, "storage_options", None) or {})


def version_of(dataset: Any, place: str) -> str:
    """The version of a versioned dataset at ``place``; empty for others."""
    return Path(place).parent.name if has_versions(dataset) else ""


def has_versions(dataset: Any) -> bool:
    """Whether each save has a place of its own."""
    return getattr(innermost(dataset), "_version", None) is not None


def settings_of(dataset: Any, *, of_input: bool) -> str:
    """A digest of what of its configuration decides about what a node sees, or leaves.

    A digest, because nobody knows under which key somebody wrote a password.
    """
    inner = innermost(dataset)
    config = getattr(inner, "_init_args", None) or {}
    told = _decisive(config, of_input=of_input)
    # Of how its files are reached, the encoding decides, and no project or token.
    open_args = "open_args_load" if of_input else "open_args_save"
    told["open_args"] = _whole((config.get("fs_args") or {}).get(open_args) or {})
    told["type"] = f"{type(inner).__module__}.{type(inner).__qualname__}"
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=_text).encode()).hexdigest()


def _decisive(config: Mapping[str, Any], *, of_input: bool) -> dict[str, Any]:
    """What a dataset was made with. What is not given counts as not there: a newer class may take more."""
    other = "save_args" if of_input else "load_args"
    return {
        key: _decisive(value, of_input=of_input)
        if key == "dataset" and isinstance(value, Mapping)
        else _whole(value)
        for key, value in config.items()
        if value is not None and key not in _LEFT_OUT and key not in (other, "fs_args")
    }


def _whole(value: Any) -> Any:
    """All of a value but credentials, of which even a digest would let a short one be guessed."""
    if isinstance(value, Mapping):
        # 0 and "0" are two keys, and JSON would make one of them.
        return {repr(key): _whole(item) for key, item in value.items() if key not in _SECRET}
    if isinstance(value, list | tuple):
        return [_whole(item) for item in value]
    return value


def own_classes(dataset: Any) -> list[type]:
    """The classes of the project, rather than of a distribution, that load and save it; nested ones too."""
    found: list[type] = []
    waiting: list[Any] = [type(innermost(dataset)), getattr(innermost(dataset), "_init_args", None)]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            # As the configuration names a class, which then was imported.
            module, _, name = one.rpartition(".")
            one = getattr(sys.modules.get(module), name, None)
        if isinstance(one, type):
            file = getattr(sys.modules.get(one.__module__), "__file__", None)
            if file is not None and not is_installed(file):
                found.append(one)
        elif isinstance(one, Mapping):
            waiting += [one[key] for key in ("dataset", "type") if key in one]
        elif isinstance(one, AbstractDataset):
            waiting += [type(innermost(one)), getattr(innermost(one), "_init_args", None)]
    return found


def _text(value: object) -> str:
    if callable(value):
        return code_digest(value).digest
    text = repr(value)
    # The address of an object says nothing.
    return f"{type(value).__module__}.{type(value).__qualname__}" if " at 0x" in text else text


@dataclass(frozen=True)
class Declared:
    """What the catalog says of a dataset to headwater: ``metadata: {headwater: {...}}``."""

    cache: bool = True
    """Whether nodes that read or make it are skipped."""
    version: str = ""
    """Counts in the place of its content, for what cannot be looked at."""
    problem: str = ""
    """Why that is not understood."""


def declared_of(dataset: Any) -> Declared:
    """What the catalog says of a dataset."""
    metadata = getattr(innermost(dataset), "metadata", None) or getattr(dataset, "metadata", None)
    given = metadata.get("headwater") if isinstance(metadata, Mapping) else None
    if not isinstance(given, Mapping):
        return Declared()
    unknown = sorted(set(given) - {"cache", "version"})
    cache, version = given.get("cache", True), given.get("version")
    problem = ""
    if unknown:
        problem = f"has a key {unknown[0]!r} below metadata: headwater:, which knows cache and version"
    elif not isinstance(cache, bool):
        problem = f"says cache: {cache!r} below metadata: headwater:, which is true or false"
    return Declared(cache is True, "" if version is None else str(version), problem)
