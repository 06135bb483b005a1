"""Steps that write whole runs: PutExecution and PutLineageSubgraph with all their options."""

from collections.abc import Sequence

from google.protobuf.message import Message

from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpcs

from .drawing import Drawing
from .model import UNKNOWN_ID
from .steps import Call, Step


class Runs:
    def __init__(self, draw: Drawing) -> None:
        self._draw = draw

    def put_execution(self) -> Step:
        request = rpcs.PutExecutionRequest()
        execution = self._draw.changed("execution") if self._draw.luck(0.35) else self._draw.new("execution")
        request.execution.CopyFrom(execution)
        for _ in range(self._draw.one((0, 1, 2, 2, 3))):
            pair = request.artifact_event_pairs.add()
            form = self._draw.random.randrange(8)
            if form < 6:
                pair.artifact.CopyFrom(
                    self._draw.changed("artifact") if self._draw.luck(0.35) else self._draw.new("artifact")
                )
            if form > 1:
                pair.event.CopyFrom(self._draw.event())
                if form >= 6 or (pair.artifact.HasField("id") and self._draw.luck(0.3)):
                    pair.event.artifact_id = pair.artifact.id or self._draw.node_id("artifact")
                if execution.HasField("id") and self._draw.luck(0.3):
                    pair.event.execution_id = execution.id
        for _ in range(self._draw.one((0, 1, 1, 2))):
            request.contexts.append(self._context_for_run())
        if not request.contexts and self._draw.luck(0.1):
            request.artifact_event_pairs.add()
        self._run_options(request, ("force_update_time", "force_reuse_context"))
        if self._draw.luck(0.22):
            self._spoil_put_execution(request)
        # An unknown artifact of an event alone is not noticed by the engine (Q8): never in long sequences.
        for pair in request.artifact_event_pairs:
            event_only = pair.HasField("event") and not pair.HasField("artifact")
            if event_only and pair.event.artifact_id not in self._draw.model.nodes["artifact"]:
                pair.event.ClearField("artifact_id")
        self._draw.tag(request)
        return Call("PutExecution", request)

    def _context_for_run(self) -> pb.Context:
        luck = self._draw.random.random()
        if luck < 0.35 or not self._draw.model.nodes["context"]:
            return self._draw.new("context")
        if luck < 0.65:
            stored = self._draw.one(list(self._draw.model.nodes["context"].values()))
            context = self._draw.new("context")
            context.type_id, context.name = stored.type_id, stored.name
            if self._draw.luck(0.7):
                context.ClearField("properties")
                context.ClearField("external_id")
            return context
        return self._draw.changed("context")

    def _run_options(self, request: Message, more: Sequence[str] = ()) -> None:
        for name in (
            "reuse_context_if_already_exist",
            "reuse_artifact_if_already_exist_by_external_id",
            *more,
        ):
            if self._draw.luck(0.4 if name.startswith("reuse") else 0.15):
                setattr(request.options, name, self._draw.luck(0.9))

    def _spoil_put_execution(self, request: rpcs.PutExecutionRequest) -> None:
        match self._draw.random.randrange(9):
            case 0:
                request.ClearField("execution")
            case 1:
                self._draw.spoil_node("execution", request.execution)
            case 2 | 3 if request.artifact_event_pairs:
                pair = self._draw.one(request.artifact_event_pairs)
                if pair.HasField("artifact"):
                    self._draw.spoil_node("artifact", pair.artifact)
            case 4 if request.contexts:
                self._draw.spoil_node("context", self._draw.one(request.contexts))
            case 5 if request.contexts:
                context = self._draw.one(request.contexts)
                context.ClearField(self._draw.one(("type_id", "name", "type_id")))
            case 6 if request.contexts:
                context = self._draw.one(request.contexts)
                context.Clear()
                context.id = self._draw.one((UNKNOWN_ID, self._draw.node_id("context")))
                request.options.force_reuse_context = True
            case _ if request.artifact_event_pairs:
                pair = self._draw.one(request.artifact_event_pairs)
                pair.event.SetInParent()
                match self._draw.random.randrange(5):
                    case 0:
                        pair.event.type = 0
                    case 1:
                        pair.event.ClearField("type")
                    case 2:
                        pair.event.execution_id = self._draw.one((UNKNOWN_ID, 1))
                        pair.event.type = 3
                    case 3:
                        pair.event.artifact_id = self._draw.node_id("artifact")
                        pair.event.type = 3
                    case 4 if pair.event.type:
                        request.artifact_event_pairs.add().CopyFrom(pair)

    def put_lineage_subgraph(self) -> Step:
        request = rpcs.PutLineageSubgraphRequest()
        for kind, sizes in (
            ("execution", (0, 1, 1, 2)),
            ("artifact", (0, 1, 2, 3)),
            ("context", (0, 0, 1, 2)),
        ):
            for _ in range(self._draw.one(sizes)):
                node = self._context_for_run() if kind == "context" and self._draw.luck(0.6) else None
                node = node or (self._draw.changed(kind) if self._draw.luck(0.3) else self._draw.new(kind))
                if (
                    node.HasField("id")
                    and not node.HasField("type_id")
                    and node.id in self._draw.model.nodes[kind]
                ):
                    node.type_id = self._draw.model.nodes[kind][node.id].type_id
                getattr(request, f"{kind}s").append(node)
        for _ in range(self._draw.one((0, 1, 2, 3))):
            self._add_edge(request)
        self._run_options(request)
        if self._draw.luck(0.22):
            self._spoil_put_lineage_subgraph(request)
        self._draw.tag(request)
        return Call("PutLineageSubgraph", request)

    def _add_edge(self, request: rpcs.PutLineageSubgraphRequest) -> None:
        edge = rpcs.PutLineageSubgraphRequest.EventEdge(event=self._draw.event())
        for kind in ("execution", "artifact"):
            nodes = getattr(request, f"{kind}s")
            if nodes and self._draw.luck(0.8):
                index = self._draw.random.randrange(len(nodes))
                setattr(edge, f"{kind}_index", index)
                if nodes[index].HasField("id") and self._draw.luck(0.4):
                    setattr(edge.event, f"{kind}_id", nodes[index].id)
            elif self._draw.model.nodes[kind]:
                setattr(edge.event, f"{kind}_id", self._draw.node_id(kind))
            else:
                return
        request.event_edges.append(edge)

    def _spoil_put_lineage_subgraph(self, request: rpcs.PutLineageSubgraphRequest) -> None:
        edges = request.event_edges
        match self._draw.random.randrange(10):
            case 0 | 1 | 2:
                kind = self._draw.kind()
                if nodes := getattr(request, f"{kind}s"):
                    self._draw.spoil_node(kind, self._draw.one(nodes))
            case 3 if edges:
                self._draw.one(edges).ClearField("event")
            case 4 if edges:
                edge = self._draw.one(edges)
                kind = self._draw.one(("artifact", "execution"))
                edge.ClearField(f"{kind}_index")
                edge.event.ClearField(f"{kind}_id")
            case 5 if edges:
                setattr(
                    self._draw.one(edges),
                    self._draw.one(("artifact_index", "execution_index")),
                    self._draw.one((-1, 3, 100)),
                )
            case 6 if edges:
                edge = self._draw.one(edges)
                kind = self._draw.one(("artifact", "execution"))
                if edge.HasField(f"{kind}_index"):
                    setattr(edge.event, f"{kind}_id", self._draw.node_id(kind))
            case 7 if edges:
                self._draw.one(edges).event.ClearField("type")
            case 8 if edges:
                edges.add().CopyFrom(self._draw.one(edges))
            case _:
                kind = self._draw.kind()
                if nodes := getattr(request, f"{kind}s"):
                    self._draw.one(nodes).ClearField("type_id")
