"""How one node leads to another: the shortest ways along the flow of data, and the ones after that.

First what lies between the two is read, from both ends towards the middle, so that a data set with a million
consumers costs nothing when the other end is a model with ten ancestors. Then paths are drawn from
what was read, shortest first, without following any edge that does not lead to the end.
"""

import heapq
import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from headwater.graph import events
from headwater.graph.events import ARTIFACT_AT, EXECUTION_AT, OUTPUTS, Bounds, Row, leading_on, other
from headwater.lineage import Direction
from headwater.storage.kinds import ARTIFACT, EXECUTION, NodeKind
from headwater.storage.nodes import batches
from headwater.storage.transactions import Transaction

# Events that one question reads, and ways that it tries.
_MOST_EVENTS = 100_000
_MOST_TRIED = 100_000
# Executions use a few artifacts; what uses an artifact may be millions.
_DEARER_DOWN = 20


@dataclass(frozen=True, order=True)
class Node:
    """An artifact or an execution. In order artifacts come first, then it is by id."""

    is_execution: bool
    node_id: int

    @property
    def kind(self) -> NodeKind:
        return EXECUTION if self.is_execution else ARTIFACT


@dataclass(frozen=True)
class Paths:
    """What was found."""

    paths: Sequence[Sequence[Node]]
    """Shortest first, those of one length by the nodes along them; each along the flow of data."""
    events: Mapping[tuple[Node, Node], int]
    """For two nodes that follow each other, the first event that leads from one to the other."""
    cut: str | None
    """Why there may be more than these."""
    rows: Mapping[int, Row]
    """The rows of these events, by id."""


@dataclass
class _Side:
    """What was read from one end: nodes by their distance from it, and the last level."""

    direction: Direction
    end: Node
    distances: dict[Node, int] = field(default_factory=dict)
    level: list[Node] = field(default_factory=list)
    depth: int = 0
    is_given_up: bool = False
    """The next level has more events than may be read."""

    def __post_init__(self) -> None:
        self.distances[self.end] = 0
        self.level = [self.end]

    @property
    def can_go_on(self) -> bool:
        return bool(self.level) and not self.is_given_up


@dataclass
class _Between:
    """Edges along the flow of data, from both sides."""

    edges: dict[Node, dict[Node, Row]] = field(default_factory=lambda: defaultdict(dict))
    """By tail and head the first event."""
    count: int = 0

    def add(self, row: Row) -> tuple[Node, Node]:
        artifact, execution = Node(False, row[ARTIFACT_AT]), Node(True, row[EXECUTION_AT])
        tail, head = (execution, artifact) if row[3] in OUTPUTS else (artifact, execution)
        known = self.edges[tail].get(head)
        if known is None:
            self.count += 1
        if known is None or row[0] < known[0]:
            self.edges[tail][head] = row
        return tail, head


def find_paths(
    tx: Transaction, first: Node, last: Node, bounds: Bounds, *, max_paths: int, max_hops: int | None
) -> Paths:
    """Ways from ``first`` to ``last``, or where there are none from ``last`` to ``first``.

    No node is on a path twice. Costs one statement a level, and reads at most 100,000 events each way.
    """
    if first == last:
        return Paths([[first]], {}, None, {})
    forth = _paths_along(tx, first, last, bounds, max_paths=max_paths, max_hops=max_hops)
    if forth.paths:
        return forth
    back = _paths_along(tx, last, first, bounds, max_paths=max_paths, max_hops=max_hops)
    return back if back.paths or back.cut else forth


def _paths_along(
    tx: Transaction, first: Node, last: Node, bounds: Bounds, *, max_paths: int, max_hops: int | None
) -> Paths:
    between = _Between()
    known_hops = _read_between(tx, between, first, last, bounds, max_hops=max_hops)
    paths, was_tried_enough = _shortest(
        between.edges, first, last, count=max_paths + 1, max_hops=max_hops, known_hops=known_hops
    )
    cut = None
    if len(paths) > max_paths:
        cut = f"there are more than {max_paths} paths; raise max_paths (to 100 at most), or lower max_hops"
    elif not was_tried_enough:
        cut = f"more than {_MOST_TRIED} ways were tried; lower max_hops"
    elif known_hops is not None:
        cut = (
            f"only paths of up to {known_hops} hops were looked for, since the two have more than "
            f"{_MOST_EVENTS} events around them; ask for nodes that are nearer to each other"
        )
    paths = paths[:max_paths]
    steps = {pair: between.edges[pair[0]][pair[1]] for path in paths for pair in itertools.pairwise(path)}
    return Paths(
        paths, {pair: row[0] for pair, row in steps.items()}, cut, {row[0]: row for row in steps.values()}
    )


def _read_between(
    tx: Transaction, between: _Between, first: Node, last: Node, bounds: Bounds, *, max_hops: int | None
) -> int | None:
    """Read the edges that paths may have; up to how many hops all of them are known, ``None``: all."""
    down, up = _Side(Direction.DOWNSTREAM, first), _Side(Direction.UPSTREAM, last)
    while True:
        if max_hops is not None and down.depth + up.depth >= max_hops:
            return None
        if not up.level or not down.level:
            # One side is known to its end, and so every path is.
            return None
        sides = [side for side in (up, down) if side.can_go_on]
        if not sides:
            return down.depth + up.depth
        side = min(sides, key=lambda side: len(side.level) * (1 if side is up else _DEARER_DOWN))
        _go_on(tx, side, between, bounds)


def _go_on(tx: Transaction, side: _Side, between: _Between, bounds: Bounds) -> None:
    kind = side.level[0].kind
    rows: list[Row] = []
    types = leading_on(kind, side.direction)
    for batch in batches([node.node_id for node in side.level]):
        tx.check_caller()
        most = _MOST_EVENTS - between.count - len(rows) + 1
        rows += events.some_of(tx, kind, batch, types, bounds, most=most)
        if len(rows) + between.count > _MOST_EVENTS:
            side.is_given_up = True
            return
    there = other(kind) is EXECUTION
    at = EXECUTION_AT if there else ARTIFACT_AT
    met: set[Node] = set()
    for row in rows:
        between.add(row)
        node = Node(there, row[at])
        if node not in side.distances:
            met.add(node)
    side.depth += 1
    side.distances.update(dict.fromkeys(met, side.depth))
    side.level = sorted(met)


def _shortest(
    edges: Mapping[Node, Mapping[Node, Row]],
    first: Node,
    last: Node,
    *,
    count: int,
    max_hops: int | None,
    known_hops: int | None,
) -> tuple[list[list[Node]], bool]:
    """The first ``count`` paths, and whether no more were to be tried.

    Ways are tried in the order of how long they will be at least, then by their nodes. So the first that
    arrives is the shortest, and where nothing goes in circles none is tried in vain.
    """
    to_go = _hops_to(edges, last)
    if first not in to_go:
        return [], True
    most = min((hops for hops in (max_hops, known_hops) if hops is not None), default=None)
    found: list[list[Node]] = []
    ways: list[tuple[int, tuple[Node, ...]]] = [(to_go[first], (first,))]
    tried = 0
    while ways:
        length, way = heapq.heappop(ways)
        if most is not None and length > most:
            break
        if way[-1] == last:
            found.append(list(way))
            if len(found) == count:
                break
            continue
        tried += 1
        if tried > _MOST_TRIED:
            return found, False
        for node in edges.get(way[-1], ()):
            if node in to_go and node not in way:
                heapq.heappush(ways, (len(way) + to_go[node], (*way, node)))
    return found, True


def _hops_to(edges: Mapping[Node, Mapping[Node, Row]], last: Node) -> dict[Node, int]:
    """How far each node is from ``last`` at least, of those that lead there."""
    back: dict[Node, list[Node]] = defaultdict(list)
    for tail, heads in edges.items():
        for head in heads:
            back[head].append(tail)
    hops = {last: 0}
    level = [last]
    while level:
        level = [
            tail
            for node in level
            for tail in back[node]
            if hops.setdefault(tail, hops[node] + 1) == hops[node] + 1
        ]
        level = list(dict.fromkeys(level))
    return hops
