"""Reading nodes: by id, and the ids behind a name, a uri or an external id.

Nodes travel as bytes, each already framed as field 1 of a response, which is what it is in every response
that carries nodes: a warm answer is a join of what the cache holds. ``put_nodes`` is in ``writing.py``.
"""

from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from functools import cache
from typing import Any, TypeVar

import sqlalchemy as sa
from google.protobuf.internal.encoder import _VarintBytes  # type: ignore[attr-defined]  # untyped, and stable
from google.protobuf.message import Message

from headwater.storage import schema, types
from headwater.storage.cache import NodeCache, VersionedNodes
from headwater.storage.dialects import Dialect, InList, Values
from headwater.storage.kinds import ARTIFACT, EXECUTION, Node, NodeKind
from headwater.storage.statements import Prepared
from headwater.storage.transactions import Question, Transaction
from headwater.storage.types import find_type_id
from headwater.storage.values import STRUCT_PREFIX, decode_into, looked_for
from headwater.v1 import metadata_store_pb2 as pb

BATCH = 2_000
"""How many nodes are read with one statement."""
_BATCHES_A_TRIP = 50

_FIELD_1 = b"\n"

_COMMON = ("id", "type_id", "name", "external_id", "create_time_since_epoch", "last_update_time_since_epoch")
_STATES: Mapping[NodeKind, frozenset[int]] = {
    ARTIFACT: frozenset(pb.Artifact.State.values()),
    EXECUTION: frozenset(pb.Execution.State.values()),
}


@cache
def _nodes_by_id(kind: NodeKind) -> Prepared:
    node, type_ = kind.table, schema.type_table
    return Prepared(
        sa.select(*(node.c[name] for name in (*_COMMON, *kind.own_columns)), type_.c.name)
        .select_from(node.outerjoin(type_, type_.c.id == node.c.type_id))
        .where(InList(node.c.id, "ids")),
        "ids",
    )


@cache
def _properties_by_id(kind: NodeKind) -> Prepared:
    row = kind.properties.c
    return Prepared(
        sa.select(
            row.node_id,
            row.name,
            row.is_custom_property,
            row.int_value,
            row.double_value,
            row.string_value,
            row.proto_value,
            row.bool_value,
        ).where(InList(row.node_id, "ids")),
        "ids",
    )


def batches(ids: Sequence[int], size: int = BATCH) -> Iterable[Sequence[int]]:
    """``ids`` in runs of at most ``size``."""
    for start in range(0, len(ids), size):
        yield ids[start : start + size]


def read_messages(
    tx: Transaction, kind: NodeKind, ids: Sequence[int], *, locks: bool = False
) -> dict[int, Node]:
    """Nodes by id, from the database; missing ones are absent. ``ids`` may repeat.

    With ``locks`` nobody else updates them until this transaction ends.

    Raises:
        DataLoss: a property row without a value.
    """
    found: dict[int, Node] = {}
    for some in batches(sorted(set(ids)), _BATCHES_A_TRIP * BATCH):
        questions = questions_of_messages(tx, kind, some, locks=locks)
        answers = tx.rows_of_each(questions)
        step = len(questions) // -(-len(some) // BATCH)
        for end in range(step, len(answers) + 1, step):
            tx.check_caller()
            _add_messages(tx, kind, answers[end - 2], answers[end - 1], found)
    return found


def questions_of_messages(
    tx: Transaction, kind: NodeKind, ids: Iterable[int], *, locks: bool
) -> list[Question]:
    """What ``read_messages`` asks, for ``ask_ahead``."""
    statements = [_nodes_by_id(kind), _properties_by_id(kind)]
    if locks and tx.dialect.is_server:
        # First, so that what is read after it is what nobody changes any more.
        statements.insert(0, _locked(kind))
    return [(statement, Values(batch)) for batch in batches(sorted(set(ids))) for statement in statements]


@cache
def _locked(kind: NodeKind) -> Prepared:
    """The rows of nodes, locked in the order of their ids."""
    node_id = kind.table.c.id
    return Prepared(
        sa.select(node_id).where(InList(node_id, "ids")).order_by(node_id).with_for_update(), "ids"
    )


def _add_messages(
    tx: Transaction,
    kind: NodeKind,
    node_rows: Sequence[Any],
    property_rows: Sequence[Any],
    found: dict[int, Node],
) -> None:
    new, states = kind.message, _STATES.get(kind)
    names = (*_COMMON, *kind.own_columns, "type")
    state_index = len(names) - 2
    for row in node_rows:
        if states is not None and row[state_index] not in states:
            row = (*row[:state_index], None, *row[state_index + 1 :])  # noqa: PLW2901
        found[row[0]] = new(**dict(zip(names, row, strict=True)))
    owner = 0
    maps: tuple[MutableMapping[str, pb.Value], ...] = ()
    for (
        node_id,
        name,
        is_custom,
        int_value,
        double_value,
        string_value,
        proto_value,
        bool_value,
    ) in property_rows:
        if node_id != owner:
            node = found.get(node_id)
            owner, maps = node_id, (node.properties, node.custom_properties) if node is not None else ()
        if not maps:
            continue
        value = maps[is_custom][name]
        if int_value is not None:
            value.int_value = int_value
        elif double_value is not None:
            value.double_value = double_value
        elif string_value is not None and not string_value.startswith(STRUCT_PREFIX):
            value.string_value = string_value
        else:
            columns = (int_value, double_value, string_value, proto_value, bool_value)
            is_text = string_value is not None and _is_declared_string(tx, found[owner], name, is_custom)
            decode_into(value, name, columns, tx.dialect, is_declared_string=is_text)


def _is_declared_string(tx: Transaction, node: Node, name: str, is_custom: int) -> bool:
    if is_custom:
        return False
    known = types.known_types(tx, [node.type_id]).get(node.type_id)
    return known is not None and known.properties.get(name) == pb.STRING


AnyMessage = TypeVar("AnyMessage", bound=Message)


def copied(message: AnyMessage) -> AnyMessage:
    """A copy that can be changed."""
    copy = type(message)()
    copy.CopyFrom(message)
    return copy


def framed(message: Node) -> bytes:
    """``message`` as field 1 of another message."""
    content = message.SerializeToString()
    length: bytes = _VarintBytes(len(content))
    return _FIELD_1 + length + content


def load_nodes(tx: Transaction, kind: NodeKind, ids: Sequence[int]) -> dict[int, bytes]:
    """Framed nodes by id, from the cache where it shows the state this transaction sees.

    Missing nodes are absent; ``ids`` may repeat.
    """
    held = tx.cache
    if tx.versioned is not None:
        return _load_versioned(tx, kind, ids, tx.versioned)
    if held is None:
        tx.ask_ahead(questions_of_messages(tx, kind, ids, locks=False), are_last=True)
        return {node_id: framed(node) for node_id, node in read_messages(tx, kind, ids).items()}
    read_at = held.generation if tx.began_at is None else tx.began_at
    found = held.find(kind, ids)
    missing = [node_id for node_id in ids if node_id not in found]
    if not missing and _is_current(tx, held, read_at):
        return found
    read = {node_id: framed(node) for node_id, node in read_messages(tx, kind, missing).items()}
    if _is_current(tx, held, read_at):
        held.keep(kind, read, read_at=read_at)
        return found | read
    if found:
        # Somebody committed since: what was held may be older than what was read now.
        read |= {node_id: framed(node) for node_id, node in read_messages(tx, kind, list(found)).items()}
    return read


def _load_versioned(
    tx: Transaction, kind: NodeKind, ids: Sequence[int], held: VersionedNodes
) -> dict[int, bytes]:
    known = held.find(kind, ids)
    unknown = [node_id for node_id in ids if node_id not in known]
    versions = [(_versions(kind), Values(batch)) for batch in batches(sorted(known))]
    tx.ask_ahead([*versions, *_versioned_questions(tx, kind, unknown)], are_last=True)
    current = {node_id: version for rows in tx.rows_of_each(versions) for node_id, version in rows}
    read = _read_versioned(tx, kind, unknown)
    if any(known[node_id][0] != version for node_id, version in current.items()):
        # All of them again, so that they are still of one moment, if a later one.
        tx.ask_ahead(_versioned_questions(tx, kind, ids), are_last=True)
        current, read = {}, _read_versioned(tx, kind, ids)
    held.keep(kind, read)
    found = {node_id: known[node_id][1] for node_id in current}
    return found | {node_id: content for node_id, (_, content) in read.items()}


def _versioned_questions(tx: Transaction, kind: NodeKind, ids: Iterable[int]) -> list[Question]:
    nodes = questions_of_messages(tx, kind, ids, locks=False)
    return [(_versions(kind), *nodes[index][1:]) for index in range(0, len(nodes), 2)] + nodes


def _read_versioned(tx: Transaction, kind: NodeKind, ids: Sequence[int]) -> dict[int, tuple[str, bytes]]:
    """Versions and contents of nodes, of one moment where all were asked ahead together."""
    questions = [(_versions(kind), Values(batch)) for batch in batches(sorted(set(ids)))]
    versions = {node_id: version for rows in tx.rows_of_each(questions) for node_id, version in rows}
    nodes = read_messages(tx, kind, ids)
    return {
        node_id: (versions[node_id], framed(node)) for node_id, node in nodes.items() if node_id in versions
    }


@cache
def _versions(kind: NodeKind) -> Prepared:
    def build(dialect: Dialect) -> sa.Select[Any]:
        version = dialect.row_version(kind.table)
        assert version is not None
        return sa.select(kind.table.c.id, version).where(InList(kind.table.c.id, "ids"))

    return Prepared(build, "ids")


def _is_current(tx: Transaction, held: NodeCache, read_at: int) -> bool:
    """Whether nothing was committed since ``read_at``, by anybody."""
    return read_at % 2 == 0 and tx.is_unchanged() and held.generation == read_at


def joined(nodes: Mapping[int, bytes], ids: Iterable[int]) -> bytes:
    """The nodes of ``ids`` that there are, in that order, as a serialized response."""
    return b"".join([nodes[node_id] for node_id in ids if node_id in nodes])


# Ids by other keys


@cache
def _ids_by(kind: NodeKind, column: str) -> Prepared:
    node = kind.table
    return Prepared(
        sa.select(node.c.id).where(InList(node.c[column], "wanted")).order_by(node.c.id), "wanted"
    )


def ids_by_uri(tx: Transaction, uris: Iterable[str]) -> list[int]:
    """Artifacts with one of these uris, by ascending id."""
    return [row[0] for row in tx.rows(_ids_by(ARTIFACT, "uri"), looked_for(set(uris)))]


def ids_by_external_id(tx: Transaction, kind: NodeKind, external_ids: Iterable[str]) -> list[int]:
    """Nodes with one of these external ids, by ascending id."""
    return [row[0] for row in tx.rows(_ids_by(kind, "external_id"), looked_for(set(external_ids)))]


@cache
def _external_ids(kind: NodeKind) -> Prepared:
    node = kind.table
    return Prepared(
        sa.select(node.c.external_id, node.c.id).where(InList(node.c.external_id, "wanted")), "wanted"
    )


def find_external_ids(tx: Transaction, kind: NodeKind, external_ids: Iterable[str]) -> dict[str, int]:
    """Node id by external id; those that nobody has are absent."""
    wanted = set(external_ids)
    if not wanted:
        return {}
    same = tx.dialect.text_key
    rows = tx.rows(*question_of_external_ids(kind, wanted))
    found = {same(external_id): node_id for external_id, node_id in rows}
    return {text: found[same(text)] for text in wanted if same(text) in found}


def question_of_external_ids(kind: NodeKind, external_ids: Iterable[str]) -> Question:
    """What ``find_external_ids`` asks, for ``ask_ahead``."""
    return _external_ids(kind), looked_for(set(external_ids))


@cache
def _id_by_name(kind: NodeKind) -> Prepared:
    node = kind.table
    return Prepared(
        sa.select(node.c.id).where(
            node.c.type_id == sa.bindparam("type"), node.c.name == sa.bindparam("given")
        ),
        "type",
        "given",
    )


def find_by_name(
    tx: Transaction, kind: NodeKind, *, type_name: str, type_version: str, name: str
) -> int | None:
    """The node of this name among those of one type."""
    type_id = find_type_id(tx, kind, type_name, type_version)
    if type_id is None:
        return None
    rows = tx.rows(_id_by_name(kind), type_id, name)
    return rows[0][0] if rows else None


@cache
def _names(kind: NodeKind) -> Prepared:
    node = kind.table
    return Prepared(
        sa.select(node.c.type_id, node.c.name, node.c.id).where(
            InList(node.c.type_id, "types"), InList(node.c.name, "names")
        ),
        "types",
        "names",
    )


NameKey = tuple[int, str]
"""Type id and name: what identifies a node beside its id."""


def find_names(tx: Transaction, kind: NodeKind, keys: Iterable[NameKey]) -> dict[NameKey, int]:
    """Node id by (type id, name); those that nobody has are absent."""
    wanted = set(keys)
    if not wanted:
        return {}
    same = tx.dialect.text_key
    rows = tx.rows(*question_of_names(kind, wanted))
    found = {(type_id, same(name)): node_id for type_id, name, node_id in rows}
    by_key = {key: found.get((key[0], same(key[1]))) for key in wanted}
    return {key: node_id for key, node_id in by_key.items() if node_id is not None}


def question_of_names(kind: NodeKind, keys: Iterable[NameKey]) -> Question:
    """What ``find_names`` asks, for ``ask_ahead``."""
    wanted = set(keys)
    types_of = Values(sorted({type_id for type_id, _ in wanted}))
    return _names(kind), types_of, looked_for({name for _, name in wanted})


def existing_ids(tx: Transaction, kind: NodeKind, ids: Iterable[int]) -> set[int]:
    """Those of ``ids`` that are stored."""
    questions = questions_of_existing(kind, ids)
    return {row[0] for rows in tx.rows_of_each(questions) for row in rows}


def questions_of_existing(kind: NodeKind, ids: Iterable[int]) -> list[Question]:
    """What ``existing_ids`` asks, for ``ask_ahead``."""
    return [(_ids_by(kind, "id"), Values(batch)) for batch in batches(sorted(set(ids)))]
