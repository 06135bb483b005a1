"""The nodes of one level of a walk in the order of their ids, from several sources, some at a time.

Most of a level is known when it begins: the nodes that the events of the level before led to. But where an
artifact has very many consumers, or a context very many members, these are not read beforehand: they
come in the order of their ids from an index, a page at a time, and are merged here.
"""

import heapq
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import sqlalchemy as sa

from headwater.graph.events import EXECUTION_AT, Bounds, Row, Types, question_of_one, without_last
from headwater.graph.idsets import IdSet
from headwater.storage.kinds import ARTIFACT, NodeKind
from headwater.storage.statements import Prepared
from headwater.storage.transactions import Question, Transaction

# Of all sources of a level together, rows that wait for their turn.
_ROWS_WAITING = 4_000
_FEWEST_ROWS = 16
_ROWS_AT_FIRST = 256


@dataclass
class _Source(ABC):
    """Ids from an index, ascending, and the rows that name them."""

    at: int
    """The column of a row that has the id."""
    waiting: deque[Row] = field(default_factory=deque)
    after: int = 0
    is_read: bool = False

    @abstractmethod
    def question(self, most: int) -> Question:
        """The next rows, ``most`` at most."""

    def keep(self, rows: Sequence[Row], most: int) -> None:
        self.is_read = len(rows) < most
        if not self.is_read:
            rows = without_last(rows, self.at)
        if rows:
            self.after = rows[-1][self.at]
            self.waiting += rows


@dataclass
class Consumers(_Source):
    """The executions at the other end of an artifact's events."""

    artifact_id: int = 0
    types: Types = ()
    bounds: Bounds | None = None

    def question(self, most: int) -> Question:
        assert self.bounds is not None
        return question_of_one(
            ARTIFACT, self.types, self.bounds, node_id=self.artifact_id, after=self.after, most=most
        )


@dataclass
class Members(_Source):
    """The nodes of one kind that are linked to a context."""

    kind: NodeKind = ARTIFACT
    context_id: int = 0
    bounds: Bounds | None = None

    def question(self, most: int) -> Question:
        assert self.bounds is not None
        bound = self.bounds.attribution_id if self.kind is ARTIFACT else self.bounds.association_id
        return _members(self.kind), self.context_id, self.after, bound, most


@cache
def _members(kind: NodeKind) -> Prepared:
    assert kind.links is not None and kind.link_column is not None
    node = kind.links.c[kind.link_column]
    return Prepared(
        sa.select(node)
        .where(
            kind.links.c.context_id == sa.bindparam("context", type_=sa.BigInteger()),
            node > sa.bindparam("after", type_=sa.BigInteger()),
            kind.links.c.id <= sa.bindparam("bound", type_=sa.BigInteger()),
        )
        .order_by(node)
        .limit(sa.bindparam("most", type_=sa.BigInteger())),
        "context",
        "after",
        "bound",
        "most",
    )


def consumers(artifact_ids: Iterable[int], types: Types, bounds: Bounds) -> list[_Source]:
    """A source for each artifact."""
    return [
        Consumers(EXECUTION_AT, artifact_id=artifact_id, types=types, bounds=bounds)
        for artifact_id in artifact_ids
    ]


def members(kind: NodeKind, context_ids: Iterable[int], bounds: Bounds) -> list[_Source]:
    """A source for each context."""
    return [Members(0, kind=kind, context_id=context_id, bounds=bounds) for context_id in context_ids]


class Merged:
    """The ids of ``known`` and those of ``sources``, ascending, each once."""

    def __init__(
        self,
        known: Iterable[int] = (),
        events: Mapping[int, Sequence[Row]] | None = None,
        sources: Sequence[_Source] = (),
    ) -> None:
        self._known: Iterator[int] = iter(known)
        self._events = events or {}
        self._sources = sources
        self._most = max(_FEWEST_ROWS, _ROWS_WAITING // max(1, len(sources)))
        self._count = min(self._most, _ROWS_AT_FIRST)
        """How many rows of a source are read with one statement: more and more, for those who stay."""
        self._heap: list[tuple[int, int]] = []
        """The next id of each source that has rows waiting, with the index of the source."""
        self._next_known = next(self._known, None)
        self._has_short = bool(sources)
        """Whether a source has to be read on before the next id is known."""

    def peek(self, tx: Transaction, without: IdSet) -> int | None:
        """The next id that is not among ``without``; ``None``: there is none."""
        while True:
            node_id = self._smallest(tx)
            if node_id is None or node_id not in without:
                return node_id
            self._pop(node_id)

    def take(self, tx: Transaction, count: int, without: IdSet) -> list[tuple[int, list[Row]]]:
        """The next ids, at most ``count``, with the events that lead to them as far as they are known."""
        taken: list[tuple[int, list[Row]]] = []
        while len(taken) < count:
            node_id = self.peek(tx, without)
            if node_id is None:
                break
            taken.append((node_id, self._pop(node_id)))
        return taken

    def rest(self) -> Iterator[int]:
        """The ids that are in memory, in no order. Takes them, and some may repeat."""
        for source in self._sources:
            yield from (row[source.at] for row in source.waiting)
        if self._next_known is not None:
            yield self._next_known
        yield from self._known

    def _smallest(self, tx: Transaction) -> int | None:
        if self._has_short:
            self._fill(tx)
        from_source = self._heap[0][0] if self._heap else None
        if from_source is None or (self._next_known is not None and self._next_known < from_source):
            return self._next_known
        return from_source

    def _pop(self, node_id: int) -> list[Row]:
        rows: list[Row] = []
        if node_id == self._next_known:
            self._next_known = next(self._known, None)
            rows += self._events.get(node_id, ())
        while self._heap and self._heap[0][0] == node_id:
            _, index = heapq.heappop(self._heap)
            source = self._sources[index]
            while source.waiting and source.waiting[0][source.at] == node_id:
                rows.append(source.waiting.popleft())
            if source.waiting:
                heapq.heappush(self._heap, (source.waiting[0][source.at], index))
            elif not source.is_read:
                self._has_short = True
        return rows

    def _fill(self, tx: Transaction) -> None:
        """Read on where nothing waits, and with the same questions where little does."""
        self._has_short = False
        short = [
            (index, source)
            for index, source in enumerate(self._sources)
            if not source.is_read and len(source.waiting) < self._count // 4
        ]
        answers = tx.rows_of_each([source.question(self._count) for _, source in short])
        for (index, source), rows in zip(short, answers, strict=True):
            had_none = not source.waiting
            source.keep(rows, self._count)
            if had_none and source.waiting:
                heapq.heappush(self._heap, (source.waiting[0][source.at], index))
        self._count = min(self._most, 2 * self._count)
