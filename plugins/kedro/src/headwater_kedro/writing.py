"""Which files nodes are writing at this moment, in all runs of the project.

Two runs that write one file at the same time may each find the other's content there. Neither can say what
it made, so each is told, and what they made is not reused.
"""

import hashlib
import logging
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from headwater.client.recording.locking import LockFile, is_held

logger = logging.getLogger("headwater_kedro")

_MET = ".met"


class Writing:
    """What one node writes."""

    def __init__(self) -> None:
        self._marks: dict[str, Path] = {}

    def met(self) -> "list[str]":
        """Names of what somebody else wrote at the same time."""
        return [name for name, mark in self._marks.items() if mark.with_suffix(_MET).exists()]


@contextmanager
def writing(directory: "Path | None", places: "Iterable[tuple[str, str]]") -> Iterator[Writing]:
    """Tell others that these places, each with a name, are being written, for as long as this lasts."""
    found = Writing()
    with ExitStack() as held:
        for name, place in places if directory is not None else ():
            assert directory is not None
            try:
                found._marks[name] = held.enter_context(_mark(directory, place))
            except OSError as error:
                logger.debug("nobody is told that %r is being written: %s", name, error)
        yield found


@contextmanager
def _mark(directory: Path, place: str) -> Iterator[Path]:
    """A file of our own among those of all who write this place, locked until it is written."""
    of_place = directory / hashlib.sha256(place.encode()).hexdigest()[:32]
    of_place.mkdir(parents=True, exist_ok=True)
    mark = of_place / uuid.uuid4().hex
    with LockFile(mark):
        try:
            # Whoever comes later sees this one; of two at once at least one sees the other, and tells it.
            for name in os.listdir(of_place):  # noqa: PTH208  # often
                if name != mark.name and not name.endswith(_MET):
                    _meet(mark, of_place / name)
            yield mark
        finally:
            mark.unlink(missing_ok=True)
            mark.with_suffix(_MET).unlink(missing_ok=True)


def _meet(mark: Path, other: Path) -> None:
    if is_held(other):
        mark.with_suffix(_MET).touch()
        other.with_suffix(_MET).touch()
    else:
        # Of a process that was killed.
        other.unlink(missing_ok=True)
        other.with_suffix(_MET).unlink(missing_ok=True)
