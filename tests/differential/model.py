"""What exists in the store by the answers of the engine, so that most requests make sense.

A rough picture is enough: it steers the generator and is never compared with anything.
"""

from dataclasses import dataclass, field

from google.protobuf.message import Message

from headwater.v1 import metadata_store_service_pb2 as rpcs

from .sides import Answer
from .steps import Step, WriteBack

KINDS = ("artifact", "execution", "context")
UNKNOWN_ID = 987654
"""An id that no sequence comes to."""
SIMPLE_TYPES = {
    "artifact": {1: "mlmd.Dataset", 2: "mlmd.Model", 3: "mlmd.Metrics", 4: "mlmd.Statistics"},
    "execution": {
        5: "mlmd.Train",
        6: "mlmd.Transform",
        7: "mlmd.Process",
        8: "mlmd.Evaluate",
        9: "mlmd.Deploy",
    },
    "context": {},
}


@dataclass
class StoredType:
    name: str
    version: str = ""
    properties: dict[str, int] = field(default_factory=dict)


@dataclass
class StoredNode:
    type_id: int
    name: str = ""
    external_id: str = ""


@dataclass
class Model:
    types: dict[str, dict[int, StoredType]] = field(
        default_factory=lambda: {
            kind: {type_id: StoredType(name) for type_id, name in SIMPLE_TYPES[kind].items()}
            for kind in KINDS
        }
    )
    nodes: dict[str, dict[int, StoredNode]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    events: list[tuple[int, int, int]] = field(default_factory=list)
    links: dict[str, list[tuple[int, int]]] = field(default_factory=lambda: {"artifact": [], "execution": []})
    parents: list[tuple[int, int]] = field(default_factory=list)

    def learn(self, step: Step, answers: list[Answer]) -> None:
        """Take in what a step of writes has changed on the engine."""
        for answer in answers:
            if answer.code == "OK" and answer.rpc.startswith("Put"):
                self._learn(answer.request, answer.response)
        if isinstance(step, WriteBack) and answers[0].code == "OK" and step.edit.HasField("external_id"):
            node = self.nodes[step.kind].get(step.node_id)
            if node and len(answers) == 2 and answers[1].code == "OK":
                node.external_id = step.edit.external_id

    def _learn(self, request: Message, response: Message) -> None:
        match request:
            case rpcs.PutTypesRequest():
                for kind in KINDS:
                    for given, type_id in zip(
                        getattr(request, f"{kind}_types"), getattr(response, f"{kind}_type_ids"), strict=True
                    ):
                        self._put_type(kind, type_id, given)
            case rpcs.PutArtifactTypeRequest():
                self._put_type("artifact", response.type_id, request.artifact_type)
            case rpcs.PutExecutionTypeRequest():
                self._put_type("execution", response.type_id, request.execution_type)
            case rpcs.PutContextTypeRequest():
                self._put_type("context", response.type_id, request.context_type)
            case rpcs.PutArtifactsRequest():
                self._put_nodes("artifact", response.artifact_ids, request.artifacts)
            case rpcs.PutExecutionsRequest():
                self._put_nodes("execution", response.execution_ids, request.executions)
            case rpcs.PutContextsRequest():
                self._put_nodes("context", response.context_ids, request.contexts)
            case rpcs.PutEventsRequest():
                self.events += [
                    (event.artifact_id, event.execution_id, event.type) for event in request.events
                ]
            case rpcs.PutAttributionsAndAssociationsRequest():
                self.links["artifact"] += [
                    (link.artifact_id, link.context_id) for link in request.attributions
                ]
                self.links["execution"] += [
                    (link.execution_id, link.context_id) for link in request.associations
                ]
            case rpcs.PutParentContextsRequest():
                self.parents += [(link.child_id, link.parent_id) for link in request.parent_contexts]
            case rpcs.PutExecutionRequest():
                self._put_nodes("execution", [response.execution_id], [request.execution])
                self._put_nodes("context", response.context_ids, request.contexts)
                for artifact_id, pair in zip(
                    response.artifact_ids, request.artifact_event_pairs, strict=True
                ):
                    if pair.HasField("artifact"):
                        self._put_nodes("artifact", [artifact_id], [pair.artifact])
                    if pair.HasField("event"):
                        self.events.append((artifact_id, response.execution_id, pair.event.type))
                self._link(response)
            case rpcs.PutLineageSubgraphRequest():
                for kind in KINDS:
                    self._put_nodes(kind, getattr(response, f"{kind}_ids"), getattr(request, f"{kind}s"))
                for edge in request.event_edges:
                    self.events.append(
                        (
                            response.artifact_ids[edge.artifact_index]
                            if edge.HasField("artifact_index")
                            else edge.event.artifact_id,
                            response.execution_ids[edge.execution_index]
                            if edge.HasField("execution_index")
                            else edge.event.execution_id,
                            edge.event.type,
                        )
                    )
                self._link(response)

    def _put_type(self, kind: str, type_id: int, given: Message) -> None:
        stored = self.types[kind].setdefault(type_id, StoredType(given.name, given.version))
        stored.properties.update(given.properties)

    def _put_nodes(self, kind: str, ids: list[int], given: list[Message]) -> None:
        for node_id, node in zip(ids, given, strict=True):
            stored = self.nodes[kind].get(node_id)
            if stored is None:
                self.nodes[kind][node_id] = StoredNode(node.type_id, node.name, node.external_id)
            elif node.HasField("id"):
                stored.external_id = node.external_id
                if kind == "context" and node.name:
                    stored.name = node.name

    def _link(self, response: Message) -> None:
        executions = getattr(response, "execution_ids", None) or [getattr(response, "execution_id", 0)]
        for context_id in response.context_ids:
            self.links["artifact"] += [(artifact_id, context_id) for artifact_id in response.artifact_ids]
            self.links["execution"] += [(execution_id, context_id) for execution_id in executions]
