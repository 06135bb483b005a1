"""Writing nodes: create, replace, change under a mask.

A request's nodes are written in their order, runs of new nodes and runs of updates each with a fixed
number of statements. An update is computed on the stored message first, so that what ML Metadata
promises about ``last_update_time_since_epoch`` (moved by any change, not by writing back what was read)
is decided in one place.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from headwater.errors import AlreadyExists, FailedPrecondition, HeadwaterError, InvalidRequest, NotFound
from headwater.storage.kinds import ARTIFACT, CONTEXT, Node, NodeKind
from headwater.storage.nodes import (
    copied,
    find_external_ids,
    find_names,
    questions_of_messages,
    read_messages,
)
from headwater.storage.statements import Insert, Prepared
from headwater.storage.transactions import Transaction
from headwater.storage.types import StoredType, known_types
from headwater.storage.values import CASES, Columns, checked_text, encode
from headwater.v1 import metadata_store_pb2 as pb

_PROPERTY_COLUMNS = (
    "node_id",
    "name",
    "is_custom_property",
    "int_value",
    "double_value",
    "string_value",
    "proto_value",
    "bool_value",
)
# Never compared when asking whether a node differs from the stored one.
_NOT_COMPARED = (
    "type_id",
    "create_time_since_epoch",
    "last_update_time_since_epoch",
    "properties",
    "custom_properties",
)
_MAPS = ("properties", "custom_properties")

PropertyKey = tuple[int, str, bool]


def announce(tx: Transaction, kind: NodeKind, nodes: Iterable[Node]) -> None:
    """Say that these nodes will be put, so that what this has to know is asked together with other things."""
    if tx.is_careful:
        return
    new = [node for node in nodes if not node.HasField("id")]
    tx.reserve_ids({kind.table: len(new)})
    runs = [list(run) for is_update, run in groupby(nodes, key=lambda node: node.HasField("id")) if is_update]
    if len(runs) == 1:
        # Of several runs a later one may update what an earlier one has updated.
        tx.ask_ahead(questions_of_messages(tx, kind, [node.id for node in runs[0]], locks=True))


def put_nodes(
    tx: Transaction,
    kind: NodeKind,
    nodes: Sequence[Node],
    *,
    mask: Sequence[str] = (),
    check_update_time: bool = False,
    force_update_time: bool = False,
) -> list[int]:
    """Create the nodes without id, update the others; ids in the order of ``nodes``.

    Without ``mask`` an update replaces the node; with it only the fields that the mask names.
    ``check_update_time`` refuses an update whose ``last_update_time_since_epoch`` is not the stored one,
    and gives the node a greater one. ``force_update_time`` moves the time even if nothing differs.

    Raises:
        InvalidRequest: an id that is not stored, or what the type does not allow.
        NotFound: a type that is not stored.
        AlreadyExists: a name or an external id that another node of this kind has.
        FailedPrecondition: the node was changed since the caller read it.
    """
    ids: list[int] = []
    for is_update, run in groupby(nodes, key=lambda node: node.HasField("id")):
        if is_update:
            ids += _update(
                tx,
                kind,
                list(run),
                mask=mask,
                check_update_time=check_update_time,
                force_update_time=force_update_time,
            )
        else:
            ids += _create(tx, kind, list(run))
    return ids


# Create


def _node_columns(kind: NodeKind) -> tuple[str, ...]:
    times = ("create_time_since_epoch", "last_update_time_since_epoch")
    return ("id", "type_id", *kind.own_columns, "name", "external_id", *times)


@cache
def _insert_nodes(kind: NodeKind) -> Insert:
    return Insert(kind.table, *_node_columns(kind))


@cache
def _insert_properties(kind: NodeKind) -> Insert:
    return Insert(kind.properties, *_PROPERTY_COLUMNS)


def _create(tx: Transaction, kind: NodeKind, nodes: Sequence[Node]) -> list[int]:
    known = known_types(tx, {node.type_id for node in nodes})
    ids = tx.new_ids(kind.table, len(nodes))
    rows: list[tuple[Any, ...]] = []
    properties: list[tuple[Any, ...]] = []
    try:
        for node_id, node in zip(ids, nodes, strict=True):
            type_ = _type_of(kind, node, known)
            check_properties(kind, type_, node.properties)
            rows.append(
                (node_id, node.type_id, *_own(kind, node), *_stored_texts(kind, node), tx.now_ms, tx.now_ms)
            )
            for is_custom, values in ((False, node.properties), (True, node.custom_properties)):
                for name, value in values.items():
                    columns = encode(
                        tx.dialect, checked_text(name, "the name of a property"), value, is_custom=is_custom
                    )
                    properties.append((node_id, name, is_custom, *columns))
    except HeadwaterError:
        # The first fault of a request decides its code, and an earlier node may have one too.
        _refuse_taken(tx, kind, rows)
        raise
    if not tx.insert_new(_insert_nodes(kind), rows):
        _refuse_taken(tx, kind, rows)
        raise AlreadyExists(f"a name or an external id of the new {kind.name}s is taken")
    tx.insert(_insert_properties(kind), properties)
    return list(ids)


def _type_of(kind: NodeKind, node: Node, known: Mapping[int, StoredType]) -> StoredType:
    if not node.HasField("type_id"):
        raise InvalidRequest(
            f"a new {kind.name} needs a type_id; put its type first and take the id from the answer"
        )
    type_ = known.get(node.type_id)
    if type_ is None or type_.kind is not kind:
        raise NotFound(f"there is no {kind.name} type with id {node.type_id}")
    return type_


def check_properties(kind: NodeKind, type_: StoredType, properties: Mapping[str, pb.Value]) -> None:
    """Refuse properties that the type does not declare, or declares with another kind of value."""
    for name, value in properties.items():
        declared = type_.properties.get(name)
        if declared is None:
            raise InvalidRequest(
                f"{kind.name} type {type_.name!r} does not declare property {name!r}; "
                "add it to the type, or store it as a custom property"
            )
        case = value.WhichOneof("value")
        if case is None or CASES[case] != declared:
            wanted = pb.PropertyType.Name(declared)
            raise InvalidRequest(
                # The first words are those of ML Metadata, whose clients test for them.
                f"Found unmatched property type: {name}: {kind.name} type {type_.name!r} declares it as "
                f"{wanted}, and its value is {'empty' if case is None else 'a ' + case}"
            )


def _stored_texts(kind: NodeKind, node: Node) -> tuple[str | None, str | None]:
    """Name and external id as they are stored."""
    name = checked_text(node.name, f"the name of the {kind.name}") if node.HasField("name") else None
    if kind is CONTEXT and not name:
        raise InvalidRequest("a context needs a name that is not empty")
    external_id = node.external_id if node.HasField("external_id") else None
    if external_id is not None:
        checked_text(external_id, f"the external id of the {kind.name}")
    return name, external_id


def _own(kind: NodeKind, node: Node) -> tuple[Any, ...]:
    """The values of ``kind.own_columns``. An artifact without uri has the empty one."""
    if isinstance(node, pb.Artifact):
        uri = checked_text(node.uri, "the uri of the artifact")
        return uri, node.state if node.HasField("state") else None
    if isinstance(node, pb.Execution):
        return (node.last_known_state if node.HasField("last_known_state") else None,)
    return ()


def _refuse_taken(tx: Transaction, kind: NodeKind, rows: Sequence[tuple[Any, ...]]) -> None:
    """Raise AlreadyExists for the first of the new rows whose name or external id is taken."""
    new = [(row[0], (row[1], row[-4]), row[-3]) for row in rows]
    names = find_names(tx, kind, [(type_id, name) for _, (type_id, name), _ in new if name is not None])
    external_ids = find_external_ids(
        tx, kind, [external_id for *_, external_id in new if external_id is not None]
    )
    own = {node_id for node_id, *_ in new}
    # Rows that went in before the conflict was noticed are no reason to refuse their own request.
    names = {key: holder for key, holder in names.items() if holder not in own}
    external_ids = {key: holder for key, holder in external_ids.items() if holder not in own}
    for node_id, key, external_id in new:
        if key[1] is not None and names.setdefault(key, node_id) != node_id:
            if names[key] in own:
                raise AlreadyExists(
                    f"two {kind.name}s of this request, of type {key[0]}, have the name {key[1]!r}; "
                    "names are unique within a type"
                )
            raise AlreadyExists(
                f"{kind.name} {names[key]} of type {key[0]} has the name {key[1]!r}; "
                "names are unique within a type"
            )
        if external_id is not None and external_ids.setdefault(external_id, node_id) != node_id:
            if external_ids[external_id] in own:
                raise AlreadyExists(
                    f"two {kind.name}s of this request have the external id {external_id!r}, "
                    f"which only one {kind.name} can have"
                )
            raise AlreadyExists(
                f"{kind.name} {external_ids[external_id]} has the external id {external_id!r}, "
                f"which only one {kind.name} can have"
            )


# Update


@cache
def _update_rows(kind: NodeKind) -> Prepared:
    # Artifacts and executions keep the name they were created with; contexts can be renamed.
    columns = (
        "external_id",
        "last_update_time_since_epoch",
        *kind.own_columns,
        *(("name",) if kind is CONTEXT else ()),
    )
    node = kind.table
    return Prepared(
        sa.update(node)
        .where(node.c.id == sa.bindparam("node"))
        .values({column: sa.bindparam(f"new_{column}") for column in columns}),
        *(f"new_{column}" for column in columns),
        "node",
    )


@cache
def _delete_property(kind: NodeKind) -> Prepared:
    row = kind.properties.c
    return Prepared(
        sa.delete(kind.properties).where(
            row.node_id == sa.bindparam("node"),
            row.name == sa.bindparam("named"),
            row.is_custom_property == sa.bindparam("custom"),
        ),
        "node",
        "named",
        "custom",
    )


def _update(
    tx: Transaction,
    kind: NodeKind,
    nodes: Sequence[Node],
    *,
    mask: Sequence[str],
    check_update_time: bool,
    force_update_time: bool,
) -> list[int]:
    stored = read_messages(tx, kind, [node.id for node in nodes], locks=True)
    known = known_types(tx, {node.type_id for node in stored.values()})
    updates: list[tuple[Any, ...]] = []
    deleted: dict[PropertyKey, None] = {}
    inserted: dict[PropertyKey, Columns] = {}
    for given in nodes:
        old = stored.get(given.id)
        if old is None:
            raise InvalidRequest(
                f"there is no {kind.name} with id {given.id}; leave the id out to create one"
            )
        if check_update_time and given.last_update_time_since_epoch != old.last_update_time_since_epoch:
            raise FailedPrecondition(
                f"{kind.name} {given.id} was updated at {old.last_update_time_since_epoch}, not at "
                f"{given.last_update_time_since_epoch} as this request has it; "
                "read it again and repeat the change"
            )
        new = _changed(kind, old, given, known, mask)
        properties_differ = _property_changes(tx, old, new, deleted, inserted)
        if not (properties_differ or force_update_time or _differs(given, old)):
            continue
        new.last_update_time_since_epoch = tx.now_ms
        if check_update_time:
            new.last_update_time_since_epoch = max(tx.now_ms, old.last_update_time_since_epoch + 1)
        stored[given.id] = new
        updates.append(_updated_row(kind, new))
        tx.changed.add((kind, given.id))
    tx.run_many(_update_rows(kind), updates)
    tx.run_many(_delete_property(kind), list(deleted))
    tx.insert(_insert_properties(kind), [(*key, *columns) for key, columns in inserted.items()])
    return [node.id for node in nodes]


def _updated_row(kind: NodeKind, node: Node) -> tuple[Any, ...]:
    name, external_id = _stored_texts(kind, node)
    row = (external_id, node.last_update_time_since_epoch, *_own(kind, node))
    return (*row, name, node.id) if kind is CONTEXT else (*row, node.id)


def _changed(
    kind: NodeKind, old: Node, given: Node, known: Mapping[int, StoredType], mask: Sequence[str]
) -> Node:
    """``old`` with the changes of ``given``, checked."""
    if given.HasField("type_id") and given.type_id != old.type_id:
        raise InvalidRequest(
            f"{kind.name} {given.id} is of type {old.type_id}, not {given.type_id}; "
            "the type of a node never changes"
        )
    type_ = known.get(old.type_id)
    if type_ is None or type_.kind is not kind:
        raise NotFound(f"the type of {kind.name} {given.id}, {old.type_id}, is no longer stored")
    new = copied(old)
    if mask:
        _apply_mask(kind, new, given, mask)
        check_properties(
            kind,
            type_,
            {name: new.properties[name] for name in _named_by(mask, new.properties, given.properties)},
        )
    else:
        check_properties(kind, type_, given.properties)
        for field in (*kind.own_columns, "external_id", *_MAPS):
            _copy_field(new, given, field)
        if kind is CONTEXT:
            _copy_field(new, given, "name")
    if kind is ARTIFACT:
        new.uri = new.uri  # type: ignore[union-attr]  # an artifact without uri has the empty one
    _stored_texts(kind, new)
    _own(kind, new)
    return new


def _copy_field(new: Node, given: Node, field: str) -> None:
    new.ClearField(field)
    if field in _MAPS:
        for name, value in getattr(given, field).items():
            getattr(new, field)[name].CopyFrom(value)
    elif given.HasField(field):
        setattr(new, field, getattr(given, field))


def _apply_mask(kind: NodeKind, new: Node, given: Node, mask: Sequence[str]) -> None:
    """Change what ``mask`` names. Paths that name nothing changeable have no effect.

    A map named as a whole is replaced, and its key paths are then ignored. The key of a key path is all
    that follows the first dot.
    """
    whole = {path for path in mask if path in _MAPS}
    for path in mask:
        changeable = path in (*kind.own_columns, "external_id") or (path == "name" and kind is CONTEXT)
        if path in whole or changeable:
            _copy_field(new, given, path)
            continue
        for field in _MAPS:
            key = _key_of(path, field)
            if key is None or field in whole:
                continue
            target, source = getattr(new, field), getattr(given, field)
            if key in source:
                target[key].CopyFrom(source[key])
            elif key in target:
                del target[key]


def _key_of(path: str, field: str) -> str | None:
    """The property that ``path`` names in the map ``field``. ``propertiesX`` names itself, as in MLMD."""
    if not path.startswith(field) or path == field:
        return None
    return path[len(field) + 1 :] if path[len(field)] == "." else path


def _named_by(mask: Sequence[str], new: Mapping[str, pb.Value], given: Mapping[str, pb.Value]) -> list[str]:
    """Declared properties of the request that the mask writes."""
    if "properties" in mask:
        return list(given)
    keys = [_key_of(path, "properties") for path in mask]
    return [key for key in keys if key is not None and key in given and key in new]


def _differs(given: Node, old: Node) -> bool:
    """Whether the request differs from the stored node beside its properties, type id and times."""
    left, right = copied(given), copied(old)
    for field in _NOT_COMPARED:
        left.ClearField(field)
        right.ClearField(field)
    return left != right


def _property_changes(
    tx: Transaction,
    old: Node,
    new: Node,
    deleted: dict[PropertyKey, None],
    inserted: dict[PropertyKey, Columns],
) -> bool:
    """Note the rows to delete and to insert; whether there are any for this node."""
    any_change = False
    for is_custom, before, after in (
        (False, old.properties, new.properties),
        (True, old.custom_properties, new.custom_properties),
    ):
        held = {tx.dialect.text_key(name) for name in before}
        for name, value in after.items():
            if name in before and before[name] == value:
                continue
            columns = encode(
                tx.dialect, checked_text(name, "the name of a property"), value, is_custom=is_custom
            )
            any_change = True
            if tx.dialect.text_key(name) in held:
                deleted[(old.id, name, is_custom)] = None
            inserted[(old.id, name, is_custom)] = columns
        for name in before:
            if name not in after:
                any_change = True
                deleted[(old.id, name, is_custom)] = None
                inserted.pop((old.id, name, is_custom), None)
    return any_change
