"""A walk in a fixed order, a page at a time, without ever holding more than a page and a bit a node.

Nodes come nearest first, of one distance artifacts before executions, then by id. Each event that the walk
follows comes once, with that of its two nodes that comes later.

What a page needs is read when the page is asked for. A level of the walk is known, as ids, when the level
before it has been given whole, because each node's events are read when the node is given: they are what
it hangs on to earlier nodes by, and lead to later ones. While a level is narrow its events are kept until
their turn; where it is wide only the ids are, and the events are read once more, from their other end. An
artifact with very many consumers is not read when it is given: its consumers come from an index, in their
order (``merging``).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from headwater.graph import events
from headwater.graph.events import Ahead, Bounds, Reader, Row, column_of, leading_on, other
from headwater.graph.idsets import IdSet
from headwater.graph.merging import Merged, consumers, members
from headwater.lineage import Direction
from headwater.storage.kinds import ARTIFACT, EXECUTION, NodeKind
from headwater.storage.listing import Filter, matching
from headwater.storage.transactions import Transaction

MOST_EVENTS_A_PAGE = 10_000

# Events kept from one level to the next.
_MOST_KEPT = 10_000
# Nodes of a page have more than this many events together: some of them have very many.
_MANY = 1_000
_FEWEST_OF_MANY = 16
# Artifacts of a level whose consumers are not read beforehand, and executions these are looked for among.
_MOST_PUT_OFF = 1_000
_MOST_ASKED_FOR = 10_000

_KINDS = (ARTIFACT, EXECUTION)


@dataclass(frozen=True)
class Start:
    """Where a walk begins. Ids ascending, each once; all stored."""

    artifact_ids: Sequence[int] = ()
    execution_ids: Sequence[int] = ()
    context_ids: Sequence[int] = ()
    """All their artifacts and executions."""


@dataclass(frozen=True)
class Question:
    """How a walk goes on, and how much of it is wanted."""

    direction: Direction
    page_size: int
    max_hops: int | None = None
    max_nodes: int | None = None
    until: Mapping[NodeKind, Filter] = field(default_factory=dict)
    """The walk does not go beyond nodes that match."""


@dataclass(frozen=True)
class Part:
    """Nodes of a page that have one kind and distance, ascending."""

    hops: int
    kind: NodeKind
    ids: Sequence[int]


@dataclass
class Page:
    """What is given at once. Only the last page may be empty."""

    parts: list[Part] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)
    """In no order."""
    is_last: bool = False
    nodes_left: int | None = None
    """On the last page, if ``max_nodes`` left out nodes: how many were met, at least."""


def _a_set_each() -> dict[NodeKind, IdSet]:
    return {kind: IdSet() for kind in _KINDS}


class _Level:
    """The nodes of one distance: where they come from, and what was learnt of the next level on the way."""

    def __init__(self, nodes: Mapping[NodeKind, Merged], wide: Iterable[NodeKind] = ()) -> None:
        self.nodes = nodes
        """By kind, artifacts first; a kind that has none may be missing."""
        self.wide = frozenset(wide)
        """The kinds of which the events that lead here were not kept."""
        self.followed = _a_set_each()
        """Those of its nodes from which the walk goes on."""
        self.next = _a_set_each()
        self.next_events: dict[NodeKind, dict[int, list[Row]]] = {kind: {} for kind in _KINDS}
        self.next_wide: set[NodeKind] = set()
        self._kept = 0
        self.put_off: list[int] = []
        """Artifacts whose consumers have not been read."""

    def meet(self, kind: NodeKind, node_id: int, row: Row) -> None:
        """A node of the next level, and an event that leads to it."""
        self.next[kind].add(node_id)
        if kind in self.next_wide:
            return
        if self._kept >= _MOST_KEPT:
            self.next_wide.add(kind)
            self.next_events[kind] = {}
            return
        self._kept += 1
        self.next_events[kind].setdefault(node_id, []).append(row)

    def beyond(self, direction: Direction, bounds: Bounds) -> "_Level":
        """The next level."""
        nodes: dict[NodeKind, Merged] = {}
        if self.next[ARTIFACT]:
            nodes[ARTIFACT] = Merged(self.next[ARTIFACT], self.next_events[ARTIFACT])
        if self.next[EXECUTION] or self.put_off:
            sources = consumers(self.put_off, leading_on(ARTIFACT, direction), bounds)
            nodes[EXECUTION] = Merged(self.next[EXECUTION], self.next_events[EXECUTION], sources)
        return _Level(nodes, self.next_wide)


class Walk:
    """One walk. ``reader`` has the transaction of the page that is being made."""

    def __init__(self, reader: Reader, start: Start, question: Question, bounds: Bounds) -> None:
        self._reader = reader
        self._question = question
        self._direction = question.direction
        self._bounds = bounds
        self._given = _a_set_each()
        self._before = _a_set_each()
        """Nodes of the level before this one from which the walk went on."""
        self._level = _Level(
            {
                kind: Merged(ids, sources=members(kind, start.context_ids, bounds))
                for kind, ids in ((ARTIFACT, start.artifact_ids), (EXECUTION, start.execution_ids))
            }
        )
        self._hops = 0
        dialect = reader.tx.dialect
        self._ahead = Ahead(question.direction, bounds, dialect, ends=bool(question.until))

    @property
    def _tx(self) -> Transaction:
        return self._reader.tx

    def pages(self) -> Iterator[Page]:
        """The pages in order. Between two of them ``reader`` may be given another transaction."""
        page, size, left = Page(), 0, self._question.max_nodes
        for kind in self._places():
            nodes, given = self._level.nodes[kind], self._given[kind]
            while nodes.peek(self._tx, given) is not None:
                if left == 0:
                    page.nodes_left = max(1, self._nodes_left(kind))
                    break
                if size == self._question.page_size:
                    yield page
                    page, size = Page(), 0
                most = self._question.page_size - size
                most = most if left is None else min(most, left)
                met = nodes.take(self._tx, most, given)
                size += len(met)
                left = None if left is None else left - len(met)
                page.parts.append(Part(self._hops, kind, [node_id for node_id, _ in met]))
                for rows in self._events_with(kind, met):
                    # In an order, so that a page that is made again is the same.
                    page.events += sorted(rows)
                    while len(page.events) > MOST_EVENTS_A_PAGE:
                        rest = page.events[MOST_EVENTS_A_PAGE:]
                        del page.events[MOST_EVENTS_A_PAGE:]
                        yield page
                        page = Page(events=rest)
            if page.nodes_left is not None:
                break
        page.is_last = True
        yield page

    def _places(self) -> Iterator[NodeKind]:
        """The kinds of each level, level by level, until there is no more."""
        while self._level.nodes:
            yield from self._level.nodes
            self._before = self._level.followed
            self._level = self._level.beyond(self._direction, self._bounds)
            self._hops += 1

    def _nodes_left(self, kind: NodeKind) -> int:
        """How many nodes are known that were not given, from ``kind`` of this level on."""
        left = self._level.next
        for there in _KINDS[_KINDS.index(kind) :]:
            if there in self._level.nodes:
                left[there].update(self._level.nodes[there].rest())
        return sum(node_id not in self._given[there] for there in _KINDS for node_id in left[there])

    # Events

    def _events_with(self, kind: NodeKind, met: Sequence[tuple[int, Sequence[Row]]]) -> Iterator[list[Row]]:
        """The events that come with these nodes; what they lead to is learnt on the way."""
        ids = [node_id for node_id, _ in met]
        if self._hops:
            yield from self._leading_here(kind, met)
        self._given[kind].update(ids)
        followed = self._followed(kind, ids)
        self._level.followed[kind].update(followed)
        if kind is EXECUTION and len(self._level.followed[ARTIFACT]):
            yield from self._from_artifacts_beside(ids, followed)
        if followed:
            yield from self._leading_on(kind, followed)

    def _leading_here(self, kind: NodeKind, met: Sequence[tuple[int, Sequence[Row]]]) -> Iterator[list[Row]]:
        """The events from the level before."""
        if kind not in self._level.wide:
            yield [row for _, rows in met for row in rows]
            return
        there = other(kind)
        at, before = column_of(there), self._before[there]
        types = leading_on(there, self._direction)
        ids = [node_id for node_id, _ in met]
        for rows in events.all_of(self._reader, kind, ids, types, self._bounds):
            yield [row for row in rows if row[at] in before]

    def _followed(self, kind: NodeKind, ids: Sequence[int]) -> list[int]:
        """Those of a level's nodes from which the walk goes on."""
        if self._hops == self._question.max_hops:
            return []
        where = self._question.until.get(kind)
        if where is None:
            return list(ids)
        ended = matching(self._tx, kind, ids, where)
        return [node_id for node_id in ids if node_id not in ended]

    def _from_artifacts_beside(self, ids: Sequence[int], followed: Sequence[int]) -> Iterator[list[Row]]:
        """The events that lead to executions from artifacts of the same level: some walks begin at both."""
        types = leading_on(ARTIFACT, self._direction)
        if self._direction is Direction.BOTH:
            # Those from which the walk goes on lead back to these artifacts by the same events.
            ids = sorted(set(ids) - set(followed))
        beside = self._level.followed[ARTIFACT]
        for rows in events.all_of(self._reader, EXECUTION, ids, types, self._bounds):
            yield [row for row in rows if row[events.ARTIFACT_AT] in beside]

    def _leading_on(self, kind: NodeKind, ids: Sequence[int]) -> Iterator[list[Row]]:
        """The events that lead from these nodes back to nodes given before."""
        types = leading_on(kind, self._direction)
        hops_left = None if self._question.max_hops is None else self._question.max_hops - self._hops
        rows = self._ahead.find(self._tx, kind, ids, hops=self._hops, hops_left=hops_left)
        if rows is None and (kind is EXECUTION or not self._can_put_off(len(ids))):
            for some in events.all_of(self._reader, kind, ids, types, self._bounds):
                yield self._met(kind, some)
            return
        if rows is None:
            rows = events.some_of(self._tx, kind, ids, types, self._bounds, most=_MANY + 1)
            if len(rows) > _MANY:
                rows = self._put_off(ids)
        yield self._met(kind, rows)

    def _met(self, kind: NodeKind, rows: Iterable[Row]) -> list[Row]:
        """Those events that lead back; of the others, the level learns where they lead."""
        there = other(kind)
        at, given, level = column_of(there), self._given[there], self._level
        # What is followed both ways has come here by some of them, and had them then.
        came_by = self._before[there] if self._direction is Direction.BOTH else ()
        back = []
        for row in rows:
            node_id = row[at]
            if node_id not in given:
                level.meet(there, node_id, row)
            elif node_id not in came_by:
                back.append(row)
        return back

    def _can_put_off(self, count: int) -> bool:
        return (
            len(self._level.put_off) + count <= _MOST_PUT_OFF
            and len(self._given[EXECUTION]) <= _MOST_ASKED_FOR
        )

    def _put_off(self, ids: Sequence[int]) -> list[Row]:
        """Where there are very many events: all of most artifacts, and of the others those that lead back."""
        types = leading_on(ARTIFACT, self._direction)
        rows: list[Row] = []
        put_off = list(ids)
        if len(ids) > 1:
            most = max(_FEWEST_OF_MANY, _MANY // len(ids))
            first = events.few_of_each(self._tx, ARTIFACT, ids, types, self._bounds, most=most)
            put_off = [node_id for node_id, some in first.items() if len(some) == most]
            rows = [row for some in first.values() if len(some) < most for row in some]
        self._level.put_off += put_off
        return rows + events.between(self._tx, put_off, list(self._given[EXECUTION]), types, self._bounds)
