"""What the store is told of a Kedro dataset: where its content lies, and what of its configuration decides.

Kedro has no public way to ask where a dataset lies, so this reads what its datasets have by convention.
"""

import json
from pathlib import Path
from typing import Any

from kedro.io import CachedDataset

_LOCAL = ("", "file", "local")
# Where it lies is no part of what a node sees, and credentials are never recorded.
_LEFT_OUT = {"credentials", "metadata", "filepath", "path", "versioned", "version", "fs_args"}


def innermost(dataset: Any) -> Any:
    """The dataset that a ``CachedDataset`` stands for, which says of itself that it is in memory."""
    while isinstance(dataset, CachedDataset):
        dataset = dataset._dataset
    return dataset


def is_in_memory(dataset: Any) -> bool:
    """Whether its content is gone with the process."""
    return bool(getattr(innermost(dataset), "_EPHEMERAL", False))


def label(name: str) -> str:
    """The name of what lies there, without the transcoding of this entry of the catalog."""
    return name.partition("@")[0]


def place_of(dataset: Any) -> str | None:
    """Path or URI of what a load would read now; ``None`` if there is nothing, or no one place."""
    inner = innermost(dataset)
    try:
        if hasattr(inner, "_get_load_path"):
            # The newest version is looked for once and then remembered.
            inner.release()
            place = inner._get_load_path()
            inner.release()
        else:
            place = getattr(inner, "_filepath", None) or getattr(inner, "_path", None)
    except Exception:
        # Of a version that is not there, each class says so in its own way.
        return None
    if place is None:
        return None
    protocol = str(getattr(inner, "_protocol", "") or "")
    if "://" in str(place):
        return str(place)
    return str(Path(str(place)).absolute()) if protocol in _LOCAL else f"{protocol}://{place}"


def has_place(dataset: Any) -> bool:
    """Whether its content can be looked at apart from the dataset."""
    inner = innermost(dataset)
    return any(getattr(inner, name, None) is not None for name in ("_filepath", "_path"))


def version_of(dataset: Any, place: str) -> str:
    """The version of a versioned dataset at ``place``; empty for others."""
    is_versioned = getattr(innermost(dataset), "_version", None) is not None
    return Path(place).parent.name if is_versioned else ""


def settings_of(dataset: Any, *, of_input: bool) -> str:
    """What of its configuration decides about what a node sees, or leaves, as text."""
    inner = innermost(dataset)
    try:
        config = dict(inner.to_config())
    except Exception:
        config = {"type": f"{type(inner).__module__}.{type(inner).__qualname__}"}
    other = "save_args" if of_input else "load_args"
    told = {key: value for key, value in config.items() if key not in _LEFT_OUT and key != other}
    return json.dumps(told, sort_keys=True, default=str)
