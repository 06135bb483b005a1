"""Answers to questions about lineage: paths, impact, comparisons. Those of walks are in ``walk_answers``.

Each is a value that is complete in itself, and can be turned into rows for pandas (``rows()``, flat dicts),
into JSON (``to_dict()``), and where it is a graph into networkx and into a picture. ``cut`` says in one
sentence what an answer lacks; ``None``: nothing.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from headwater.client.drawing import digraph, svg
from headwater.client.folding import NodeKey
from headwater.client.lineage import Subgraph
from headwater.client.plain import plain_node
from headwater.client.values import Plain
from headwater.client.walk_answers import Node, Row, key_of, row_of
from headwater.v1 import lineage_pb2 as rpc
from headwater.v1 import metadata_store_pb2 as pb

if TYPE_CHECKING:
    import graphviz
    import networkx


@dataclass(frozen=True)
class Stop:
    """A node on a path."""

    node: Node
    event_path: str
    """Name of the event that leads here from the stop before, for example ``examples[0]``; empty at first."""


@dataclass(frozen=True)
class Paths:
    """Ways from one node to another, along the flow of data: shortest first."""

    paths: Sequence[Sequence[Stop]]
    cut: str | None = None

    @classmethod
    def of_message(cls, message: rpc.FindPathsResponse) -> "Paths":
        artifacts = {artifact.id: artifact for artifact in message.artifacts}
        executions = {execution.id: execution for execution in message.executions}

        def node(stop: rpc.FindPathsResponse.Stop) -> Node:
            if stop.artifact_id:
                return artifacts.get(stop.artifact_id, pb.Artifact(id=stop.artifact_id))
            return executions.get(stop.execution_id, pb.Execution(id=stop.execution_id))

        return cls(
            [[Stop(node(stop), stop.event_path) for stop in path.stops] for path in message.paths],
            message.cut.reason if message.HasField("cut") else None,
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[Sequence[Stop]]:
        return iter(self.paths)

    def rows(self) -> list[Row]:
        """A row a stop: ``path`` and ``stop`` from 0, ``event_path``, then columns as of ``Lineage.rows``."""
        return [
            {"path": path_number, "stop": number, "event_path": stop.event_path, **row_of(stop.node)}
            for path_number, path in enumerate(self.paths)
            for number, stop in enumerate(path)
        ]

    def to_dict(self) -> dict[str, Plain]:
        """``paths``: lists of nodes, each with ``kind`` and ``event_path``; and ``cut``."""
        paths: list[Plain] = [
            [
                {"kind": key_of(stop.node)[0], "event_path": stop.event_path, **plain_node(stop.node)}
                for stop in path
            ]
            for path in self.paths
        ]
        return {"paths": paths, "cut": self.cut}

    @cached_property
    def subgraph(self) -> Subgraph:
        """The nodes of all paths, and the events by which they follow each other."""
        nodes = {key_of(stop.node): stop.node for path in self.paths for stop in path}
        events: dict[tuple[NodeKey, NodeKey], pb.Event] = {}
        for path in self.paths:
            for before, after in itertools.pairwise(path):
                ends = (key_of(before.node), key_of(after.node))
                events.setdefault(ends, _event_between(before.node, after))
        return Subgraph(
            artifacts={key[1]: node for key, node in sorted(nodes.items()) if isinstance(node, pb.Artifact)},
            executions={
                key[1]: node for key, node in sorted(nodes.items()) if isinstance(node, pb.Execution)
            },
            events=list(events.values()),
        )

    def to_networkx(self) -> "networkx.MultiDiGraph[NodeKey]":
        """All paths as one graph. As ``Subgraph.to_networkx``."""
        return self.subgraph.to_networkx()

    def to_dot(self) -> "graphviz.Digraph":
        """All paths as one drawing. As ``Lineage.to_dot``; nothing is folded."""
        return digraph(self.subgraph, most_alike=None)

    def svg(self) -> str:
        """The drawing as an SVG image."""
        return svg(self.to_dot())


def _event_between(before: Node, after: Stop) -> pb.Event:
    is_output = isinstance(after.node, pb.Artifact)
    artifact, execution = (after.node, before) if is_output else (before, after.node)
    event = pb.Event(
        artifact_id=artifact.id,
        execution_id=execution.id,
        type=pb.Event.OUTPUT if is_output else pb.Event.INPUT,
    )
    if after.event_path:
        event.path.steps.add(key=after.event_path)
    return event


@dataclass(frozen=True)
class ImpactCount:
    """Nodes of one type, state and step."""

    type: str
    state: str
    """Name of the state, for example ``LIVE``; empty where there is none."""
    step: str
    """Name of the step of an execution that is an attempt at one; otherwise empty."""
    count: int


@dataclass(frozen=True)
class Impact:
    """What was made from some nodes, counted."""

    artifacts: Sequence[ImpactCount]
    """Largest first."""
    executions: Sequence[ImpactCount]
    contexts: Sequence[tuple[pb.Context, int]]
    """Contexts, and how many of the nodes belong to each; largest first, up to 100."""
    latest: Sequence[pb.Artifact]
    """Artifacts that no execution used, newest first, up to 100."""
    cut: str | None = None
    nodes_left: int = 0

    @classmethod
    def of_message(cls, message: rpc.GetImpactResponse) -> "Impact":
        def counts(given: Sequence[rpc.GetImpactResponse.Count]) -> list[ImpactCount]:
            return [ImpactCount(count.type, count.state, count.step, count.count) for count in given]

        return cls(
            counts(message.artifacts),
            counts(message.executions),
            [(found.context, found.count) for found in message.contexts],
            list(message.latest),
            message.cut.reason if message.HasField("cut") else None,
            message.cut.nodes_left,
        )

    @property
    def artifact_count(self) -> int:
        return sum(count.count for count in self.artifacts)

    @property
    def execution_count(self) -> int:
        return sum(count.count for count in self.executions)

    def rows(self) -> list[Row]:
        """A row a count: ``kind``, ``type``, ``step``, ``state``, ``count``."""
        return [
            {"kind": kind, "type": one.type, "step": one.step, "state": one.state, "count": one.count}
            for kind, counts in (("artifact", self.artifacts), ("execution", self.executions))
            for one in counts
        ]

    def to_dict(self) -> dict[str, Plain]:
        """``counts`` as ``rows``, ``contexts`` with a ``count`` each, ``latest``, ``cut``, ``nodes_left``."""
        return {
            "counts": list(self.rows()),
            "contexts": [{**plain_node(context), "count": count} for context, count in self.contexts],
            "latest": [plain_node(artifact) for artifact in self.latest],
            "cut": self.cut,
            "nodes_left": self.nodes_left,
        }


@dataclass(frozen=True)
class ComponentDifference:
    """Something that decided a step, on both sides: ``None`` where there was none."""

    component: str
    """For example ``parameter:learning_rate``, ``code`` or ``input:examples``."""
    a: str | None
    b: str | None


_NONE: Sequence[ComponentDifference | None] = (None,)


@dataclass(frozen=True)
class StepDifference:
    """A step that is not the same on both sides, or only on one."""

    step: str
    hops: int
    """From the nodes that are compared, the smaller of both."""
    a_execution_id: int | None
    b_execution_id: int | None
    differences: Sequence[ComponentDifference]
    only_inputs: bool
    """Whether all that differs is what it was given, which differs because of steps further up."""


@dataclass(frozen=True)
class Comparison:
    """Where the pasts of two nodes differ."""

    steps: Sequence[StepDifference]
    """Nearest first, then by name."""
    equal_steps: int
    """How many executions are the same, or decided by the same."""
    cut: str | None = None

    @classmethod
    def of_message(cls, message: rpc.CompareLineagesResponse) -> "Comparison":
        steps = [
            StepDifference(
                step.step,
                step.hops,
                step.a_execution_id or None,
                step.b_execution_id or None,
                [
                    ComponentDifference(
                        one.component,
                        one.old if one.HasField("old") else None,
                        one.new if one.HasField("new") else None,
                    )
                    for one in step.differences
                ],
                step.only_inputs,
            )
            for step in message.steps
        ]
        return cls(steps, message.equal_steps, message.cut.reason if message.HasField("cut") else None)

    @property
    def causes(self) -> list[StepDifference]:
        """The steps that differ in more than what they were given: why the two are not the same."""
        return [step for step in self.steps if not step.only_inputs]

    def rows(self) -> list[Row]:
        """A row a difference, and one for a step that only one side has.

        Columns: ``step``, ``hops``, ``component``, ``a``, ``b``, ``a_execution_id``, ``b_execution_id``,
        ``only_inputs``.
        """
        return [
            {
                "step": step.step,
                "hops": step.hops,
                "component": None if one is None else one.component,
                "a": None if one is None else one.a,
                "b": None if one is None else one.b,
                "a_execution_id": step.a_execution_id,
                "b_execution_id": step.b_execution_id,
                "only_inputs": step.only_inputs,
            }
            for step in self.steps
            for one in step.differences or _NONE
        ]

    def to_dict(self) -> dict[str, Plain]:
        """``steps`` with their ``differences``, ``equal_steps`` and ``cut``."""
        return {
            "steps": [
                {
                    "step": step.step,
                    "hops": step.hops,
                    "a_execution_id": step.a_execution_id,
                    "b_execution_id": step.b_execution_id,
                    "differences": [
                        {"component": one.component, "a": one.a, "b": one.b} for one in step.differences
                    ],
                    "only_inputs": step.only_inputs,
                }
                for step in self.steps
            ],
            "equal_steps": self.equal_steps,
            "cut": self.cut,
        }
