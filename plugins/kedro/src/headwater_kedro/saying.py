"""Warnings of a run whose nodes run in several processes: what one of them said, the others do not repeat."""

import logging
import os

from headwater_kedro.shelf import Shelf

_logger = logging.getLogger("headwater")
_filters: "dict[str, _NotRepeated]" = {}
"""By the directory of the run's shelf."""


def say_once(shelf: Shelf) -> None:
    """Let this process repeat no warning of another one that shares the shelf."""
    directory = str(shelf.directory)
    if shelf.directory is not None and directory not in _filters:
        _filters[directory] = _NotRepeated(shelf)
        _logger.addFilter(_filters[directory])


def say_all(shelf: Shelf) -> None:
    """Undo ``say_once``."""
    found = _filters.pop(str(shelf.directory), None)
    if found is not None:
        _logger.removeFilter(found)


class _NotRepeated(logging.Filter):
    def __init__(self, shelf: Shelf) -> None:
        super().__init__()
        self._shelf = shelf
        self._said: set[tuple[int, str]] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        # The rest of what is said of it differs, such as which error it was.
        about = record.args[0] if isinstance(record.args, tuple) and record.args else ""
        said = (os.getpid(), f"{record.msg} {about}")
        if said not in self._said and self._shelf.is_first(said[1]):
            self._said.add(said)
        return said in self._said
