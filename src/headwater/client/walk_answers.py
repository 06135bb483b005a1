"""What a walk has met: page by page, and whole."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

from headwater.client.drawing import MOST_ALIKE, digraph, path_text, svg
from headwater.client.folding import RUN_TYPE, NodeKey, step_of
from headwater.client.lineage import Subgraph
from headwater.client.plain import plain_event, plain_node
from headwater.client.values import Plain, from_value
from headwater.errors import FailedPrecondition
from headwater.v1 import lineage_pb2 as rpc
from headwater.v1 import metadata_store_pb2 as pb

if TYPE_CHECKING:
    import graphviz

Node = pb.Artifact | pb.Execution
Row = dict[str, Any]
"""A flat dict: the columns of one row."""


def key_of(node: Node) -> NodeKey:
    """Kind and id."""
    return ("artifact", node.id) if isinstance(node, pb.Artifact) else ("execution", node.id)


def _met(node: rpc.WalkResponse.WalkNode) -> Node:
    return node.artifact if node.HasField("artifact") else node.execution


@dataclass(frozen=True)
class Reuse:
    """How often what an execution made was reused instead of being made again."""

    hits: int
    runs: int
    """The runs that these hits belong to."""

    def __str__(self) -> str:
        return f"reused by {self.runs:,} run{'s' if self.runs > 1 else ''}"


@dataclass(frozen=True)
class WalkPage:
    """A page of a walk."""

    nodes: Sequence[tuple[int, Node]]
    """Hops from the start, and the node: nearest first, then artifacts before executions, then by id."""
    events: Sequence[pb.Event]
    """Those by which these nodes hang together with each other and with those of earlier pages."""
    contexts: Sequence[pb.Context]
    """Those of these nodes that earlier pages lack."""
    attributions: Sequence[pb.Attribution]
    associations: Sequence[pb.Association]
    next_page_token: str
    """``page_token`` for a walk that goes on behind this page; empty on the last one."""
    cut: str | None = None
    nodes_left: int = 0
    """How many nodes were met and left out, at least."""
    reused_by: Mapping[int, Reuse] = field(default_factory=dict)
    """By id, those executions of this page whose hits are left out."""

    @classmethod
    def of_message(cls, message: rpc.WalkResponse) -> "WalkPage":
        return cls(
            [(node.hops, _met(node)) for node in message.nodes],
            list(message.events),
            list(message.contexts),
            list(message.attributions),
            list(message.associations),
            message.next_page_token,
            message.cut.reason if message.HasField("cut") else None,
            message.cut.nodes_left,
            {reuse.execution_id: Reuse(reuse.hits, reuse.runs) for reuse in message.reuses},
        )


@dataclass(frozen=True)
class Lineage(Subgraph):
    """What a walk has met, whole: a ``Subgraph`` with distances. Types are in no answer of a walk."""

    start: Sequence[NodeKey] = ()
    """Where the walk began; contexts are given by their members."""
    hops: Mapping[NodeKey, int] = field(default_factory=dict)
    """How far each node is from the start."""
    cut: str | None = None
    nodes_left: int = 0
    """How many nodes were met and left out, at least."""
    reused_by: Mapping[int, Reuse] = field(default_factory=dict)
    """By execution id, how often the executions whose hits are left out were reused; others are absent."""

    @classmethod
    def of_subgraph(cls, subgraph: Subgraph, start: Sequence[NodeKey]) -> "Lineage":
        """The same nodes and edges with distances: those along events, whichever way these go."""
        beside: dict[NodeKey, set[NodeKey]] = defaultdict(set)
        for event in subgraph.events:
            ends: tuple[NodeKey, NodeKey] = ("artifact", event.artifact_id), ("execution", event.execution_id)
            beside[ends[0]].add(ends[1])
            beside[ends[1]].add(ends[0])
        hops: dict[NodeKey, int] = {}
        level, distance = {*start}, 0
        while level:
            hops.update((key, distance) for key in sorted(level))
            level = {there for key in level for there in beside[key]} - hops.keys()
            distance += 1
        parts = {each.name: getattr(subgraph, each.name) for each in fields(Subgraph)}
        return cls(**parts, start=tuple(start), hops=hops)

    def __len__(self) -> int:
        return len(self.artifacts) + len(self.executions)

    def __bool__(self) -> bool:
        return True

    @property
    def nodes(self) -> Iterator[Node]:
        """Nearest first, of one distance artifacts before executions, then by id."""
        for kind, node_id in self.hops:
            yield self.artifacts[node_id] if kind == "artifact" else self.executions[node_id]

    def rows(self) -> list[Row]:
        """A row a node, in the order of ``nodes``: ``pandas.DataFrame(lineage.rows())``.

        Columns: ``kind``, ``id``, ``hops``, ``type``, ``name``, ``state``, ``step``, ``run``, ``reused_by``,
        ``uri``, ``create_ms``, ``update_ms``, and one for each property by its name. Where two of these would
        have the same name, a property is ``property.NAME`` and a custom property ``custom.NAME``. ``run`` is
        the name of the run that the node belongs to, of several the first; ``reused_by`` the number of runs
        whose hits of this execution are left out.
        """
        runs, reused_by = self._runs, self.reused_by
        return [
            {
                **row_of(node, hops),
                "run": runs.get(key),
                "reused_by": reused_by[key[1]].runs if key[0] == "execution" and key[1] in reused_by else 0,
                **_property_columns(node),
            }
            for (key, hops), node in zip(self.hops.items(), self.nodes, strict=True)
        ]

    def event_rows(self) -> list[Row]:
        """A row an event: ``artifact_id``, ``execution_id``, ``type``, ``path`` as text, ``time_ms``."""
        return [{**plain_event(event), "path": path_text(event)} for event in self.events]

    def to_dict(self) -> dict[str, Plain]:
        """As ``Subgraph.to_dict`` without types, with ``hops`` in each node, and ``start`` and ``cut``.

        Executions whose hits are left out have ``reused_by``: ``{"hits": 6, "runs": 5}``.
        """
        plain = super().to_dict()
        for name in ("artifact_types", "execution_types", "context_types"):
            del plain[name]
        for kind in ("artifact", "execution"):
            for node in plain[f"{kind}s"]:  # type: ignore[union-attr]  # a list of dicts
                node["hops"] = self.hops[kind, node["id"]]  # type: ignore[index, call-overload]  # the same
        for node in plain["executions"]:  # type: ignore[union-attr]  # the same
            reuse = self.reused_by.get(node["id"])  # type: ignore[index, call-overload, arg-type]  # the same
            if reuse is not None:
                node["reused_by"] = {"hits": reuse.hits, "runs": reuse.runs}  # type: ignore[index, call-overload]  # the same
        start: list[Plain] = [{"kind": kind, "id": node_id} for kind, node_id in self.start]
        return {"start": start, **plain, "cut": self.cut, "nodes_left": self.nodes_left}

    def to_dot(self, *, most_alike: int | None = MOST_ALIKE) -> "graphviz.Digraph":
        """A drawing; ``str()`` of it is DOT text. Artifacts of the start have a thick outline.

        Of more than ``most_alike`` nodes that are alike and hang on the same nodes one is drawn, with their
        number; ``None`` draws all.

        Raises:
            FailedPrecondition: the package graphviz is not installed.
        """
        start = [node_id for kind, node_id in self.start if kind == "artifact"]
        notes = {execution_id: str(reuse) for execution_id, reuse in self.reused_by.items()}
        return digraph(self, highlighted=start, most_alike=most_alike, notes=notes)

    def svg(self, *, most_alike: int | None = MOST_ALIKE) -> str:
        """The drawing as an SVG image. As ``to_dot``; needs the program dot of Graphviz besides."""
        return svg(self.to_dot(most_alike=most_alike))

    def _repr_svg_(self) -> str | None:
        """What notebooks show."""
        try:
            return self.svg()
        except FailedPrecondition:
            return None

    def __repr__(self) -> str:
        start = ", ".join(f"{kind} {node_id}" for kind, node_id in self.start[:3])
        more = ", ..." if len(self.start) > 3 else ""
        cut = f"; cut: {self.cut}" if self.cut else ""
        return (
            f"<Lineage of {start}{more}: {len(self.artifacts)} artifacts, "
            f"{len(self.executions)} executions{cut}>"
        )

    @cached_property
    def _runs(self) -> Mapping[NodeKey, str]:
        runs: dict[NodeKey, str] = {}
        links: list[tuple[NodeKey, int]] = [
            *((("artifact", link.artifact_id), link.context_id) for link in self.attributions),
            *((("execution", link.execution_id), link.context_id) for link in self.associations),
        ]
        for key, context_id in links:
            if self.contexts[context_id].type == RUN_TYPE:
                runs.setdefault(key, self.contexts[context_id].name)
        return runs


def collected(pages: Iterator[WalkPage], start: Sequence[NodeKey]) -> Lineage:
    """All pages of a walk as one value."""
    hops: dict[NodeKey, int] = {}
    artifacts: dict[int, pb.Artifact] = {}
    executions: dict[int, pb.Execution] = {}
    contexts: dict[int, pb.Context] = {}
    events: list[pb.Event] = []
    attributions: list[pb.Attribution] = []
    associations: list[pb.Association] = []
    reused_by: dict[int, Reuse] = {}
    cut, nodes_left = None, 0
    for page in pages:
        for distance, node in page.nodes:
            hops[key_of(node)] = distance
            if isinstance(node, pb.Artifact):
                artifacts[node.id] = node
            else:
                executions[node.id] = node
        contexts.update({context.id: context for context in page.contexts})
        events += page.events
        attributions += page.attributions
        associations += page.associations
        reused_by.update(page.reused_by)
        cut, nodes_left = page.cut, page.nodes_left
    return Lineage(
        artifacts=dict(sorted(artifacts.items())),
        executions=dict(sorted(executions.items())),
        contexts=dict(sorted(contexts.items())),
        events=events,
        attributions=sorted(attributions, key=lambda link: (link.artifact_id, link.context_id)),
        associations=sorted(associations, key=lambda link: (link.execution_id, link.context_id)),
        start=tuple(start),
        hops=hops,
        cut=cut,
        nodes_left=nodes_left,
        reused_by=dict(sorted(reused_by.items())),
    )


_COLUMNS = (
    *("kind", "id", "hops", "type", "name", "state", "step", "run", "reused_by"),
    *("uri", "create_ms", "update_ms"),
)


def row_of(node: Node, hops: int | None = None) -> Row:
    plain = plain_node(node)
    return {
        "kind": key_of(node)[0],
        "id": node.id,
        **({} if hops is None else {"hops": hops}),
        "type": plain.get("type"),
        "name": plain.get("name"),
        "state": plain.get("state"),
        "step": step_of(node) or None,
        "uri": plain.get("uri"),
        "create_ms": plain.get("create_ms"),
        "update_ms": plain.get("update_ms"),
    }


def _property_columns(node: Node) -> Row:
    columns: Row = {}
    for properties, prefix in ((node.properties, "property"), (node.custom_properties, "custom")):
        for name in sorted(properties):
            is_taken = name in columns or (name in _COLUMNS and not (name == "step" and step_of(node)))
            columns[f"{prefix}.{name}" if is_taken else name] = from_value(properties[name])
    return columns
