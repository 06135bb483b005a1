"""Sets of ids that take about a bit a member, and counts by id that take a few bytes."""

import struct
from array import array
from collections.abc import Iterable, Iterator

_SHIFT = 12
_IDS_A_CHUNK = 1 << _SHIFT
_MASK = _IDS_A_CHUNK - 1
_FEW = 256
_WORD = struct.Struct("<Q")
_BITS_A_WORD = 64
_COUNTS_A_CHUNK = 128


class IdSet:
    """A set of ids, 0 or larger. A bit for each id of a stretch of 4,096 that has a member.

    Ids are given out one after the other, so that what belongs together lies together: a million nodes take
    some 150 KB. Scattered ones take at most 700 bytes each. The first few are in a plain set: it is faster.
    """

    __slots__ = ("_chunks", "_count", "_few")

    def __init__(self, ids: Iterable[int] = ()) -> None:
        self._few: set[int] | None = set()
        self._chunks: dict[int, bytearray] = {}
        self._count = 0
        """Of those in ``_chunks``."""
        self.update(ids)

    def add(self, node_id: int) -> bool:
        """Whether it is new."""
        if self._few is not None:
            if node_id in self._few:
                return False
            self._few.add(node_id)
            if len(self._few) > _FEW:
                few, self._few = self._few, None
                self.update(few)
            return True
        chunk = self._chunks.get(node_id >> _SHIFT)
        if chunk is None:
            chunk = self._chunks[node_id >> _SHIFT] = bytearray(_IDS_A_CHUNK // 8)
        at, bit = (node_id & _MASK) >> 3, 1 << (node_id & 7)
        if chunk[at] & bit:
            return False
        chunk[at] |= bit
        self._count += 1
        return True

    def update(self, ids: Iterable[int]) -> None:
        for node_id in ids:
            self.add(node_id)

    def __contains__(self, node_id: int) -> bool:
        if self._few is not None:
            return node_id in self._few
        chunk = self._chunks.get(node_id >> _SHIFT)
        return chunk is not None and bool(chunk[(node_id & _MASK) >> 3] & 1 << (node_id & 7))

    def __len__(self) -> int:
        return self._count if self._few is None else len(self._few)

    def __iter__(self) -> Iterator[int]:
        """Ascending. Members that are added meanwhile may be left out."""
        if self._few is not None:
            return iter(sorted(self._few))
        return self._all()

    def _all(self) -> Iterator[int]:
        for key in sorted(self._chunks):
            base = (key << _SHIFT) - 1
            for (word,) in _WORD.iter_unpack(self._chunks[key]):
                while word:
                    low = word & -word
                    yield base + low.bit_length()
                    word ^= low  # noqa: PLW2901  # bit by bit
                base += _BITS_A_WORD


class IdCounts:
    """How often each id was counted."""

    __slots__ = ("_chunks",)

    def __init__(self) -> None:
        self._chunks: dict[int, array[int]] = {}

    def add(self, node_id: int, count: int) -> None:
        key, at = divmod(node_id, _COUNTS_A_CHUNK)
        chunk = self._chunks.get(key)
        if chunk is None:
            chunk = self._chunks[key] = array("Q", bytes(8 * _COUNTS_A_CHUNK))
        chunk[at] += count

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """(id, count) of all that were counted, ascending by id."""
        for key in sorted(self._chunks):
            for at, count in enumerate(self._chunks[key]):
                if count:
                    yield key * _COUNTS_A_CHUNK + at, count
