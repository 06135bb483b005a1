"""The part of the graph that one walk met, and questions to ask of it.

A ``Subgraph`` is complete in itself: asking it costs no call. ``Store.lineage`` makes it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal, TypeVar

from headwater.client.plain import path_of, plain_event, plain_node, plain_type
from headwater.client.values import Plain
from headwater.errors import NotFound
from headwater.v1 import metadata_store_pb2 as pb

if TYPE_CHECKING:
    import networkx

Kind = Literal["artifact", "execution", "context"]
T = TypeVar("T")

INPUTS = frozenset({pb.Event.INPUT, pb.Event.DECLARED_INPUT, pb.Event.INTERNAL_INPUT})
"""The event types that lead from an artifact to an execution."""
OUTPUTS = frozenset(
    {pb.Event.OUTPUT, pb.Event.DECLARED_OUTPUT, pb.Event.INTERNAL_OUTPUT, pb.Event.PENDING_OUTPUT}
)
"""The event types that lead from an execution to an artifact."""


@dataclass(frozen=True)
class Subgraph:
    """Nodes and edges found by one walk. Both ends of every edge are among the nodes.

    Mappings are by id, ascending. What lies beyond the walk is not here, so ``None`` or an empty list
    from a method means "none in this subgraph".
    """

    artifacts: Mapping[int, pb.Artifact] = field(default_factory=dict)
    executions: Mapping[int, pb.Execution] = field(default_factory=dict)
    contexts: Mapping[int, pb.Context] = field(default_factory=dict)
    """The contexts that the artifacts and executions belong to."""
    artifact_types: Mapping[int, pb.ArtifactType] = field(default_factory=dict)
    execution_types: Mapping[int, pb.ExecutionType] = field(default_factory=dict)
    context_types: Mapping[int, pb.ContextType] = field(default_factory=dict)
    events: Sequence[pb.Event] = ()
    """In no particular order."""
    attributions: Sequence[pb.Attribution] = ()
    """Ascending by artifact, then context."""
    associations: Sequence[pb.Association] = ()
    """Ascending by execution, then context."""

    def producer_of(self, artifact_id: int) -> pb.Execution | None:
        """The execution that made the artifact; of several, the one with the latest output event.

        Raises:
            NotFound: the artifact is not in this subgraph.
        """
        events = [event for event in self._events_of_artifact(artifact_id) if event.type in OUTPUTS]
        return self.executions[events[-1].execution_id] if events else None

    def consumers_of(self, artifact_id: int) -> list[pb.Execution]:
        """The executions that used the artifact, each once, by the time of their input event.

        Raises:
            NotFound: the artifact is not in this subgraph.
        """
        events = self._events_of_artifact(artifact_id)
        ids = _each_once(event.execution_id for event in events if event.type in INPUTS)
        return [self.executions[execution_id] for execution_id in ids]

    def inputs_of(self, execution_id: int) -> list[pb.Artifact]:
        """The artifacts that the execution used, each once, by the time of their input event.

        Raises:
            NotFound: the execution is not in this subgraph.
        """
        events = self._events_of_execution(execution_id)
        ids = _each_once(event.artifact_id for event in events if event.type in INPUTS)
        return [self.artifacts[artifact_id] for artifact_id in ids]

    def outputs_of(self, execution_id: int) -> list[pb.Artifact]:
        """The artifacts that the execution made, each once, by the time of their output event.

        Raises:
            NotFound: the execution is not in this subgraph.
        """
        events = self._events_of_execution(execution_id)
        ids = _each_once(event.artifact_id for event in events if event.type in OUTPUTS)
        return [self.artifacts[artifact_id] for artifact_id in ids]

    @cached_property
    def _events_by_artifact(self) -> Mapping[int, Sequence[pb.Event]]:
        return _grouped((event.artifact_id, event) for event in _by_time(self.events))

    @cached_property
    def _events_by_execution(self) -> Mapping[int, Sequence[pb.Event]]:
        return _grouped((event.execution_id, event) for event in _by_time(self.events))

    def _events_of_artifact(self, artifact_id: int) -> Sequence[pb.Event]:
        if artifact_id not in self.artifacts:
            raise NotFound(f"artifact {artifact_id} is not in this subgraph")
        return self._events_by_artifact.get(artifact_id, ())

    def _events_of_execution(self, execution_id: int) -> Sequence[pb.Event]:
        if execution_id not in self.executions:
            raise NotFound(f"execution {execution_id} is not in this subgraph")
        return self._events_by_execution.get(execution_id, ())

    def to_dict(self) -> dict[str, Plain]:
        """All of it in lists of dicts, ready for ``json.dumps``; nodes and types ascending by id.

        Keys: ``artifacts``, ``executions``, ``contexts``, ``artifact_types``, ``execution_types``,
        ``context_types``, ``events``, ``attributions``, ``associations``.
        """
        return {
            "artifacts": [plain_node(node) for node in self.artifacts.values()],
            "executions": [plain_node(node) for node in self.executions.values()],
            "contexts": [plain_node(node) for node in self.contexts.values()],
            "artifact_types": [plain_type(type_) for type_ in self.artifact_types.values()],
            "execution_types": [plain_type(type_) for type_ in self.execution_types.values()],
            "context_types": [plain_type(type_) for type_ in self.context_types.values()],
            "events": [plain_event(event) for event in self.events],
            "attributions": [
                {"artifact_id": link.artifact_id, "context_id": link.context_id} for link in self.attributions
            ],
            "associations": [
                {"execution_id": link.execution_id, "context_id": link.context_id}
                for link in self.associations
            ],
        }

    def to_networkx(self) -> "networkx.MultiDiGraph[tuple[Kind, int]]":
        """The artifacts and executions as a graph whose edges follow the data.

        Node keys are ``("artifact", id)`` and ``("execution", id)``. Node attributes are ``kind``, those
        of ``to_dict`` (``name``, ``type``, ``uri``, ``state``, ...) and ``contexts``, the ids of the
        contexts it belongs to. An input is an edge from artifact to execution, an output the reverse;
        edge attributes are ``type`` (``"INPUT"``), ``path`` (a tuple of keys and indexes) and
        ``time_ms``. Contexts are no nodes, for then everything of one run would be connected; their
        attributes are in ``graph.graph["contexts"]`` by id.

        Raises:
            ImportError: networkx is not installed.
        """
        try:
            import networkx
        except ImportError as error:
            raise ImportError("to_networkx needs networkx; pip install 'headwater[graph]'") from error

        graph: networkx.MultiDiGraph[tuple[Kind, int]] = networkx.MultiDiGraph()
        graph.graph["contexts"] = {node_id: plain_node(node) for node_id, node in self.contexts.items()}
        attributed = _grouped((link.artifact_id, link.context_id) for link in self.attributions)
        associated = _grouped((link.execution_id, link.context_id) for link in self.associations)
        for node_id, artifact in self.artifacts.items():
            attributes = {"kind": "artifact", **plain_node(artifact), "contexts": attributed.get(node_id, [])}
            graph.add_node(("artifact", node_id), **attributes)
        for node_id, execution in self.executions.items():
            attributes = {
                "kind": "execution",
                **plain_node(execution),
                "contexts": associated.get(node_id, []),
            }
            graph.add_node(("execution", node_id), **attributes)
        for event in _by_time(self.events):
            artifact_key: tuple[Kind, int] = ("artifact", event.artifact_id)
            execution_key: tuple[Kind, int] = ("execution", event.execution_id)
            source, target = artifact_key, execution_key
            if event.type in OUTPUTS:
                source, target = execution_key, artifact_key
            graph.add_edge(
                source,
                target,
                type=pb.Event.Type.Name(event.type),
                path=path_of(event),
                time_ms=event.milliseconds_since_epoch,
            )
        return graph


def _by_time(events: Iterable[pb.Event]) -> list[pb.Event]:
    return sorted(events, key=lambda event: event.milliseconds_since_epoch)


def _each_once(values: Iterable[T]) -> list[T]:
    return list(dict.fromkeys(values))


def _grouped(pairs: Iterable[tuple[int, T]]) -> dict[int, list[T]]:
    groups: dict[int, list[T]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return groups
