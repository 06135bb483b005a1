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

from headwater.storage.kinds import NodeKind

Key = tuple[NodeKind, int]

DEFAULT_CACHE_BYTES = 64 * 1024 * 1024
# What the dictionaries and the bytes object of one entry cost beside its content.
_OVERHEAD_BYTES = 250


class NodeCache:
    """Serialized nodes by kind and id, the oldest dropped first; safe for threads."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._held = 0
        # Ordered, since taking the oldest out of a dict walks over all that was taken out before.
        self._nodes: OrderedDict[Key, bytes] = OrderedDict()
        self._generation = 0
        self._lock = threading.Lock()

    def reset_after_fork(self) -> None:
        """Begin anew in a child, where the lock may be held by a thread that is not there."""
        self._lock = threading.Lock()
        self.clear()

    @property
    def generation(self) -> int:
        """Changes with every commit; odd while one is under way."""
        return self._generation

    def find(self, kind: NodeKind, ids: Iterable[int]) -> dict[int, bytes]:
        """Those of the nodes that are held, by id."""
        nodes = self._nodes
        found = {}
        for node_id in ids:
            held = nodes.get((kind, node_id))
            if held is not None:
                found[node_id] = held
        return found

    def keep(self, kind: NodeKind, nodes: Mapping[int, bytes], *, read_at: int) -> None:
        """Hold nodes that were read while ``generation`` was ``read_at``, if it still is."""
        with self._lock:
            if self._generation != read_at or read_at % 2:
                return
            for node_id, content in nodes.items():
                key = (kind, node_id)
                if key not in self._nodes:
                    self._held += len(content) + _OVERHEAD_BYTES
                self._nodes[key] = content
            while self._held > self._limit and self._nodes:
                _, oldest = self._nodes.popitem(last=False)
                self._held -= len(oldest) + _OVERHEAD_BYTES

    def commit_begins(self) -> None:
        with self._lock:
            self._generation += 1

    def commit_ended(self, changed: Iterable[Key]) -> None:
        with self._lock:
            for key in changed:
                content = self._nodes.pop(key, None)
                if content is not None:
                    self._held -= len(content) + _OVERHEAD_BYTES
            self._generation += 1

    def clear(self) -> None:
        """Drop everything: somebody else has written."""
        with self._lock:
            self._nodes.clear()
            self._held = 0
            self._generation += 2 + self._generation % 2


class VersionedNodes:
    """Serialized nodes with the version of their row, the oldest dropped first; safe for threads.

    Every change of a node, its properties included, changes its row, whoever writes.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._held = 0
        self._nodes: OrderedDict[Key, tuple[str, bytes]] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, kind: NodeKind, ids: Iterable[int]) -> dict[int, tuple[str, bytes]]:
        """Version and content of those of the nodes that are held, by id."""
        nodes = self._nodes
        found = {}
        for node_id in ids:
            held = nodes.get((kind, node_id))
            if held is not None:
                found[node_id] = held
        return found

    def keep(self, kind: NodeKind, nodes: Mapping[int, tuple[str, bytes]]) -> None:
        with self._lock:
            for node_id, entry in nodes.items():
                before = self._nodes.pop((kind, node_id), None)
                if before is not None:
                    self._held -= len(before[1]) + _OVERHEAD_BYTES
                self._nodes[kind, node_id] = entry
                self._held += len(entry[1]) + _OVERHEAD_BYTES
            while self._held > self._limit and self._nodes:
                _, (_, content) = self._nodes.popitem(last=False)
                self._held -= len(content) + _OVERHEAD_BYTES

    def clear(self) -> None:
        """Drop everything: another server may answer next, whose versions mean something else."""
        with self._lock:
            self._nodes.clear()
            self._held = 0

    def reset_after_fork(self) -> None:
        self._lock = threading.Lock()
