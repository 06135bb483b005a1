"""Nodes kept as the bytes that answer a request, so that a warm read costs no SQL, or little.

Both caches are exact, not merely fresh: what they answer is what a transaction begun now would read.
``VersionedNodes`` is for databases whose rows have versions: the reader asks for these, and takes from the
cache what has the same. ``NodeCache`` is for a file, where one can know that nothing was written:

* Nodes that this process writes are dropped when the transaction commits, before it is acknowledged.
* When another program has written, everything is dropped; ``Writer.is_unchanged`` notices.
* A reader that finds only some of its nodes reads the others in SQL. Both halves belong to one state of
  the database only if nothing was committed in between: it compares ``generation`` before and after,
  and ``keep`` refuses what was read before a later commit.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

from headwater.storage.kinds import NodeKind

Key = tuple[NodeKind, int]
Entry = TypeVar("Entry", bytes, tuple[str, bytes])

DEFAULT_CACHE_BYTES = 64 * 1024 * 1024
# What the dictionaries and the bytes object of one entry cost beside its content.
_OVERHEAD_BYTES = 250


class _Held(Generic[Entry]):
    """What is held of nodes by kind and id, the oldest dropped first past a limit; for holders of ``lock``.

    ``find`` needs no lock.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.lock = threading.Lock()
        self._limit = limit_bytes
        self._size = 0
        # Ordered, since taking the oldest out of a dict walks over all that was taken out before.
        self._entries: OrderedDict[Key, Entry] = OrderedDict()

    def find(self, kind: NodeKind, ids: Iterable[int]) -> dict[int, Entry]:
        entries = self._entries
        found = {}
        for node_id in ids:
            held = entries.get((kind, node_id))
            if held is not None:
                found[node_id] = held
        return found

    def put(self, kind: NodeKind, nodes: Mapping[int, Entry]) -> None:
        for node_id, entry in nodes.items():
            self.drop((kind, node_id))
            self._entries[kind, node_id] = entry
            self._size += _size(entry)
        while self._size > self._limit and self._entries:
            _, oldest = self._entries.popitem(last=False)
            self._size -= _size(oldest)

    def drop(self, key: Key) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._size -= _size(entry)

    def clear(self) -> None:
        self._entries.clear()
        self._size = 0


def _size(entry: bytes | tuple[str, bytes]) -> int:
    return len(entry if isinstance(entry, bytes) else entry[1]) + _OVERHEAD_BYTES


class NodeCache:
    """Serialized nodes by kind and id; safe for threads."""

    def __init__(self, limit_bytes: int) -> None:
        self._held: _Held[bytes] = _Held(limit_bytes)
        self._generation = 0

    def reset_after_fork(self) -> None:
        """Begin anew in a child, where the lock may be held by a thread that is not there."""
        self._held.lock = threading.Lock()
        self.clear()

    @property
    def generation(self) -> int:
        """Changes with every commit; odd while one is under way."""
        return self._generation

    def find(self, kind: NodeKind, ids: Iterable[int]) -> dict[int, bytes]:
        """Those of the nodes that are held, by id."""
        return self._held.find(kind, ids)

    def keep(self, kind: NodeKind, nodes: Mapping[int, bytes], *, read_at: int) -> None:
        """Hold nodes that were read while ``generation`` was ``read_at``, if it still is."""
        with self._held.lock:
            if self._generation == read_at and read_at % 2 == 0:
                self._held.put(kind, nodes)

    def commit_begins(self) -> None:
        with self._held.lock:
            self._generation += 1

    def commit_ended(self, changed: Iterable[Key]) -> None:
        with self._held.lock:
            for key in changed:
                self._held.drop(key)
            self._generation += 1

    def clear(self) -> None:
        """Drop everything: somebody else has written."""
        with self._held.lock:
            self._held.clear()
            self._generation += 2 + self._generation % 2


class VersionedNodes:
    """Serialized nodes with the version of their row; safe for threads.

    Every change of a node, its properties included, changes its row, whoever writes (decision 0012).
    """

    def __init__(self, limit_bytes: int) -> None:
        self._held: _Held[tuple[str, bytes]] = _Held(limit_bytes)

    def reset_after_fork(self) -> None:
        """Begin anew in a child, where the lock may be held by a thread that is not there."""
        self._held.lock = threading.Lock()
        self.clear()

    def find(self, kind: NodeKind, ids: Iterable[int]) -> dict[int, tuple[str, bytes]]:
        """Version and content of those of the nodes that are held, by id."""
        return self._held.find(kind, ids)

    def keep(self, kind: NodeKind, nodes: Mapping[int, tuple[str, bytes]]) -> None:
        with self._held.lock:
            self._held.put(kind, nodes)

    def clear(self) -> None:
        """Drop everything: another server may answer next, whose versions mean something else."""
        with self._held.lock:
            self._held.clear()
