"""Which nodes of a large graph are drawn as one.

Nodes that are alike, and that hang on the same nodes, tell a reader nothing one by one: four hundred
executions of one step that used the same data set are one box with a number. First what shares its
sources is folded, from the sources on, so that what the four hundred made is one node again; then what shares
its results.
"""

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence

from headwater.client.lineage import OUTPUTS, Kind, Subgraph
from headwater.v1 import metadata_store_pb2 as pb

NodeKey = tuple[Kind, int]
"""Kind and id."""

STEP_TYPE = "headwater.Step"
RUN_TYPE = "headwater.Run"


def step_of(node: pb.Artifact | pb.Execution) -> str:
    """The name of the step that an execution is an attempt at; empty for other nodes."""
    if isinstance(node, pb.Execution) and node.type == STEP_TYPE and "step" in node.properties:
        return node.properties["step"].string_value
    return ""


def folded(subgraph: Subgraph, *, most: int, kept: Collection[NodeKey] = ()) -> list[list[NodeKey]]:
    """The nodes, in groups that are each drawn as one; most have one node. In the order of their first nodes.

    Nodes are folded where there are more than ``most`` that are alike in kind, type, step and state, and
    that have the same sources, or the same results. Those ``kept`` never are.
    """
    nodes: dict[NodeKey, pb.Artifact | pb.Execution] = {
        **{("artifact", node_id): artifact for node_id, artifact in subgraph.artifacts.items()},
        **{("execution", node_id): execution for node_id, execution in subgraph.executions.items()},
    }
    sources, results = _neighbours(subgraph)
    folding = _Folding(nodes, most, frozenset(kept))
    order = _from_sources(nodes, sources, results)
    folding.fold(order, sources)
    folding.fold([*reversed(order)], results)
    groups: dict[NodeKey, list[NodeKey]] = defaultdict(list)
    for key in nodes:
        groups[folding.group_of(key)].append(key)
    return sorted(groups.values())


def _neighbours(
    subgraph: Subgraph,
) -> tuple[Mapping[NodeKey, set[NodeKey]], Mapping[NodeKey, set[NodeKey]]]:
    sources: dict[NodeKey, set[NodeKey]] = defaultdict(set)
    results: dict[NodeKey, set[NodeKey]] = defaultdict(set)
    for event in subgraph.events:
        tail: NodeKey = ("artifact", event.artifact_id)
        head: NodeKey = ("execution", event.execution_id)
        if event.type in OUTPUTS:
            tail, head = head, tail
        sources[head].add(tail)
        results[tail].add(head)
    return sources, results


def _state(node: pb.Artifact | pb.Execution) -> int:
    return node.state if isinstance(node, pb.Artifact) else node.last_known_state


def _from_sources(
    nodes: Iterable[NodeKey],
    sources: Mapping[NodeKey, set[NodeKey]],
    results: Mapping[NodeKey, set[NodeKey]],
) -> list[NodeKey]:
    """The nodes, each behind all that it was made from; what goes in circles comes last."""
    waits_for = {key: len(sources.get(key, ())) for key in nodes}
    ready = [key for key, count in waits_for.items() if not count]
    order: list[NodeKey] = []
    while ready:
        key = ready.pop()
        order.append(key)
        for head in results.get(key, ()):
            waits_for[head] -= 1
            if not waits_for[head]:
                ready.append(head)
    known = set(order)
    return order + [key for key in waits_for if key not in known]


class _Folding:
    """Which nodes are one so far."""

    def __init__(
        self, nodes: Mapping[NodeKey, pb.Artifact | pb.Execution], most: int, kept: Collection[NodeKey]
    ) -> None:
        self._nodes = nodes
        self._most = most
        self._kept = kept
        self._next: dict[NodeKey, NodeKey] = {}
        """From a node towards the one that stands for its group."""

    def group_of(self, key: NodeKey) -> NodeKey:
        """The node that stands for the group of a node."""
        while key in self._next:
            above = self._next[key]
            if above in self._next:
                self._next[key] = self._next[above]
            key = above
        return key

    def fold(self, order: Sequence[NodeKey], towards: Mapping[NodeKey, set[NodeKey]]) -> None:
        """Make one what is alike and hangs ``towards`` the same groups.

        Level by level, since what hangs on a node can only be folded once it is known what that is drawn as.
        """
        depths: dict[NodeKey, int] = {}
        levels: dict[int, list[NodeKey]] = defaultdict(list)
        for key in order:
            depths[key] = 1 + max((depths.get(there, 0) for there in towards.get(key, ())), default=-1)
            levels[depths[key]].append(key)
        for depth in sorted(levels):
            alike: dict[Hashable, list[NodeKey]] = defaultdict(list)
            for key in levels[depth]:
                hung_on = frozenset(map(self.group_of, towards.get(key, ())))
                if hung_on and key not in self._kept:
                    alike[self._looks(key), hung_on].append(key)
            for keys in alike.values():
                if len(keys) > self._most:
                    self._join(keys)

    def _looks(self, key: NodeKey) -> Hashable:
        node = self._nodes[key]
        return key[0], node.type, step_of(node), _state(node)

    def _join(self, keys: Sequence[NodeKey]) -> None:
        first = self.group_of(keys[0])
        for key in keys[1:]:
            group = self.group_of(key)
            if group != first:
                self._next[group] = first
