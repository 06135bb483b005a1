"""Steps that write types, nodes and edges, some with a fault of the code tables in them."""

from collections.abc import Sequence

from google.protobuf.message import Message

from headwater.v1 import metadata_store_service_pb2 as rpcs

from .drawing import CUSTOM, NODE, Drawing
from .model import KINDS, UNKNOWN_ID
from .steps import Call, NotForEngine, Step, WriteBack


class Writes:
    def __init__(self, draw: Drawing) -> None:
        self._draw = draw

    def put_type(self) -> Step:
        kind = self._draw.kind()
        name = f"Put{kind.title()}Type"
        request = getattr(rpcs, f"{name}Request")()
        if self._draw.luck(0.98):
            getattr(request, f"{kind}_type").CopyFrom(self._draw.type(kind))
        self._type_options(request)
        return Call(name, request)

    def put_types(self) -> Step:
        request = rpcs.PutTypesRequest()
        for kind in KINDS:
            given = getattr(request, f"{kind}_types")
            for _ in range(self._draw.one((0, 1, 1, 2))):
                new = self._draw.type(kind)
                # The engine compares the second of one name with what was stored before the request (T1).
                if (new.name, new.version) not in [(other.name, other.version) for other in given]:
                    given.append(new)
            if given and self._draw.luck(0.1):
                given.add().CopyFrom(given[0])
        self._type_options(request)
        return Call("PutTypes", request)

    def _type_options(self, request: Message) -> None:
        if self._draw.luck(0.5):
            request.can_add_fields = self._draw.luck(0.8)
        if self._draw.luck(0.5):
            request.can_omit_fields = self._draw.luck(0.8)
        if self._draw.luck(0.04):
            request.all_fields_match = self._draw.luck(0.6)
        if self._draw.luck(0.04):
            request.can_delete_fields = True
        self._draw.tag(request)

    def create(self, kind: str = "") -> Step:
        kind = kind or self._draw.kind()
        nodes = [self._draw.new(kind) for _ in range(self._draw.one((1, 1, 1, 2, 3, 5)))]
        if self._draw.luck(0.2):
            self._draw.spoil_node(kind, self._draw.one(nodes))
        return self._put_request(kind, nodes)

    def update(self) -> Step:
        kind = self._draw.kind()
        nodes = [
            self._draw.changed(kind) if self._draw.luck(0.85) else self._draw.new(kind)
            for _ in range(self._draw.one((1, 1, 2, 3)))
        ]
        if self._draw.luck(0.2):
            self._draw.spoil_node(kind, self._draw.one(nodes))
        return self._put_request(kind, nodes)

    def _put_request(self, kind: str, nodes: Sequence[Message]) -> Step:
        name = f"Put{kind.title()}s"
        request = getattr(rpcs, f"{name}Request")(**{f"{kind}s": nodes})
        if self._draw.luck(0.3):
            request.update_mask.paths.extend(self._draw.mask(kind))
        if kind == "artifact" and self._draw.luck(0.1):
            request.options.abort_if_latest_updated_time_changed = self._draw.luck(0.9)
        self._draw.tag(request)
        return Call(name, request)

    def write_back(self) -> Step:
        kind = self._draw.kind()
        node_id = self._draw.node_id(kind, unknown=0.02)
        stored = self._draw.model.nodes[kind].get(node_id)
        edit, clear = NODE[kind](), []
        if self._draw.luck(0.65):
            self._draw.fill(kind, edit, stored.type_id if stored else 0, update=True)
        if self._draw.luck(0.35):
            fields = [name for name in edit.DESCRIPTOR.fields_by_name if name != "id"]
            clear = self._draw.random.sample(fields, k=self._draw.one((1, 1, 2)))
        if self._draw.luck(0.1):
            self._draw.spoil_node(kind, edit)
            edit.ClearField("id")
        if "custom_properties" in clear:
            edit.ClearField("custom_properties")
        via_execution = kind == "execution" and self._draw.luck(0.4)
        step = WriteBack(
            kind, node_id, edit, tuple(clear), rpc="PutExecution" if via_execution else f"Put{kind.title()}s"
        )
        if not via_execution and self._draw.luck(0.25):
            step.mask = tuple(self._draw.mask(kind))
        if kind == "artifact" and self._draw.luck(0.3):
            step.occ = self._draw.one(("fresh", "fresh", "stale"))
        return step

    def empty_value(self) -> Step:
        kind = self._draw.kind()
        node = self._draw.new(kind)
        node.custom_properties[self._draw.one(CUSTOM)].Clear()
        if self._draw.luck(0.5):
            return NotForEngine(
                f"Put{kind.title()}s", getattr(rpcs, f"Put{kind.title()}sRequest")(**{f"{kind}s": [node]})
            )
        request = rpcs.PutLineageSubgraphRequest(**{f"{kind}s": [node]})
        return NotForEngine("PutLineageSubgraph", request)

    def put_events(self) -> Step:
        request = rpcs.PutEventsRequest()
        for _ in range(self._draw.one((1, 1, 2, 3))):
            event = self._draw.event()
            event.artifact_id, event.execution_id = (
                self._draw.node_id("artifact"),
                self._draw.node_id("execution"),
            )
            request.events.append(event)
        if self._draw.luck(0.25) and request.events:
            event = self._draw.one(request.events)
            match self._draw.random.randrange(7):
                case 0:
                    event.ClearField("artifact_id")
                case 1:
                    event.ClearField("execution_id")
                case 2:
                    event.type = 0
                case 3:
                    event.ClearField("type")
                case 4:
                    event.artifact_id = self._draw.one((UNKNOWN_ID, 0, -1))
                case 5:
                    event.execution_id = self._draw.one((UNKNOWN_ID, 0, -1))
                case _:
                    if self._draw.model.events:
                        event.artifact_id, event.execution_id, event.type = self._draw.one(
                            self._draw.model.events
                        )
        self._draw.tag(request)
        return Call("PutEvents", request)

    def put_links(self) -> Step:
        request = rpcs.PutAttributionsAndAssociationsRequest()
        for _ in range(self._draw.one((0, 1, 2, 3))):
            request.attributions.add(
                artifact_id=self._draw.node_id("artifact"), context_id=self._draw.node_id("context")
            )
        for _ in range(self._draw.one((0, 1, 2, 3))):
            request.associations.add(
                execution_id=self._draw.node_id("execution"), context_id=self._draw.node_id("context")
            )
        if self._draw.luck(0.2) and (links := [*request.attributions, *request.associations]):
            link = self._draw.one(links)
            fields = [field for field in link.DESCRIPTOR.fields if field.name != "system_metadata"]
            name = self._draw.one(fields).name
            if self._draw.luck(0.5):
                link.ClearField(name)
            else:
                setattr(link, name, self._draw.one((UNKNOWN_ID, 0, -1)))
        return Call("PutAttributionsAndAssociations", request)

    def put_parents(self) -> Step:
        request = rpcs.PutParentContextsRequest()
        for _ in range(self._draw.one((1, 1, 2))):
            request.parent_contexts.add(
                child_id=self._draw.node_id("context"), parent_id=self._draw.node_id("context")
            )
        if self._draw.luck(0.25):
            link = self._draw.one(request.parent_contexts)
            match self._draw.random.randrange(5):
                case 0:
                    link.ClearField("child_id")
                case 1:
                    link.ClearField("parent_id")
                case 2:
                    link.parent_id = self._draw.one((UNKNOWN_ID, 0))
                case 3:
                    link.child_id = self._draw.one((UNKNOWN_ID, 0))
                case 4:
                    if self._draw.model.parents:
                        link.child_id, link.parent_id = self._draw.one(self._draw.model.parents)
                        if self._draw.luck(0.5):
                            link.child_id, link.parent_id = link.parent_id, link.child_id
        return Call("PutParentContexts", request)
