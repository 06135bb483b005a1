"""Whether the files that a node reads stay as they are, from when they are looked at until it is done."""

import os
import stat
from typing import TYPE_CHECKING, Any

from headwater_kedro.datasets import is_in_memory, place_of
from headwater_kedro.describing import dataset_of
from headwater_kedro.parameters import is_parameter

if TYPE_CHECKING:
    from kedro.pipeline.node import Node

Stamp = tuple[str, int, int, int]
"""Path, size, time of change and inode of a file."""


def stamps_of(node: "Node", catalog: Any) -> dict[str, Stamp]:
    """By input, what tells that its file was written again. Inputs that are no files of this machine lack."""
    found: dict[str, Stamp] = {}
    for name in node.inputs:
        if is_parameter(name) or is_in_memory(dataset_of(catalog, name)):
            continue
        place = place_of(dataset_of(catalog, name))
        if place is None or "://" in place:
            continue
        try:
            status = os.stat(place)  # noqa: PTH116  # a path of text, asked for at each node
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode):
            found[name] = (place, status.st_size, status.st_mtime_ns, status.st_ino)
    return found
