"""Random sequences of requests over every RPC, from a seed.

Names, values and ids come from small pools, so that collisions, updates and duplicates are frequent. About
one request in six is spoiled on purpose, in one of the ways that the code tables of MLMD's semantics list.
What would leave the two sides in different states for ever (Q2, Q6, Q8, Q9) is kept out of here and has short
sequences of its own, in ``special``.
"""

from collections.abc import Callable, Sequence
from random import Random

from google.protobuf import any_pb2
from google.protobuf.message import Message

from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpcs

from . import filter_texts
from .model import KINDS, UNKNOWN_ID, Model
from .sides import Answer
from .steps import Batch, Call, Dump, Listing, NotForEngine, Step, WriteBack

NODE = {"artifact": pb.Artifact, "execution": pb.Execution, "context": pb.Context}
TYPE = {"artifact": pb.ArtifactType, "execution": pb.ExecutionType, "context": pb.ContextType}
TYPE_NAMES = ("T1", "T2", "T3", "T4")
VERSIONS = ("", "", "", "1", "2")
DECLARED = {
    "i": pb.INT, "i2": pb.INT, "d": pb.DOUBLE, "s": pb.STRING, "my prop": pb.STRING, "b": pb.BOOLEAN, "st": pb.STRUCT,
    "pr": pb.PROTO, "MyProp": pb.INT,
}  # fmt: skip
"""Names of declared properties; disjoint from the custom ones, see Q2."""
CUSTOM = ("ci", "cd", "cs", "cb", "cv", "cv", "a:b.c", "CS", "name", "x*", "customX", "é")
NAMES = tuple(f"n{number}" for number in range(1, 10))
CONTEXT_NAMES = tuple(f"c{number}" for number in range(1, 16))
EXTERNAL_IDS = tuple(f"x{number}" for number in range(1, 13))
URIS = ("", "u1", "u2", "s3://b/k", "it's", 'say "hi"', "a\\b", "line\nbreak", "größe/中文/🎈")
STRINGS = ("v1", "v2", "", "n1", "it's", 'both \' and "', "a\\b", "tab\tline\n", "größe 中文 🎈", "%_", "null", "0", " x ", "name")
DOUBLES = (0.0, 0.5, 1.25, -2.0, 1000.0, 0.123457, -0.000001, 1e300, 123456789.25, 2.0**60)
INTS = (0, 1, 2, -3, 7, 2**31, -(2**31) - 1, 2**53 + 1, 2**63 - 1, -(2**63))
MASKS = {
    "artifact": ("uri", "state"), "execution": ("last_known_state",), "context": ("name",),
}  # fmt: skip
MASK_PATHS = (
    "external_id", "name", "properties", "custom_properties", "properties.i", "properties.s", "properties.d", "custom_properties.ci",
    "custom_properties.cs", "custom_properties.a:b.c", "properties.my prop", "properties.nosuch", "id", "type_id", "type",
    "create_time_since_epoch", "last_update_time_since_epoch", "nosuch", "uri.x", "propertiesX", "custom_propertiesX",
    "custom_properties.nosuch", "system_metadata", "properties.", "custom_properties.", "",
)  # fmt: skip
SUBGRAPH_PARTS = (
    "artifacts", "executions", "contexts", "events", "attributions", "associations", "artifact_types", "execution_types",
    "context_types", "parent_contexts", "artifacts.id", "nosuch",
)  # fmt: skip



class Generator:
    """Steps one after the other: ``next_step``, play it, then ``learn`` what the engine answered."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._number = 0
        self.model = Model()
        self._warm_up: list[Callable[[], Step]] = [self._put_types, self._put_types, self._put_type, self._put_type]
        self._warm_up += [lambda kind=kind: self._create(kind) for kind in KINDS]

    def next_step(self) -> Step:
        if self._number < len(self._warm_up):
            step = self._warm_up[self._number]()
        else:
            choices = list(self._weights())
            step = self._random.choices([make for make, _ in choices], [weight for _, weight in choices])[0]()
        step.number = self._number
        self._number += 1
        return step

    def learn(self, step: Step, answers: list[Answer]) -> None:
        self.model.learn(step, answers)

    def everything(self) -> Step:
        """Reads that between them show the whole store."""
        step = Dump(_whole_store(self.model))
        step.number = self._number
        self._number += 1
        return step

    def _weights(self) -> Sequence[tuple[Callable[[], Step], float]]:
        return (
            (self._put_type, 6), (self._put_types, 3), (self._create, 14), (self._update, 9), (self._write_back, 12),
            (self._put_events, 8), (self._put_links, 5), (self._put_parents, 6), (self._put_execution, 14),
            (self._put_lineage_subgraph, 12), (self._get_type, 3), (self._types_by_id, 3), (self._types_by_external_ids, 3),
            (self._all_types, 2), (self._nodes_by_id, 5), (self._node_by_name, 4), (self._artifacts_by_uri, 3),
            (self._nodes_by_external_ids, 4), (self._contexts_by_node, 4), (self._kin, 4), (self._kin_of_many, 3), (self._events, 4),
            (self._unpaged, 3), (self._listing, 26), (self._lineage_subgraph, 18), (self._empty_value, 0.5),
            (self._lineage_graph, 0.3), (self._empty_request, 1.5), (self._dump_node, 3), (self.everything, 0.7),
        )  # fmt: skip

    # Drawing

    def _luck(self, chance: float) -> bool:
        return self._random.random() < chance

    def _one(self, pool: Sequence):
        return self._random.choice(pool)

    def _kind(self) -> str:
        return self._one(KINDS)

    def _type_id(self, kind: str) -> int:
        types = list(self.model.types[kind])
        own = [type_id for type_id in types if type_id > 9]
        if own and self._luck(0.85):
            return self._one(own)
        return self._one(types) if types else UNKNOWN_ID

    def _node_id(self, kind: str, *, unknown: float = 0.0) -> int:
        nodes = list(self.model.nodes[kind])
        if not nodes or self._luck(unknown):
            return self._one((UNKNOWN_ID, 0, -1, UNKNOWN_ID + 1))
        # The newest are met more often: they are what was just put.
        return self._one(nodes[-5:]) if self._luck(0.4) else self._one(nodes)

    def _node_ids(self, kind: str) -> list[int]:
        return [self._node_id(kind, unknown=0.1) for _ in range(self._one((0, 1, 1, 2, 3, 5)))]

    def _value(self, property_type: int) -> pb.Value:
        match property_type:
            case pb.INT:
                return pb.Value(int_value=self._one(INTS))
            case pb.DOUBLE:
                return pb.Value(double_value=self._one(DOUBLES))
            case pb.STRING:
                return pb.Value(string_value=self._one(STRINGS))
            case pb.BOOLEAN:
                return pb.Value(bool_value=self._luck(0.5))
            case pb.STRUCT:
                value = pb.Value()
                value.struct_value.SetInParent()
                if self._luck(0.8):
                    value.struct_value.update({"a": self._one(DOUBLES), "b": [1.0, "x", None, True, {"c": {}}], "é\n": self._one(STRINGS)})
                return value
            case _:
                inner = any_pb2.Any()
                inner.Pack(pb.Attribution(artifact_id=self._one((1, 2)), context_id=3))
                return pb.Value(proto_value=inner)

    def _custom(self, name: str) -> pb.Value:
        types = {"ci": pb.INT, "cd": pb.DOUBLE, "cs": pb.STRING, "cb": pb.BOOLEAN}
        return self._value(types[name] if name in types and self._luck(0.9) else self._one((1, 2, 3, 4, 5, 6)))

    def _fill(self, kind: str, node: Message, type_id: int, *, update: bool = False) -> None:
        """Give ``node`` fields as a client would, valid for its type."""
        stored = self.model.types[kind].get(type_id)
        declared = dict(stored.properties) if stored else {}
        for name in self._random.sample(sorted(declared), k=min(len(declared), self._one((0, 1, 2, 3)))):
            node.properties[name].CopyFrom(self._value(declared[name]))
        for name in self._random.sample(CUSTOM, k=self._one((0, 0, 1, 2, 3))):
            node.custom_properties[name].CopyFrom(self._custom(name))
        if kind == "artifact":
            if self._luck(0.6):
                node.uri = self._one(URIS)
            if self._luck(0.6):
                node.state = self._one((0, 1, 2, 2, 3, 4, 5, 6))
        if kind == "execution" and self._luck(0.7):
            node.last_known_state = self._one((0, 1, 2, 3, 3, 4, 5, 6))
        if self._luck(0.35 if not update else 0.25):
            node.external_id = self._one(EXTERNAL_IDS) if self._luck(0.97) else ""
        if kind == "context":
            if not update or self._luck(0.7):
                node.name = self._name(kind, type_id)
        elif self._luck(0.6):
            node.name = self._name(kind, type_id)
        if self._luck(0.05):
            node.type = self._one(("T1", "wrong", ""))
        if self._luck(0.05):
            node.create_time_since_epoch = 5
            node.last_update_time_since_epoch = 6
        if self._luck(0.03):
            node.system_metadata.Pack(pb.Attribution(artifact_id=1))

    def _name(self, kind: str, type_id: int) -> str:
        pool = CONTEXT_NAMES if kind == "context" else NAMES
        taken = {node.name for node in self.model.nodes[kind].values() if node.type_id == type_id}
        free = [name for name in pool if name not in taken]
        if self._luck(0.03) and kind != "context":
            return ""
        if free and self._luck(0.75):
            return self._one(free)
        return self._one(pool) if self._luck(0.5) or not taken else f"n{self._random.randrange(1000)}"

    def _new(self, kind: str) -> Message:
        type_id = self._type_id(kind)
        node = NODE[kind](type_id=type_id)
        self._fill(kind, node, type_id)
        return node

    def _changed(self, kind: str) -> Message:
        """An update of a stored node, written from memory and not from a read."""
        node_id = self._node_id(kind)
        stored = self.model.nodes[kind].get(node_id)
        type_id = stored.type_id if stored else self._type_id(kind)
        node = NODE[kind](id=node_id)
        if self._luck(0.7):
            node.type_id = type_id
        self._fill(kind, node, type_id, update=True)
        if kind == "context" and stored and not node.name:
            node.name = stored.name
        return node

    def _spoil_node(self, kind: str, node: Message) -> None:
        """One fault of the tables 3.1 and 3.2."""
        match self._random.randrange(11):
            case 0:
                node.ClearField("type_id")
                node.type = "T1"
            case 1:
                node.type_id = self._one((UNKNOWN_ID, 0, -1))
            case 2:
                other = self._one([k for k in KINDS if k != kind])
                node.type_id = self._type_id(other)
            case 3:
                node.properties["nosuch"].int_value = 1
            case 4:
                node.properties[self._one(("I", "S", "myprop"))].int_value = 1
            case 5:
                name = self._one(list(DECLARED))
                node.properties[name].CopyFrom(self._value(self._one((1, 2, 3, 4, 5, 6))))
            case 6:
                node.properties[self._one(list(DECLARED))].SetInParent()
            case 7:
                node.ClearField("name")
                if self._luck(0.5):
                    node.name = ""
            case 8:
                taken = [stored for stored in self.model.nodes[kind].values() if stored.name]
                if taken:
                    stored = self._one(taken)
                    node.name = stored.name
                    if not node.HasField("id"):
                        node.type_id = stored.type_id
                        node.ClearField("properties")
            case 9:
                taken = [stored for stored in self.model.nodes[kind].values() if stored.external_id]
                if taken:
                    node.external_id = self._one(taken).external_id
            case 10:
                node.id = self._one((UNKNOWN_ID, 0, -5))

    def _options(self, request: Message) -> None:
        if self._luck(0.05):
            request.transaction_options.tag = "tag"

    # Types

    def _type(self, kind: str) -> Message:
        names = (*TYPE_NAMES, "mlmd.Dataset", "mlmd.Train") if self._luck(0.12) else TYPE_NAMES
        given = TYPE[kind](name=self._one(names))
        if self._luck(0.6):
            given.version = self._one(VERSIONS)
        stored = [t for t in self.model.types[kind].values() if (t.name, t.version) == (given.name, given.version)]
        luck = self._random.random()
        if stored and luck < 0.75:
            given.properties.update(stored[0].properties)
        if not stored or luck < 0.25 or luck > 0.8:
            for name in self._random.sample(list(DECLARED), k=self._one((0, 1, 2, 3, 4, 9))):
                if name not in given.properties:
                    given.properties[name] = DECLARED[name]
        if self._luck(0.08):
            given.properties[self._one(list(DECLARED))] = self._one((0, 1, 2, 3, 4, 5, 6))
        if given.properties and self._luck(0.1):
            del given.properties[self._one(sorted(given.properties))]
        if self._luck(0.2):
            given.description = self._one(("d1", "d2", ""))
        if self._luck(0.2):
            given.external_id = self._one(EXTERNAL_IDS) if self._luck(0.9) else ""
        if kind != "context" and self._luck(0.15):
            given.base_type = self._one((0, 1, 2, 2, 2, 3, 4))
        elif kind == "context" and self._luck(0.02):
            given.base_type = 0
        if self._luck(0.05):
            given.id = self._one((1, 10, UNKNOWN_ID))
        if kind == "execution" and self._luck(0.2):
            given.input_type.dict.properties["in"].simple.name = "T1"
            given.output_type.any.SetInParent()
        if self._luck(0.04):
            given.name = ""
            if self._luck(0.5):
                given.ClearField("name")
        return given

    def _type_options(self, request: Message) -> None:
        if self._luck(0.5):
            request.can_add_fields = self._luck(0.8)
        if self._luck(0.5):
            request.can_omit_fields = self._luck(0.8)
        if self._luck(0.04):
            request.all_fields_match = self._luck(0.6)
        if self._luck(0.04):
            request.can_delete_fields = True
        self._options(request)

    def _put_type(self) -> Step:
        kind = self._kind()
        name = f"Put{kind.title()}Type"
        request = getattr(rpcs, f"{name}Request")()
        if self._luck(0.98):
            getattr(request, f"{kind}_type").CopyFrom(self._type(kind))
        self._type_options(request)
        return Call(name, request)

    def _put_types(self) -> Step:
        request = rpcs.PutTypesRequest()
        for kind in KINDS:
            for _ in range(self._one((0, 1, 1, 2))):
                getattr(request, f"{kind}_types").append(self._type(kind))
        self._type_options(request)
        return Call("PutTypes", request)

    def _some_type(self, kind: str) -> tuple[str, str]:
        types = list(self.model.types[kind].values())
        if types and self._luck(0.85):
            stored = self._one(types)
            return stored.name, stored.version
        return self._one((*TYPE_NAMES, "nosuch", "")), self._one(VERSIONS)

    def _get_type(self) -> Step:
        kind = self._kind()
        name, version = self._some_type(kind)
        request = getattr(rpcs, f"Get{kind.title()}TypeRequest")(type_name=name)
        if version or self._luck(0.3):
            request.type_version = version
        self._options(request)
        return Call(f"Get{kind.title()}Type", request)

    def _types_by_id(self) -> Step:
        kind = self._kind()
        pool = [type_id for stored in self.model.types.values() for type_id in stored] + [0, -1, UNKNOWN_ID]
        own = list(self.model.types[kind]) or pool
        ids = [self._one(own if self._luck(0.7) else pool) for _ in range(self._one((0, 1, 2, 3, 5)))]
        name = f"Get{kind.title()}TypesByID"
        return Call(name, getattr(rpcs, f"{name}Request")(type_ids=ids))

    def _external_ids(self) -> list[str]:
        ids = [self._one((*EXTERNAL_IDS, "nosuch")) for _ in range(self._one((0, 1, 1, 2, 3, 6)))]
        if self._luck(0.06):
            ids.append("")
        return ids

    def _types_by_external_ids(self) -> Step:
        name = f"Get{self._kind().title()}TypesByExternalIds"
        return Call(name, getattr(rpcs, f"{name}Request")(external_ids=self._external_ids()))

    def _all_types(self) -> Step:
        name = f"Get{self._kind().title()}Types"
        return Call(name, getattr(rpcs, f"{name}Request")())

    # Nodes

    def _put_request(self, kind: str, nodes: Sequence[Message]) -> Step:
        name = f"Put{kind.title()}s"
        request = getattr(rpcs, f"{name}Request")(**{f"{kind}s": nodes})
        if self._luck(0.3):
            request.update_mask.paths.extend(self._mask(kind))
        if kind == "artifact" and self._luck(0.1):
            request.options.abort_if_latest_updated_time_changed = self._luck(0.9)
        self._options(request)
        return Call(name, request)

    def _mask(self, kind: str) -> list[str]:
        pool = (*MASK_PATHS, *MASKS[kind] * 3, "external_id", "properties", "custom_properties")
        return self._random.sample(pool, k=self._one((0, 1, 1, 2, 3, 4)))

    def _create(self, kind: str = "") -> Step:
        kind = kind or self._kind()
        nodes = [self._new(kind) for _ in range(self._one((1, 1, 1, 2, 3, 5)))]
        if self._luck(0.2):
            self._spoil_node(kind, self._one(nodes))
        return self._put_request(kind, nodes)

    def _update(self) -> Step:
        kind = self._kind()
        nodes = [self._changed(kind) if self._luck(0.85) else self._new(kind) for _ in range(self._one((1, 1, 2, 3)))]
        if self._luck(0.2):
            self._spoil_node(kind, self._one(nodes))
        return self._put_request(kind, nodes)

    def _write_back(self) -> Step:
        kind = self._kind()
        node_id = self._node_id(kind, unknown=0.02)
        stored = self.model.nodes[kind].get(node_id)
        edit, clear = NODE[kind](), []
        if self._luck(0.65):
            self._fill(kind, edit, stored.type_id if stored else 0, update=True)
        if self._luck(0.35):
            fields = [name for name in edit.DESCRIPTOR.fields_by_name if name != "id"]
            clear = self._random.sample(fields, k=self._one((1, 1, 2)))
        if self._luck(0.1):
            self._spoil_node(kind, edit)
            edit.ClearField("id")
        if "custom_properties" in clear:
            edit.ClearField("custom_properties")
        via_execution = kind == "execution" and self._luck(0.4)
        step = WriteBack(kind, node_id, edit, tuple(clear), rpc="PutExecution" if via_execution else f"Put{kind.title()}s")
        if not via_execution and self._luck(0.25):
            step.mask = tuple(self._mask(kind))
        if kind == "artifact" and self._luck(0.3):
            step.occ = self._one(("fresh", "fresh", "stale"))
        return step

    def _empty_value(self) -> Step:
        kind = self._kind()
        node = self._new(kind)
        node.custom_properties[self._one(CUSTOM)].Clear()
        if self._luck(0.5):
            return NotForEngine(f"Put{kind.title()}s", getattr(rpcs, f"Put{kind.title()}sRequest")(**{f"{kind}s": [node]}))
        request = rpcs.PutLineageSubgraphRequest(**{f"{kind}s": [node]})
        return NotForEngine("PutLineageSubgraph", request)

    def _nodes_by_id(self) -> Step:
        kind = self._kind()
        request = getattr(rpcs, f"Get{kind.title()}sByIDRequest")(**{f"{kind}_ids": self._node_ids(kind)})
        if kind == "artifact" and self._luck(0.5):
            request.populate_artifact_types = True
        self._options(request)
        return Call(f"Get{kind.title()}sByID", request)

    def _node_by_name(self) -> Step:
        kind = self._kind()
        name, version = self._some_type(kind)
        request = getattr(rpcs, f"Get{kind.title()}ByTypeAndNameRequest")(type_name=name)
        if version or self._luck(0.2):
            request.type_version = version
        named = [
            node.name
            for node in self.model.nodes[kind].values()
            if (found := self.model.types[kind].get(node.type_id)) and (found.name, found.version) == (name, version)
        ]
        if self._luck(0.95):
            setattr(request, f"{kind}_name", self._one(named) if named and self._luck(0.8) else self._one((*NAMES, *CONTEXT_NAMES, "")))
        return Call(f"Get{kind.title()}ByTypeAndName", request)

    def _artifacts_by_uri(self) -> Step:
        uris = [self._one((*URIS, "nosuch")) for _ in range(self._one((0, 1, 1, 2, 3)))]
        request = rpcs.GetArtifactsByURIRequest(uris=uris)
        if self._luck(0.06):
            # Field 1 is reserved: the server must refuse who still sends it.
            request.MergeFromString(b"\x0a\x01u")
        return Call("GetArtifactsByURI", request)

    def _nodes_by_external_ids(self) -> Step:
        name = f"Get{self._kind().title()}sByExternalIds"
        return Call(name, getattr(rpcs, f"{name}Request")(external_ids=self._external_ids()))

    def _unpaged(self) -> Step:
        name = self._one([f"Get{kind.title()}s" for kind in KINDS])
        return Call(name, getattr(rpcs, f"{name}Request")())

    # Edges

    def _event(self, *, event_type: int = 0) -> pb.Event:
        event = pb.Event(type=event_type or self._one((1, 2, 3, 3, 3, 4, 4, 4, 5, 6, 7)))
        for _ in range(self._one((0, 0, 1, 2, 3))):
            step = event.path.steps.add()
            match self._random.randrange(10):
                case 0:
                    pass
                case 1 | 2 | 3 | 4:
                    step.index = self._one((0, 1, -1, 2**40))
                case _:
                    step.key = self._one(("k", "", "é'\""))
        if self._luck(0.05):
            event.path.SetInParent()
        if self._luck(0.4):
            event.milliseconds_since_epoch = self._one((0, -5, 100, 200, 300))
        if self._luck(0.03):
            event.system_metadata.Pack(pb.Attribution(artifact_id=1))
        return event

    def _put_events(self) -> Step:
        request = rpcs.PutEventsRequest()
        for _ in range(self._one((1, 1, 2, 3))):
            event = self._event()
            event.artifact_id, event.execution_id = self._node_id("artifact"), self._node_id("execution")
            request.events.append(event)
        if self._luck(0.25) and request.events:
            event = self._one(request.events)
            match self._random.randrange(7):
                case 0:
                    event.ClearField("artifact_id")
                case 1:
                    event.ClearField("execution_id")
                case 2:
                    event.type = 0
                case 3:
                    event.ClearField("type")
                case 4:
                    event.artifact_id = self._one((UNKNOWN_ID, 0, -1))
                case 5:
                    event.execution_id = self._one((UNKNOWN_ID, 0, -1))
                case _:
                    if self.model.events:
                        event.artifact_id, event.execution_id, event.type = self._one(self.model.events)
        self._options(request)
        return Call("PutEvents", request)

    def _put_links(self) -> Step:
        request = rpcs.PutAttributionsAndAssociationsRequest()
        for _ in range(self._one((0, 1, 2, 3))):
            request.attributions.add(artifact_id=self._node_id("artifact"), context_id=self._node_id("context"))
        for _ in range(self._one((0, 1, 2, 3))):
            request.associations.add(execution_id=self._node_id("execution"), context_id=self._node_id("context"))
        if self._luck(0.2) and (links := [*request.attributions, *request.associations]):
            link = self._one(links)
            fields = [field for field in link.DESCRIPTOR.fields if field.name != "system_metadata"]
            name = self._one(fields).name
            if self._luck(0.5):
                link.ClearField(name)
            else:
                setattr(link, name, self._one((UNKNOWN_ID, 0, -1)))
        return Call("PutAttributionsAndAssociations", request)

    def _put_parents(self) -> Step:
        request = rpcs.PutParentContextsRequest()
        for _ in range(self._one((1, 1, 2))):
            request.parent_contexts.add(child_id=self._node_id("context"), parent_id=self._node_id("context"))
        if self._luck(0.25):
            link = self._one(request.parent_contexts)
            match self._random.randrange(5):
                case 0:
                    link.ClearField("child_id")
                case 1:
                    link.ClearField("parent_id")
                case 2:
                    link.parent_id = self._one((UNKNOWN_ID, 0))
                case 3:
                    link.child_id = self._one((UNKNOWN_ID, 0))
                case 4:
                    if self.model.parents:
                        link.child_id, link.parent_id = self._one(self.model.parents)
                        if self._luck(0.5):
                            link.child_id, link.parent_id = link.parent_id, link.child_id
        return Call("PutParentContexts", request)

    # Whole runs

    def _put_execution(self) -> Step:
        request = rpcs.PutExecutionRequest()
        execution = self._changed("execution") if self._luck(0.35) else self._new("execution")
        request.execution.CopyFrom(execution)
        for _ in range(self._one((0, 1, 2, 2, 3))):
            pair = request.artifact_event_pairs.add()
            form = self._random.randrange(8)
            if form < 6:
                pair.artifact.CopyFrom(self._changed("artifact") if self._luck(0.35) else self._new("artifact"))
            if form > 1:
                pair.event.CopyFrom(self._event())
                if form >= 6 or (pair.artifact.HasField("id") and self._luck(0.3)):
                    pair.event.artifact_id = pair.artifact.id or self._node_id("artifact")
                if execution.HasField("id") and self._luck(0.3):
                    pair.event.execution_id = execution.id
        for _ in range(self._one((0, 1, 1, 2))):
            request.contexts.append(self._context_for_run())
        if not request.contexts and self._luck(0.1):
            request.artifact_event_pairs.add()
        self._run_options(request, ("force_update_time", "force_reuse_context"))
        if self._luck(0.22):
            self._spoil_put_execution(request)
        # An unknown artifact of an event alone is not noticed by the engine (Q8): never in long sequences.
        for pair in request.artifact_event_pairs:
            event_only = pair.HasField("event") and not pair.HasField("artifact")
            if event_only and pair.event.artifact_id and pair.event.artifact_id not in self.model.nodes["artifact"]:
                pair.event.ClearField("artifact_id")
        self._options(request)
        return Call("PutExecution", request)

    def _context_for_run(self) -> pb.Context:
        luck = self._random.random()
        if luck < 0.35 or not self.model.nodes["context"]:
            return self._new("context")
        if luck < 0.65:
            stored = self._one(list(self.model.nodes["context"].values()))
            context = self._new("context")
            context.type_id, context.name = stored.type_id, stored.name
            if self._luck(0.7):
                context.ClearField("properties")
                context.ClearField("external_id")
            return context
        return self._changed("context")

    def _run_options(self, request: Message, more: Sequence[str] = ()) -> None:
        for name in ("reuse_context_if_already_exist", "reuse_artifact_if_already_exist_by_external_id", *more):
            if self._luck(0.4 if name.startswith("reuse") else 0.15):
                setattr(request.options, name, self._luck(0.9))

    def _spoil_put_execution(self, request: rpcs.PutExecutionRequest) -> None:
        match self._random.randrange(9):
            case 0:
                request.ClearField("execution")
            case 1:
                self._spoil_node("execution", request.execution)
            case 2 | 3 if request.artifact_event_pairs:
                pair = self._one(request.artifact_event_pairs)
                if pair.HasField("artifact"):
                    self._spoil_node("artifact", pair.artifact)
            case 4 if request.contexts:
                self._spoil_node("context", self._one(request.contexts))
            case 5 if request.contexts:
                context = self._one(request.contexts)
                context.ClearField(self._one(("type_id", "name", "type_id")))
            case 6 if request.contexts:
                context = self._one(request.contexts)
                context.Clear()
                context.id = self._one((UNKNOWN_ID, self._node_id("context")))
                request.options.force_reuse_context = True
            case _ if request.artifact_event_pairs:
                pair = self._one(request.artifact_event_pairs)
                pair.event.SetInParent()
                match self._random.randrange(5):
                    case 0:
                        pair.event.type = 0
                    case 1:
                        pair.event.ClearField("type")
                    case 2:
                        pair.event.execution_id = self._one((UNKNOWN_ID, 1))
                        pair.event.type = 3
                    case 3:
                        pair.event.artifact_id = self._node_id("artifact")
                        pair.event.type = 3
                    case 4 if pair.event.type:
                        request.artifact_event_pairs.add().CopyFrom(pair)

    def _put_lineage_subgraph(self) -> Step:
        request = rpcs.PutLineageSubgraphRequest()
        for kind, sizes in (("execution", (0, 1, 1, 2)), ("artifact", (0, 1, 2, 3)), ("context", (0, 0, 1, 2))):
            for _ in range(self._one(sizes)):
                node = self._context_for_run() if kind == "context" and self._luck(0.6) else None
                node = node or (self._changed(kind) if self._luck(0.3) else self._new(kind))
                if node.HasField("id") and not node.HasField("type_id") and node.id in self.model.nodes[kind]:
                    node.type_id = self.model.nodes[kind][node.id].type_id
                getattr(request, f"{kind}s").append(node)
        for _ in range(self._one((0, 1, 2, 3))):
            self._add_edge(request)
        self._run_options(request)
        if self._luck(0.22):
            self._spoil_put_lineage_subgraph(request)
        self._options(request)
        return Call("PutLineageSubgraph", request)

    def _add_edge(self, request: rpcs.PutLineageSubgraphRequest) -> None:
        edge = rpcs.PutLineageSubgraphRequest.EventEdge(event=self._event())
        for kind in ("execution", "artifact"):
            nodes = getattr(request, f"{kind}s")
            if nodes and self._luck(0.8):
                index = self._random.randrange(len(nodes))
                setattr(edge, f"{kind}_index", index)
                if nodes[index].HasField("id") and self._luck(0.4):
                    setattr(edge.event, f"{kind}_id", nodes[index].id)
            elif self.model.nodes[kind]:
                setattr(edge.event, f"{kind}_id", self._node_id(kind))
            else:
                return
        request.event_edges.append(edge)

    def _spoil_put_lineage_subgraph(self, request: rpcs.PutLineageSubgraphRequest) -> None:
        edges = request.event_edges
        match self._random.randrange(10):
            case 0 | 1 | 2:
                kind = self._kind()
                if nodes := getattr(request, f"{kind}s"):
                    self._spoil_node(kind, self._one(nodes))
            case 3 if edges:
                self._one(edges).ClearField("event")
            case 4 if edges:
                edge = self._one(edges)
                kind = self._one(("artifact", "execution"))
                edge.ClearField(f"{kind}_index")
                edge.event.ClearField(f"{kind}_id")
            case 5 if edges:
                setattr(self._one(edges), self._one(("artifact_index", "execution_index")), self._one((-1, 3, 100)))
            case 6 if edges:
                edge = self._one(edges)
                kind = self._one(("artifact", "execution"))
                if edge.HasField(f"{kind}_index"):
                    setattr(edge.event, f"{kind}_id", self._node_id(kind))
            case 7 if edges:
                self._one(edges).event.ClearField("type")
            case 8 if edges:
                edges.add().CopyFrom(self._one(edges))
            case _:
                kind = self._kind()
                if nodes := getattr(request, f"{kind}s"):
                    self._one(nodes).ClearField("type_id")

    # Reads along edges

    def _contexts_by_node(self) -> Step:
        kind = self._one(("artifact", "execution"))
        linked = [node for node, _ in self.model.links[kind]]
        node_id = self._one(linked) if linked and self._luck(0.7) else self._node_id(kind, unknown=0.2)
        request = getattr(rpcs, f"GetContextsBy{kind.title()}Request")(**{f"{kind}_id": node_id})
        return Call(f"GetContextsBy{kind.title()}", request)

    def _kin(self) -> Step:
        name = self._one(("GetParentContextsByContext", "GetChildrenContextsByContext"))
        ids = [context for pair in self.model.parents for context in pair]
        context_id = self._one(ids) if ids and self._luck(0.7) else self._node_id("context", unknown=0.2)
        return Call(name, getattr(rpcs, f"{name}Request")(context_id=context_id))

    def _kin_of_many(self) -> Step:
        name = self._one(("GetParentContextsByContexts", "GetChildrenContextsByContexts"))
        return Batch(name, getattr(rpcs, f"{name}Request")(context_ids=self._node_ids("context")))

    def _events(self) -> Step:
        kind = self._one(("artifact", "execution"))
        request = getattr(rpcs, f"GetEventsBy{kind.title()}IDsRequest")(**{f"{kind}_ids": self._node_ids(kind)})
        return Call(f"GetEventsBy{kind.title()}IDs", request)

    # Lists

    def _listing(self) -> Step:
        kind = self._kind()
        title = f"{kind.title()}s"
        names = [f"Get{title}", f"Get{title}", f"Get{title}ByType"]
        if kind != "context":
            names.append(f"Get{title}ByContext")
        name = self._one(names)
        request = getattr(rpcs, f"{name}Request")()
        if name.endswith("ByType"):
            request.type_name, version = self._some_type(kind)
            if version or self._luck(0.2):
                request.type_version = version
        if name.endswith("ByContext"):
            linked = [context for _, context in self.model.links[kind]]
            request.context_id = self._one(linked) if linked and self._luck(0.8) else self._node_id("context", unknown=0.2)
        if self._luck(0.04) and name != f"Get{title}":
            return Call(name, request)
        self._list_options(request.options, kind)
        self._options(request)
        step = Listing(name, request)
        luck = self._random.random()
        if request.options.filter_query and luck < 0.1:
            quirk = self._one([quirk for quirk in filter_texts.QUIRKS if kind in quirk.kinds])
            request.options.filter_query, step.for_engine = quirk.text, quirk.instead
        elif luck < 0.25:
            step.foreign_tokens = request.options.order_by_field.field != pb.ListOperationOptions.OrderByField.LAST_UPDATE_TIME
        elif luck < 0.32:
            step.later = self._later_options(request.options, kind)
        return step

    def _list_options(self, options: pb.ListOperationOptions, kind: str) -> None:
        options.SetInParent()
        if self._luck(0.75):
            options.max_result_size = self._one((1, 2, 2, 3, 3, 5, 7, 20, 100))
        if self._luck(0.6):
            options.order_by_field.SetInParent()
            if self._luck(0.9):
                options.order_by_field.field = self._one((1, 1, 2, 2, 3))
            if self._luck(0.7):
                options.order_by_field.is_asc = self._luck(0.4)
        if self._luck(0.6):
            options.filter_query = filter_texts.draw(self._random, kind, step_number=self._number)
        if self._luck(0.06):
            match self._random.randrange(4):
                case 0:
                    options.max_result_size = self._one((0, -1, 2**31 - 1))
                case 1:
                    options.order_by_field.field = 0
                case 2:
                    options.next_page_token = self._one(("!!", "abc", "CAIQAhoCCAI", "====", "AAAA", "é", "CAIQAhoCCAI="))
                case 3:
                    options.next_page_token = ""

    def _later_options(self, options: pb.ListOperationOptions, kind: str) -> pb.ListOperationOptions:
        later = pb.ListOperationOptions()
        match self._random.randrange(5):
            case 0:
                later.order_by_field.is_asc = not options.order_by_field.is_asc
            case 1:
                later.order_by_field.field = 1 + options.order_by_field.field % 3
            case 2:
                later.max_result_size = self._one((1, 2, 10, 0))
            case 3:
                later.max_result_size = options.max_result_size
            case 4:
                later.filter_query = "id > 0"
        return later

    # Lineage

    def _lineage_subgraph(self) -> Step:
        request = rpcs.GetLineageSubgraphRequest()
        query = request.lineage_subgraph_query_options
        kind = self._one(("artifact", "execution"))
        starting = getattr(query, f"starting_{kind}s")
        if self._luck(0.65):
            starting.filter_query = f"id = {self._node_id(kind, unknown=0.05)}"
        elif self._luck(0.4):
            starting.filter_query = f"id IN ({self._node_id(kind)}, {self._node_id(kind)})"
        else:
            starting.filter_query = filter_texts.draw(self._random, kind, step_number=self._number)
        if self._luck(0.6):
            query.max_num_hops = self._one((0, 1, 1, 2, 2, 3, 4, 6, 20, 1000))
        if self._luck(0.8):
            query.direction = self._one((1, 1, 2, 2, 3, 3, 0))
        for other in ("artifact", "execution"):
            if self._luck(0.25):
                ending = getattr(query, f"ending_{other}s")
                ending.SetInParent()
                if self._luck(0.5):
                    ending.filter_query = f"id IN ({', '.join(str(self._node_id(other)) for _ in range(3))})"
                elif self._luck(0.85):
                    ending.filter_query = filter_texts.draw(self._random, other, step_number=self._number)
                elif self._luck(0.5):
                    ending.filter_query = ""
                if self._luck(0.6):
                    ending.include_ending_nodes = self._luck(0.7)
        if self._luck(0.4):
            request.read_mask.paths.extend(self._random.sample(SUBGRAPH_PARTS, k=self._one((0, 1, 2, 3, 5))))
        if self._luck(0.06):
            match self._random.randrange(4):
                case 0:
                    query.ClearField("starting_nodes")
                case 1:
                    query.max_num_hops = -1
                case 2:
                    starting.filter_query = ""
                case 3:
                    request.ClearField("lineage_subgraph_query_options")
        self._options(request)
        return Call("GetLineageSubgraph", request)

    def _lineage_graph(self) -> Step:
        return Call("GetLineageGraph", rpcs.GetLineageGraphRequest())

    def _empty_request(self) -> Step:
        name = self._one([method.name for method in rpcs.DESCRIPTOR.services_by_name["MetadataStoreService"].methods])
        if name.endswith("ContextsByContexts"):
            return Batch(name, getattr(rpcs, f"{name}Request")())
        return Call(name, getattr(rpcs, f"{name}Request")())

    # Everything about something

    def _dump_node(self) -> Step:
        kind = self._kind()
        node_id = self._node_id(kind)
        reads: list[tuple[str, Message]] = [
            (f"Get{kind.title()}sByID", getattr(rpcs, f"Get{kind.title()}sByIDRequest")(**{f"{kind}_ids": [node_id]}))
        ]
        if kind == "context":
            reads += _around_context(node_id)
        else:
            reads += [
                (name, getattr(rpcs, f"{name}Request")(**{field: value}))
                for name, field, value in (
                    (f"GetContextsBy{kind.title()}", f"{kind}_id", node_id),
                    (f"GetEventsBy{kind.title()}IDs", f"{kind}_ids", [node_id]),
                )
            ]
        return Dump(reads)


def _around_context(context_id: int) -> list[tuple[str, Message]]:
    names = ("GetArtifactsByContext", "GetExecutionsByContext", "GetParentContextsByContext", "GetChildrenContextsByContext")
    return [(name, getattr(rpcs, f"{name}Request")(context_id=context_id)) for name in names]


def _whole_store(model: Model) -> list[tuple[str, Message]]:
    names = [f"Get{kind.title()}{what}" for kind in KINDS for what in ("Types", "s")]
    reads: list[tuple[str, Message]] = [(name, getattr(rpcs, f"{name}Request")()) for name in names]
    for kind in KINDS:
        ids = sorted(type_id for stored in model.types.values() for type_id in stored)
        reads.append((f"Get{kind.title()}TypesByID", getattr(rpcs, f"Get{kind.title()}TypesByIDRequest")(type_ids=ids)))
    artifact_ids, execution_ids = sorted(model.nodes["artifact"]), sorted(model.nodes["execution"])
    reads.append(("GetEventsByArtifactIDs", rpcs.GetEventsByArtifactIDsRequest(artifact_ids=artifact_ids)))
    reads.append(("GetEventsByExecutionIDs", rpcs.GetEventsByExecutionIDsRequest(execution_ids=execution_ids)))
    for context_id in sorted(model.nodes["context"]):
        reads += _around_context(context_id)
    return reads
