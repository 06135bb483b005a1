"""What nodes of a run leave for each other: what is known of the data in memory that they made."""

import pickle
import threading
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import quote


class Shelf:
    """Within a process, or in a directory where the nodes run in several. Things are found by name."""

    def __init__(self, directory: Path | None = None) -> None:
        self.directory = directory
        self._things: dict[str, bytes] = {}
        self.lock = threading.RLock()

    def put(self, name: str, thing: Any) -> None:
        """Leave a thing, in the place of an earlier one."""
        # Without the data itself, which Kedro releases when nobody needs it any more.
        packed = pickle.dumps(thing)
        if self.directory is None:
            self._things[name] = packed
            return
        path = self._path(name)
        beside = path.with_name(uuid.uuid4().hex)
        beside.write_bytes(packed)
        beside.replace(path)

    def get(self, name: str) -> Any:
        """The thing, or ``None``."""
        if self.directory is None:
            packed = self._things.get(name)
        else:
            path = self._path(name)
            packed = path.read_bytes() if path.exists() else None
        return None if packed is None else pickle.loads(packed)

    def _path(self, name: str) -> Path:
        assert self.directory is not None
        return self.directory / quote(name, safe="")

    def __getstate__(self) -> dict[str, Any]:
        return {"directory": self.directory}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["directory"])  # type: ignore[misc]  # made anew in a worker
