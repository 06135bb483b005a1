"""Types: the user's schema for nodes.

A type is known by kind, name and version; no version and the empty version are the same. A stored type
can gain properties and a base type, and never loses or changes anything else.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from google.protobuf import json_format

from headwater.errors import AlreadyExists, InvalidRequest, Unimplemented
from headwater.storage import schema
from headwater.storage.dialects import InList, Values
from headwater.storage.kinds import ARTIFACT, EXECUTION, KINDS, NodeKind, TypeMessage
from headwater.storage.statements import Insert, Prepared
from headwater.storage.values import checked_text, looked_for
from headwater.v1 import metadata_store_pb2 as pb

if TYPE_CHECKING:
    from headwater.storage.transactions import Question, Transaction

UNKNOWN = pb.PropertyType.Value("UNKNOWN")
UNSET_BASE_TYPE = 0

_type = schema.type_table
_type_property = schema.type_property_table
_parent_type = schema.parent_type_table


@dataclass(frozen=True)
class StoredType:
    """What writing a node needs to know of its type."""

    kind: NodeKind
    name: str
    properties: Mapping[str, int]
    """Name to ``PropertyType`` number."""


class KnownTypes:
    """Types that were read before, for transactions that write.

    Types only grow. So a type that was known once may have gained properties since, but a node that it
    allowed it still allows.
    """

    def __init__(self) -> None:
        self.by_id: dict[int, StoredType] = {}
        self.by_name: dict[tuple[NodeKind, str, str], TypeMessage] = {}
        """By kind, name and version."""

    def copy(self) -> "KnownTypes":
        """For a transaction that others must not learn from before it is committed."""
        copy = KnownTypes()
        copy.by_id.update(self.by_id)
        copy.by_name.update(self.by_name)
        return copy

    def learn(self, other: "KnownTypes") -> None:
        """Take over what a committed transaction knew."""
        self.by_id.update(other.by_id)
        self.by_name.update(other.by_name)

    def clear(self) -> None:
        """Forget: somebody else has written, or a write was taken back."""
        self.by_id.clear()
        self.by_name.clear()


# Reading

_COLUMNS = (
    _type.c.id,
    _type.c.name,
    _type.c.version,
    _type.c.description,
    _type.c.external_id,
    _type.c.input_type,
    _type.c.output_type,
)


@cache
def _types_with(condition: str, kind: NodeKind) -> Prepared:
    return _restricted(sa.select(*_COLUMNS).order_by(_type.c.id), condition, kind)


@cache
def _properties_with(condition: str, kind: NodeKind) -> Prepared:
    """Properties of the types of ``_types_with``."""
    select = sa.select(_type_property.c.type_id, _type_property.c.name, _type_property.c.data_type)
    joined = _type_property.join(_type, _type.c.id == _type_property.c.type_id)
    return _restricted(select.select_from(joined), condition, kind)


@cache
def _base_types_with(condition: str, kind: NodeKind) -> Prepared:
    """Names of the base types of the types of ``_types_with``."""
    parent = _type.alias("parent")
    joined = _parent_type.join(_type, _type.c.id == _parent_type.c.type_id).join(
        parent, parent.c.id == _parent_type.c.parent_type_id
    )
    return _restricted(sa.select(_parent_type.c.type_id, parent.c.name).select_from(joined), condition, kind)


def _restricted(select: sa.Select[Any], condition: str, kind: NodeKind) -> Prepared:
    select = select.where(_type.c.type_kind == kind.number)
    if condition == "all":
        return Prepared(select)
    return Prepared(select.where(InList(_type.c[condition], "wanted")), "wanted")


_PROPERTIES = Prepared(
    sa.select(_type_property.c.type_id, _type_property.c.name, _type_property.c.data_type).where(
        InList(_type_property.c.type_id, "ids")
    ),
    "ids",
)

_SIMPLE_TYPE_NAMES = frozenset(name for kind in KINDS for name in kind.base_types.values())


def types_by_id(tx: "Transaction", kind: NodeKind, ids: Sequence[int]) -> list[TypeMessage]:
    """One message for each of ``ids`` that is a type of this kind, in their order, repeats repeated."""
    found = {message.id: message for message in _types(tx, kind, "id", set(ids))}
    return [found[type_id] for type_id in ids if type_id in found]


def find_type(tx: "Transaction", kind: NodeKind, name: str, version: str) -> TypeMessage | None:
    """The type of this name and version. Of duplicates, which MLMD can leave behind, the oldest."""
    found = (message for message in _types(tx, kind, "name", [name]) if message.version == version)
    return next(found, None)


def find_type_id(tx: "Transaction", kind: NodeKind, name: str, version: str) -> int | None:
    """The id of the type of this name and version."""
    for row in tx.rows(_types_with("name", kind), Values([name])):
        if (row[2] or "") == version:
            return int(row[0])
    return None


def types_by_external_id(tx: "Transaction", kind: NodeKind, external_ids: Iterable[str]) -> list[TypeMessage]:
    """Types that have one of these external ids, by ascending id."""
    return _types(tx, kind, "external_id", set(external_ids))


def all_types(tx: "Transaction", kind: NodeKind) -> list[TypeMessage]:
    """Every type of this kind, by ascending id, the simple types among them."""
    return _assembled(kind, *tx.rows_of_each(questions_of_all(kind)))


def questions_of_all(kind: NodeKind) -> "list[Question]":
    """What ``all_types`` asks, for ``ask_ahead``."""
    return [(_types_with("all", kind),), (_properties_with("all", kind),), (_base_types_with("all", kind),)]


def users_types(tx: "Transaction", kind: NodeKind) -> list[TypeMessage]:
    """Every type of this kind but those that have the name of a simple type."""
    hidden = _SIMPLE_TYPE_NAMES if kind.base_types else frozenset()
    return [message for message in all_types(tx, kind) if message.name not in hidden]


def _types(tx: "Transaction", kind: NodeKind, column: str, wanted: Iterable[int | str]) -> list[TypeMessage]:
    """The types that have one of ``wanted`` in ``column``, by ascending id."""
    values = Values(sorted(wanted)) if column == "id" else looked_for(set(wanted))  # type: ignore[arg-type]  # texts
    return _assembled(kind, *tx.rows_of_each(_questions(kind, column, values))) if values else []


def _questions(kind: NodeKind, column: str, values: Values) -> "list[Question]":
    statements = (_types_with(column, kind), _properties_with(column, kind), _base_types_with(column, kind))
    return [(statement, values) for statement in statements]


def _assembled(
    kind: NodeKind, rows: Sequence[Any], of_types: Sequence[Any], bases: Sequence[Any]
) -> list[TypeMessage]:
    """Messages for rows of the type table, their properties and their base types."""
    properties: dict[int, dict[str, int]] = defaultdict(dict)
    for type_id, name, data_type in of_types:
        properties[type_id][name] = data_type
    numbers = {name: number for number, name in kind.base_types.items()}
    base_types = {type_id: numbers[name] for type_id, name in bases if name in numbers}
    messages = []
    for type_id, name, version, description, external_id, input_type, output_type in rows:
        message = kind.type_message(
            id=type_id,
            name=name,
            version=version,
            description=description,
            external_id=external_id,
            properties=properties.get(type_id),  # type: ignore[arg-type]  # numbers of PropertyType
        )
        if isinstance(message, pb.ExecutionType):
            if input_type:
                json_format.Parse(input_type, message.input_type, ignore_unknown_fields=True)
            if output_type:
                json_format.Parse(output_type, message.output_type, ignore_unknown_fields=True)
        if type_id in base_types:
            message.base_type = base_types[type_id]  # type: ignore[assignment]  # contexts have none
        messages.append(message)
    return messages


_KNOWN = Prepared(
    sa.select(_type.c.id, _type.c.type_kind, _type.c.name).where(InList(_type.c.id, "ids")), "ids"
)


def known_types(tx: "Transaction", ids: Iterable[int]) -> Mapping[int, StoredType]:
    """Types by id, of any kind. In a transaction that writes they are read only once."""
    known = tx.known_types.by_id if tx.known_types is not None else {}
    missing = {type_id for type_id in ids if type_id not in known}
    if missing:
        wanted = Values(sorted(missing))
        rows, of_types = tx.rows_of_each([(_KNOWN, wanted), (_PROPERTIES, wanted)])
        properties: dict[int, dict[str, int]] = defaultdict(dict)
        for type_id, name, data_type in of_types:
            properties[type_id][name] = data_type
        by_number = {kind.number: kind for kind in KINDS}
        for type_id, number, name in rows:
            known[type_id] = StoredType(by_number[number], name, properties[type_id])
    return known


# Writing

_INSERT_TYPE = Insert(
    _type, "id", "name", "version", "type_kind", "description", "input_type", "output_type", "external_id"
)
_INSERT_PROPERTY = Insert(_type_property, "type_id", "name", "data_type")
_INSERT_BASE_TYPE = Insert(_parent_type, "type_id", "parent_type_id")
_SET_EXTERNAL_ID = Prepared(
    sa.update(_type).where(_type.c.id == sa.bindparam("type_id")).values(external_id=sa.bindparam("given")),
    "given",
    "type_id",
)
_EXTERNAL_ID_HOLDER = Prepared(
    sa.select(_type.c.id, _type.c.name).where(_type.c.external_id == sa.bindparam("given")), "given"
)


def announce_types(tx: "Transaction", kind: NodeKind, types: Iterable[TypeMessage]) -> None:
    """Say that these types will be put, so that what this has to know is asked together with other things."""
    names = {given.name for given in types}
    if names and tx.dialect.is_server:
        tx.ask_ahead(_questions(kind, "name", looked_for(names)))


def put_types(
    tx: "Transaction",
    kind: NodeKind,
    types: Sequence[TypeMessage],
    *,
    can_add_fields: bool,
    can_omit_fields: bool,
) -> list[int]:
    """Create types, or extend the stored ones of their names; ids in the order of ``types``.

    Raises:
        InvalidRequest: no name, an UNKNOWN property, or a type that would be its own base.
        AlreadyExists: the stored type has other properties, or the external id is taken.
        Unimplemented: a base type that is UNSET, or other than the stored one.
    """
    assert tx.known_types is not None, "types are put in a transaction that writes"
    names = {checked_text(given.name, "the name of a type") for given in types}
    if tx.dialect.is_server:
        # Another server may have changed them since.
        _know(tx, kind, names)
    stored = tx.known_types.by_name
    if all(_is_stored(stored.get((kind, given.name, given.version)), given) for given in types):
        # What nearly every run of a pipeline begins with: types that are there.
        return [stored[kind, given.name, given.version].id for given in types]
    tx.lock_store()
    _know(tx, kind, {name for name in names if not any((kind, name) == key[:2] for key in stored)})
    ids = []
    for given in types:
        key = (kind, given.name, given.version)
        if key in stored:
            _extend(tx, kind, stored[key], given, can_add=can_add_fields, can_omit=can_omit_fields)
        else:
            stored[key] = _create(tx, kind, given)
        if given.HasField("base_type"):
            _set_base_type(tx, kind, stored[key], given.base_type)
        ids.append(stored[key].id)
    return ids


def _know(tx: "Transaction", kind: NodeKind, names: Iterable[str]) -> None:
    """Read the types of these names. Of duplicates the oldest counts."""
    assert tx.known_types is not None
    found: dict[tuple[NodeKind, str, str], TypeMessage] = {}
    for message in _types(tx, kind, "name", names):
        found.setdefault((kind, message.name, message.version), message)
    tx.known_types.by_name.update(found)


def _is_stored(stored: TypeMessage | None, given: TypeMessage) -> bool:
    """Whether putting ``given`` would change nothing and break no rule."""
    return (
        stored is not None
        and dict(stored.properties) == dict(given.properties)
        and given.external_id in ("", stored.external_id)
        and getattr(given, "base_type", UNSET_BASE_TYPE)
        in (UNSET_BASE_TYPE, getattr(stored, "base_type", None))
        and not (given.HasField("base_type") and getattr(given, "base_type", None) == UNSET_BASE_TYPE)
    )


def _create(tx: "Transaction", kind: NodeKind, given: TypeMessage) -> TypeMessage:
    if not given.name:
        raise InvalidRequest(f"a type of {kind.name}s needs a name")
    _check_properties(kind, given, given.properties)
    external_id = given.external_id if given.HasField("external_id") else None
    if external_id is not None:
        _check_external_id_is_free(tx, kind, given, external_id)
    is_execution = isinstance(given, pb.ExecutionType)
    (type_id,) = tx.new_ids(_type, 1)
    row = (
        type_id,
        given.name,
        checked_text(given.version, "the version of a type") or None,
        kind.number,
        checked_text(given.description, "the description of a type")
        if given.HasField("description")
        else None,
        _struct_type_json(given, "input_type") if is_execution else None,
        _struct_type_json(given, "output_type") if is_execution else None,
        external_id,
    )
    tx.insert(_INSERT_TYPE, [row])
    tx.insert(_INSERT_PROPERTY, [(type_id, name, value) for name, value in given.properties.items()])
    return kind.type_message(
        id=type_id,
        name=given.name,
        version=given.version or None,
        external_id=external_id,
        properties=dict(given.properties),
    )


def _extend(
    tx: "Transaction",
    kind: NodeKind,
    stored: TypeMessage,
    given: TypeMessage,
    *,
    can_add: bool,
    can_omit: bool,
) -> None:
    """Check ``given`` against ``stored`` and add to it, in the database and in the message."""
    for name in given.properties:
        if name in stored.properties and given.properties[name] != stored.properties[name]:
            raise AlreadyExists(
                f"{kind.name} type {given.name!r} is stored with property {name!r} as "
                f"{_type_name(stored.properties[name])}, not {_type_name(given.properties[name])}; "
                "properties of a type never change, use another name or a new version"
            )
    omitted = sorted(name for name in stored.properties if name not in given.properties)
    if omitted and not can_omit:
        raise AlreadyExists(
            f"{kind.name} type {given.name!r} lacks the stored property {omitted[0]!r}; "
            "send it too, or set can_omit_fields to keep the stored one"
        )
    added = {name: value for name, value in given.properties.items() if name not in stored.properties}
    if added and not can_add:
        raise AlreadyExists(
            f"{kind.name} type {given.name!r} is stored without property {min(added)!r}; "
            "set can_add_fields to add it"
        )
    _check_properties(kind, given, added)
    if added:
        tx.insert(_INSERT_PROPERTY, [(stored.id, name, value) for name, value in added.items()])
        for name, value in added.items():
            stored.properties[name] = value
        if tx.known_types is not None:
            tx.known_types.by_id.pop(stored.id, None)
    if given.external_id and given.external_id != stored.external_id:
        _check_external_id_is_free(tx, kind, given, given.external_id)
        tx.run(_SET_EXTERNAL_ID, given.external_id, stored.id)
        stored.external_id = given.external_id


def _check_properties(kind: NodeKind, given: TypeMessage, properties: Mapping[str, int]) -> None:
    for name, value in properties.items():
        checked_text(name, "the name of a property")
        if value == UNKNOWN:
            raise InvalidRequest(
                f"property {name!r} of {kind.name} type {given.name!r} is UNKNOWN; "
                "declare it INT, DOUBLE, STRING, STRUCT, PROTO or BOOLEAN"
            )


def _check_external_id_is_free(
    tx: "Transaction", kind: NodeKind, given: TypeMessage, external_id: str
) -> None:
    checked_text(external_id, "an external id")
    for _, holder in tx.rows(_EXTERNAL_ID_HOLDER, external_id):
        raise AlreadyExists(
            f"{kind.name} type {given.name!r} cannot have external id {external_id!r}: "
            f"type {holder!r} has it, and external ids are unique among types of all kinds"
        )


def _set_base_type(tx: "Transaction", kind: NodeKind, stored: TypeMessage, base_type: int) -> None:
    if base_type == UNSET_BASE_TYPE or base_type not in kind.base_types:
        raise Unimplemented(
            f"the base type of {kind.name} type {stored.name!r} cannot be UNSET; leave base_type out"
        )
    held = getattr(stored, "base_type", UNSET_BASE_TYPE)
    if held == base_type:
        return
    if held != UNSET_BASE_TYPE:
        raise Unimplemented(
            f"{kind.name} type {stored.name!r} has base type {kind.base_types[held]}, which cannot be changed"
        )
    if stored.name == kind.base_types[base_type]:
        raise InvalidRequest(f"{kind.name} type {stored.name!r} cannot be its own base type")
    base_id = find_type_id(tx, kind, kind.base_types[base_type], "")
    tx.insert(_INSERT_BASE_TYPE, [(stored.id, base_id)])
    stored.base_type = base_type  # type: ignore[assignment]  # contexts were refused above


def _struct_type_json(given: TypeMessage, name: str) -> str | None:
    if not given.HasField(name):
        return None
    return json_format.MessageToJson(getattr(given, name), indent=None)


def _type_name(value: int) -> str:
    return pb.PropertyType.Name(value)


def add_missing_simple_types(tx: "Transaction") -> None:
    """Write those of the nine simple types that are not stored, in their customary order."""
    for kind in (ARTIFACT, EXECUTION):
        stored = {message.name for message in all_types(tx, kind) if not message.version}
        for name in kind.base_types.values():
            if name not in stored:
                _create(tx, kind, kind.type_message(name=name))
