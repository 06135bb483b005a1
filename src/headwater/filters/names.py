"""What a filter may speak of: the attributes and neighbours of each kind of node, and their types."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Any

from headwater.filters.faults import Fault, near_miss
from headwater.filters.scanning import Part, Token
from headwater.storage.kinds import ARTIFACT, CONTEXT, EXECUTION, NodeKind
from headwater.v1 import metadata_store_pb2 as pb


class Type(Enum):
    """The types of GoogleSQL that filters know."""

    INT64 = "INT64"
    FLOAT64 = "FLOAT64"
    STRING = "STRING"
    BOOL = "BOOL"
    NULL = "NULL"
    """Of the word NULL, which takes the type of its surroundings."""

    @property
    def is_number(self) -> bool:
        return self in (Type.INT64, Type.FLOAT64)


Words = Mapping[str, int]
"""The words of an enum and the numbers they stand for."""


@dataclass(frozen=True, eq=False)
class Family:
    """A sort of neighbour, ``contexts_`` for example, or the node itself."""

    name: str
    fields: Mapping[str, Type]
    words: Mapping[str, Words] = field(default_factory=dict)
    """For each field that is an enum its words."""
    is_property: bool = False


@dataclass(frozen=True)
class Mention:
    """A column that a filter names."""

    family: Family
    label: str
    """Tells the neighbours of one family apart; "" for the node itself."""
    field: str
    type: Type
    words: Words | None
    """If the column is an enum and so written that its words may follow."""


_TIMES = {"create_time_since_epoch": Type.INT64, "last_update_time_since_epoch": Type.INT64}
_COMMON = {"id": Type.INT64, "name": Type.STRING, "type": Type.STRING, **_TIMES}
_OWN = {"uri": Type.STRING, "state": Type.INT64, "last_known_state": Type.INT64}
_EXTERNAL_ID = {"external_id": Type.STRING}
_VALUES = {
    "int_value": Type.INT64,
    "double_value": Type.FLOAT64,
    "string_value": Type.STRING,
    "bool_value": Type.BOOL,
}


def _words(enum: Any) -> Words:  # Any: protobuf's enum wrappers share no public base class
    return dict(enum.items())


_STATES: dict[str, dict[str, Words]] = {
    "artifact": {"state": _words(pb.Artifact.State)},
    "execution": {"last_known_state": _words(pb.Execution.State)},
    "context": {},
}


def _own_fields(kind: NodeKind) -> dict[str, Type]:
    return {column: _OWN[column] for column in kind.own_columns}


def _event(other_node: str) -> Family:
    fields = {"type": Type.INT64, "milliseconds_since_epoch": Type.INT64, other_node: Type.INT64}
    return Family("events", fields, {"type": _words(pb.Event.Type)})


def _linked(name: str, kind: NodeKind) -> Family:
    return Family(name, _COMMON | _own_fields(kind) | _EXTERNAL_ID, _STATES[kind.name])


_PROPERTIES = {name: Family(name, _VALUES, is_property=True) for name in ("properties", "custom_properties")}
_CONTEXTS = Family("contexts", _COMMON)
_NEIGHBOURS: dict[NodeKind, dict[str, Family]] = {
    ARTIFACT: {"contexts": _CONTEXTS, "events": _event("execution_id")},
    EXECUTION: {"contexts": _CONTEXTS, "events": _event("artifact_id")},
    CONTEXT: {
        "parent_contexts": Family("parent_contexts", _COMMON),
        "child_contexts": Family("child_contexts", _COMMON),
        "artifacts": _linked("artifacts", ARTIFACT),
        "executions": _linked("executions", EXECUTION),
    },
}
_LABELLED = re.compile(
    r"(parent_contexts|child_contexts|contexts|artifacts|executions|events)_([0-9A-Za-z_]+)"
)


@lru_cache
def node_family(kind: NodeKind) -> Family:
    """The node itself."""
    return Family(
        kind.name,
        _COMMON | {"type_id": Type.INT64} | _EXTERNAL_ID | _own_fields(kind),
        _STATES[kind.name],
    )


def resolve(kind: NodeKind, token: Token) -> Mention:
    """The column that ``token``, a name, stands for.

    Raises:
        Fault: there is no such column; the message lists what there is.
    """
    first, *rest = token.parts
    if not rest:
        return _attribute(kind, token, first)
    if first.text in _PROPERTIES and not first.is_quoted:
        return _property(token, _PROPERTIES[first.text], rest)
    labelled = None if first.is_quoted else _LABELLED.fullmatch(first.text)
    if labelled and len(rest) == 1 and labelled[1] in _NEIGHBOURS[kind]:
        family = _NEIGHBOURS[kind][labelled[1]]
        return _field(family, labelled[2], rest[0], token)
    raise _unknown(kind, token)


def _attribute(kind: NodeKind, token: Token, part: Part) -> Mention:
    family = node_family(kind)
    if part.text.lower() not in family.fields:
        raise _unknown(kind, token)
    return _field(family, "", part, token)


def _field(family: Family, label: str, part: Part, token: Token) -> Mention:
    # Column names ignore case; as in MLMD the words of an enum follow its exact name only.
    name = part.text.lower()
    if name not in family.fields:
        raise Fault(
            f"{family.name}_{label} has no {part.text!r}{near_miss(name, family.fields)}; "
            f"it has {_list(family.fields)}",
            token.at,
        )
    words = None if part.is_quoted or part.text != name else family.words.get(name)
    return Mention(family, label, name, family.fields[name], words)


def _property(token: Token, family: Family, rest: list[Part]) -> Mention:
    name, *value = rest
    if len(value) == 1 and not value[0].is_quoted and value[0].text in _VALUES:
        return Mention(family, name.text, value[0].text, _VALUES[value[0].text], None)
    if not value:
        problem = f"a property is compared by one of its values: {token}.{next(iter(_VALUES))}"
    elif len(value) > 1:
        problem = f"a property name with dots stands in back quotes: {family.name}.`a.b`.int_value"
    else:
        problem = f"properties have no {value[0].text!r}{near_miss(value[0].text, _VALUES)}"
    raise Fault(f"{problem}; the values are {_list(_VALUES)}", token.at)


def _unknown(kind: NodeKind, token: Token) -> Fault:
    own = node_family(kind).fields
    for family in (node_family(kind), *_NEIGHBOURS[kind].values()):
        for enum, words in family.words.items():
            if token.text in words:
                column = enum if family is node_family(kind) else f"{family.name}_x.{enum}"
                return Fault(
                    f"{token} may only follow '{column} =', '!=', IN or NOT IN, with {enum!r} in lower case",
                    token.at,
                )
    neighbours = [f"{name}_<label>.<field>" for name in _NEIGHBOURS[kind]]
    article = "an" if kind.name[0] in "ae" else "a"
    return Fault(
        f"{article} {kind.name} has no {str(token)!r}{near_miss(token.text, own)}; it has {_list(own)}, "
        f"properties.<name>.<value>, custom_properties.<name>.<value>, {', '.join(neighbours)}",
        token.at,
    )


def _list(names: Mapping[str, object]) -> str:
    return ", ".join(names)
