"""What nodes of a run leave for each other: what is known of the data in memory that they made."""

import hashlib
import logging
import pickle
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headwater.client.recording.locking import LockFile, is_held

logger = logging.getLogger("headwater_kedro")

_LOOKS_EVERY_S = 0.02


class Shelf:
    """Within a process, or in a directory where the nodes run in several. Things are found by name.

    A directory that cannot be written to is an empty shelf: what nobody is told of is not reused.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self.directory = directory
        self._things: dict[str, bytes] = {}
        self._locks: dict[str, threading.RLock] = {}
        self._said: set[str] = set()
        self._guard = threading.Lock()

    def put(self, name: str, thing: Any) -> None:
        """Leave a thing, in the place of an earlier one."""
        # Without the data itself, which Kedro releases when nobody needs it any more.
        packed = pickle.dumps(thing)
        if self.directory is None:
            self._things[name] = packed
            return
        path = self._path("thing", name)
        beside = path.with_name(uuid.uuid4().hex)
        try:
            beside.write_bytes(packed)
            beside.replace(path)
        except OSError as error:
            logger.debug("what was made as %r is not told to other processes: %s", name, error)

    def get(self, name: str) -> Any:
        """The thing, or ``None``."""
        if self.directory is None:
            packed = self._things.get(name)
        else:
            try:
                packed = self._path("thing", name).read_bytes()
            except OSError:
                packed = None
        return None if packed is None else pickle.loads(packed)

    def put_begun(self, node: str) -> None:
        """The node has begun."""
        self.put(f"begun {node}", True)

    def is_begun(self, node: str) -> bool:
        """Whether that was said of the node."""
        return self.get(f"begun {node}") is not None

    def put_done(self, node: str, came_to: tuple[str, str]) -> None:
        """The node will read nothing more; what became of it, and why."""
        self.put(f"done {node}", came_to)

    def done(self, node: str) -> "tuple[str, str] | None":
        """What was said of the node; ``None`` if it has not ended."""
        found: tuple[str, str] | None = self.get(f"done {node}")
        return found

    def is_first(self, text: str) -> bool:
        """Whether nobody of the run asked this about the same text before."""
        if self.directory is not None:
            try:
                self._path("said", text).open("x").close()
            except FileExistsError:
                return False
            except OSError:
                pass
            else:
                return True
        with self._guard:
            is_first = text not in self._said
            self._said.add(text)
        return is_first

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Be the only one of the run that does something of this name. Waits for who does it already."""
        with self._guard:
            lock = self._locks.setdefault(name, threading.RLock())
        with lock:
            if self.directory is None:
                yield
                return
            with self._alone_among_processes(self._path("lock", name)):
                yield

    def is_busy(self, name: str) -> bool:
        """Whether somebody is alone with this name."""
        with self._guard:
            lock = self._locks.setdefault(name, threading.RLock())
        if not lock.acquire(blocking=False):
            return True
        lock.release()
        return self.directory is not None and is_held(self._path("lock", name))

    @contextmanager
    def _alone_among_processes(self, path: Path) -> Iterator[None]:
        while True:
            file = LockFile(path)
            try:
                is_mine = file.__enter__()
            except OSError:
                # Done twice is better than not done.
                yield
                return
            try:
                if is_mine:
                    yield
                    return
            finally:
                file.__exit__()
            time.sleep(_LOOKS_EVERY_S)

    def _path(self, what: str, name: str) -> Path:
        assert self.directory is not None
        # Names of datasets may be longer than those of files.
        return self.directory / f"{what}-{hashlib.sha256(name.encode()).hexdigest()}"

    def __getstate__(self) -> dict[str, Any]:
        return {"directory": self.directory}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["directory"])  # type: ignore[misc]  # made anew in a worker
