"""Whether the files that a node reads stay as they are, from when they are looked at until it is done."""

import os
import stat
from typing import TYPE_CHECKING, Any

from headwater_kedro.datasets import is_in_memory, place_of
from headwater_kedro.describing import dataset_of
from headwater_kedro.parameters import is_parameter

if TYPE_CHECKING:
    from kedro.pipeline.node import Node

Stamp = tuple[tuple[str, int, int, int], ...]
"""Of each file its path, size, time of change and inode."""
_MOST_FILES = 10_000


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
            stamp = _stamp(place)
        except OSError:
            continue
        if stamp:
            found[name] = stamp
    return found


def _stamp(place: str) -> Stamp:
    """That of a file, or of all files in a directory; empty for anything else, and for too many files."""
    status = os.stat(place)  # noqa: PTH116  # a path of text, asked for at each node
    if stat.S_ISREG(status.st_mode):
        return (_of_file(place, status),)
    found: list[tuple[str, int, int, int]] = []
    waiting = [place] if stat.S_ISDIR(status.st_mode) else []
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir():
                    waiting.append(entry.path)
                else:
                    found.append(_of_file(entry.path, entry.stat()))
        if len(found) > _MOST_FILES:
            return ()
    return tuple(sorted(found))


def _of_file(path: str, status: os.stat_result) -> tuple[str, int, int, int]:
    return path, status.st_size, status.st_mtime_ns, status.st_ino
