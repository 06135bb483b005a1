"""What requests are made of: names, values, ids, nodes, types and events, drawn from small pools.

Ids are those of the model, so most requests are about something; a fault is put in by the ``spoil`` functions,
one at a time.
"""

from collections.abc import Sequence
from random import Random
from typing import TypeVar

from google.protobuf import any_pb2
from google.protobuf.message import Message

from headwater.v1 import metadata_store_pb2 as pb

from .model import KINDS, UNKNOWN_ID, Model

T = TypeVar("T")
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
STRINGS = (
    "v1",
    "v2",
    "",
    "n1",
    "it's",
    "both ' and \"",
    "a\\b",
    "tab\tline\n",
    "größe 中文 🎈",
    "%_",
    "null",
    "0",
    " x ",
    "name",
)
DOUBLES = (0.0, 0.5, 1.25, -2.0, 1000.0, 0.123457, -0.000001, 1e300, 123456789.25, 2.0**40)
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


class Drawing:
    """Draws from ``random`` and ``model``; ``number`` is that of the step that is being made."""

    def __init__(self, random: Random, model: Model) -> None:
        self.random = random
        self.model = model
        self.number = 0

    def luck(self, chance: float) -> bool:
        return self.random.random() < chance

    def one(self, pool: Sequence[T]) -> T:
        return self.random.choice(pool)

    def kind(self) -> str:
        return self.one(KINDS)

    def type_id(self, kind: str) -> int:
        types = list(self.model.types[kind])
        own = [type_id for type_id in types if type_id > 9]
        if own and self.luck(0.85):
            return self.one(own)
        return self.one(types) if types else UNKNOWN_ID

    def node_id(self, kind: str, *, unknown: float = 0.0) -> int:
        nodes = list(self.model.nodes[kind])
        if not nodes or self.luck(unknown):
            return self.one((UNKNOWN_ID, 0, -1, UNKNOWN_ID + 1))
        # The newest are met more often: they are what was just put.
        return self.one(nodes[-5:]) if self.luck(0.4) else self.one(nodes)

    def node_ids(self, kind: str) -> list[int]:
        return [self.node_id(kind, unknown=0.1) for _ in range(self.one((0, 1, 1, 2, 3, 5)))]

    def value(self, property_type: int) -> pb.Value:
        match property_type:
            case pb.INT:
                return pb.Value(int_value=self.one(INTS))
            case pb.DOUBLE:
                return pb.Value(double_value=self.one(DOUBLES))
            case pb.STRING:
                return pb.Value(string_value=self.one(STRINGS))
            case pb.BOOLEAN:
                return pb.Value(bool_value=self.luck(0.5))
            case pb.STRUCT:
                value = pb.Value()
                value.struct_value.SetInParent()
                if self.luck(0.8):
                    value.struct_value.update(
                        {
                            "a": self.one(DOUBLES),
                            "b": [1.0, "x", None, True, {"c": {}}],
                            "é\n": self.one(STRINGS),
                        }
                    )
                return value
            case _:
                inner = any_pb2.Any()
                inner.Pack(pb.Attribution(artifact_id=self.one((1, 2)), context_id=3))
                return pb.Value(proto_value=inner)

    def _custom(self, name: str) -> pb.Value:
        types = {"ci": pb.INT, "cd": pb.DOUBLE, "cs": pb.STRING, "cb": pb.BOOLEAN}
        return self.value(types[name] if name in types and self.luck(0.9) else self.one((1, 2, 3, 4, 5, 6)))

    def fill(self, kind: str, node: Message, type_id: int, *, update: bool = False) -> None:
        """Give ``node`` fields as a client would, valid for its type."""
        stored = self.model.types[kind].get(type_id)
        declared = dict(stored.properties) if stored else {}
        for name in self.random.sample(sorted(declared), k=min(len(declared), self.one((0, 1, 2, 3, 9)))):
            node.properties[name].CopyFrom(self.value(declared[name]))
        for name in self.random.sample(CUSTOM, k=self.one((0, 0, 1, 2, 3, 6))):
            node.custom_properties[name].CopyFrom(self._custom(name))
        if kind == "artifact":
            if self.luck(0.6):
                node.uri = self.one(URIS)
            if self.luck(0.6):
                node.state = self.one((0, 1, 2, 2, 3, 4, 5, 6))
        if kind == "execution" and self.luck(0.7):
            node.last_known_state = self.one((0, 1, 2, 3, 3, 4, 5, 6))
        if self.luck(0.35 if not update else 0.25):
            node.external_id = self.one(EXTERNAL_IDS) if self.luck(0.97) else ""
        if kind == "context":
            if not update or self.luck(0.7):
                node.name = self._name(kind, type_id)
        elif self.luck(0.6):
            node.name = self._name(kind, type_id)
        if self.luck(0.05):
            node.type = self.one(("T1", "wrong", ""))
        if self.luck(0.05):
            node.create_time_since_epoch = 5
            node.last_update_time_since_epoch = 6
        if self.luck(0.03):
            node.system_metadata.Pack(pb.Attribution(artifact_id=1))

    def _name(self, kind: str, type_id: int) -> str:
        pool = CONTEXT_NAMES if kind == "context" else NAMES
        taken = {node.name for node in self.model.nodes[kind].values() if node.type_id == type_id}
        free = [name for name in pool if name not in taken]
        if self.luck(0.03) and kind != "context":
            return ""
        if free and self.luck(0.75):
            return self.one(free)
        return self.one(pool) if self.luck(0.5) or not taken else f"n{self.random.randrange(1000)}"

    def new(self, kind: str) -> Message:
        type_id = self.type_id(kind)
        node = NODE[kind](type_id=type_id)
        self.fill(kind, node, type_id)
        return node

    def changed(self, kind: str) -> Message:
        """An update of a stored node, written from memory and not from a read."""
        node_id = self.node_id(kind)
        stored = self.model.nodes[kind].get(node_id)
        type_id = stored.type_id if stored else self.type_id(kind)
        node = NODE[kind](id=node_id)
        if self.luck(0.7):
            node.type_id = type_id
        self.fill(kind, node, type_id, update=True)
        if kind == "context" and stored and not node.name:
            node.name = stored.name
        return node

    def spoil_node(self, kind: str, node: Message) -> None:
        """One fault of the tables 3.1 and 3.2."""
        match self.random.randrange(11):
            case 0:
                node.ClearField("type_id")
                node.type = "T1"
            case 1:
                node.type_id = self.one((UNKNOWN_ID, 0, -1))
            case 2:
                other = self.one([k for k in KINDS if k != kind])
                node.type_id = self.type_id(other)
            case 3:
                node.properties["nosuch"].int_value = 1
            case 4:
                node.properties[self.one(("I", "S", "myprop"))].int_value = 1
            case 5:
                name = self.one(list(DECLARED))
                node.properties[name].CopyFrom(self.value(self.one((1, 2, 3, 4, 5, 6))))
            case 6:
                node.properties[self.one(list(DECLARED))].SetInParent()
            case 7:
                node.ClearField("name")
                if self.luck(0.5):
                    node.name = ""
            case 8:
                taken = [stored for stored in self.model.nodes[kind].values() if stored.name]
                if taken:
                    stored = self.one(taken)
                    node.name = stored.name
                    if not node.HasField("id"):
                        node.type_id = stored.type_id
                        node.ClearField("properties")
            case 9:
                taken = [stored for stored in self.model.nodes[kind].values() if stored.external_id]
                if taken:
                    node.external_id = self.one(taken).external_id
            case 10:
                node.id = self.one((UNKNOWN_ID, 0, -5))

    def tag(self, request: Message) -> None:
        if self.luck(0.05):
            request.transaction_options.tag = "tag"

    def type(self, kind: str) -> Message:
        names = (*TYPE_NAMES, "mlmd.Dataset", "mlmd.Train") if self.luck(0.12) else TYPE_NAMES
        given = TYPE[kind](name=self.one(names))
        if self.luck(0.6):
            given.version = self.one(VERSIONS)
        stored = [
            t for t in self.model.types[kind].values() if (t.name, t.version) == (given.name, given.version)
        ]
        luck = self.random.random()
        if stored and luck < 0.75:
            given.properties.update(stored[0].properties)
        if not stored or luck < 0.25 or luck > 0.8:
            for name in self.random.sample(list(DECLARED), k=self.one((0, 1, 2, 3, 4, 9))):
                if name not in given.properties:
                    given.properties[name] = DECLARED[name]
        if self.luck(0.08):
            given.properties[self.one(list(DECLARED))] = self.one((0, 1, 2, 3, 4, 5, 6))
        if given.properties and self.luck(0.1):
            del given.properties[self.one(sorted(given.properties))]
        if self.luck(0.2):
            given.description = self.one(("d1", "d2", ""))
        if self.luck(0.2):
            given.external_id = self.one(EXTERNAL_IDS) if self.luck(0.9) else ""
        if kind != "context" and self.luck(0.15):
            given.base_type = self.one((0, 1, 2, 2, 2, 3, 4))
        elif kind == "context" and self.luck(0.02):
            given.base_type = 0
        if self.luck(0.05):
            given.id = self.one((1, 10, UNKNOWN_ID))
        if kind == "execution" and self.luck(0.2):
            given.input_type.dict.properties["in"].simple.name = "T1"
            given.output_type.any.SetInParent()
        if self.luck(0.04):
            given.name = ""
            if self.luck(0.5):
                given.ClearField("name")
        return given

    def some_type(self, kind: str) -> tuple[str, str]:
        types = list(self.model.types[kind].values())
        if types and self.luck(0.85):
            stored = self.one(types)
            return stored.name, stored.version
        return self.one((*TYPE_NAMES, "nosuch", "")), self.one(VERSIONS)

    def external_ids(self) -> list[str]:
        ids = [self.one((*EXTERNAL_IDS, "nosuch")) for _ in range(self.one((0, 1, 1, 2, 3, 6)))]
        if self.luck(0.06):
            ids.append("")
        return ids

    def event(self, *, event_type: int = 0) -> pb.Event:
        event = pb.Event(type=event_type or self.one((1, 2, 3, 3, 3, 4, 4, 4, 5, 6, 7)))
        for _ in range(self.one((0, 0, 1, 2, 3))):
            step = event.path.steps.add()
            match self.random.randrange(10):
                case 0:
                    pass
                case 1 | 2 | 3 | 4:
                    step.index = self.one((0, 1, -1, 2**40))
                case _:
                    step.key = self.one(("k", "", "é'\""))
        if self.luck(0.05):
            event.path.SetInParent()
        if self.luck(0.4):
            event.milliseconds_since_epoch = self.one((0, -5, 100, 200, 300))
        if self.luck(0.03):
            event.system_metadata.Pack(pb.Attribution(artifact_id=1))
        return event

    def mask(self, kind: str) -> list[str]:
        pool = (*MASK_PATHS, *MASKS[kind] * 3, "external_id", "properties", "custom_properties")
        return self.random.sample(pool, k=self.one((0, 1, 1, 2, 3, 4)))
