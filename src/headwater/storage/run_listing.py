"""Listing runs: one page of those that meet conditions on what they were given and came to, in an order.

What a run was given are its properties, and what it came to are its metrics. A page is a range of what orders
the runs and, last, their ids; it begins behind a position, so nothing is repeated or skipped however many
runs are alike. There are three plans. If few runs belong to the pipeline, or one of the conditions leaves
few, these are looked up first and checked; otherwise runs in the order of their beginning are read from an
index until the page is full, and in any other order all of them are looked at.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from headwater.storage import schema
from headwater.storage.dialects import InList, Values
from headwater.storage.metrics import latest
from headwater.storage.statements import Prepared
from headwater.storage.transactions import Question, Transaction
from headwater.storage.values import STRUCT_PREFIX

FEW = 1_000
"""As many runs are looked up one by one rather than found in an order."""

_STATEMENTS_KEPT = 512
_ORDERING_TEXT = 200

_run = schema.context_table
_parent = schema.parent_context_table
_property = schema.context_property_table


class Source(Enum):
    """Where a value of a run is."""

    PROPERTY = "property"
    CUSTOM_PROPERTY = "custom property"
    METRIC = "metric"


class Family(Enum):
    """What kind of value a condition compares with."""

    INT = "int"
    DOUBLE = "double"
    TEXT = "text"
    BOOL = "bool"
    NAN = "nan"
    """Equal or not equal to what is no number; of metrics only."""


@dataclass(frozen=True)
class Subject:
    """A value that runs have."""

    source: Source
    name: str


@dataclass(frozen=True)
class Condition:
    """A comparison. A run without a value fulfils none; a value of another kind is not equal, and no more."""

    subject: Subject
    operator: str
    """``=``, ``!=``, ``<``, ``<=``, ``>``, ``>=`` or ``LIKE``."""
    family: Family
    value: int | float | str | bool


@dataclass(frozen=True)
class Position:
    """Where a run stands in an order: what it is sorted by, its id last."""

    rank: int
    """Numbers, truth values, texts, what is no number, structs, and runs without a value, in this order."""
    number: float
    text: str
    run_id: int


@dataclass(frozen=True)
class Listing:
    """What is listed, and how."""

    run_type_id: int
    pipeline_id: int | None
    """``None``: all pipelines."""
    where: tuple[Condition, ...]
    """All must be met."""
    order: Subject
    ascending: bool


# What decides the text of a statement beside the plan: of a condition its source, operator and family.
_Test = tuple[Source, str, Family]


@dataclass(frozen=True)
class _Shape:
    by_pipeline: bool
    tests: tuple[_Test, ...]
    order: Source
    ascending: bool
    continues: bool
    has_few: bool


_ABSENT = 9
_STRUCT = 5
_NAN = 4
_TEXT = 2
_BOOL = 1
_NUMBER = 0
# For infinities, which not every database has.
_LARGEST = 1.7976931348623157e308


def list_runs(tx: Transaction, listing: Listing, *, after: Position | None, limit: int) -> list[Position]:
    """The positions of the next ``limit`` runs behind ``after``."""
    few = _few(tx, listing)
    if few is None and _is_by_start(listing):
        return _walk(tx, listing, after, limit)
    if few is not None and not few:
        return []
    shape = _Shape(
        by_pipeline=listing.pipeline_id is not None,
        tests=_tests(listing),
        order=listing.order.source,
        ascending=listing.ascending,
        continues=after is not None,
        has_few=few is not None,
    )
    values = _values(listing, after) | {"few": few, "most": limit}
    statement = _page(shape)
    return [Position(*row) for row in tx.rows(statement, *(values.get(name) for name in _names(shape.tests)))]


def _tests(listing: Listing) -> tuple[_Test, ...]:
    return tuple((one.subject.source, one.operator, one.family) for one in listing.where)


def _names(tests: Sequence[_Test]) -> tuple[str, ...]:
    """The parameters of a page's statement."""
    own = ("run_type", "pipeline", "few", "order", "rank", "number", "text", "id", "most")
    return (*own, *(f"{what}_{index}" for index in range(len(tests)) for what in ("name", "value")))


def _values(listing: Listing, after: Position | None) -> dict[str, Any]:
    values: dict[str, Any] = {
        "run_type": listing.run_type_id,
        "pipeline": listing.pipeline_id,
        "order": listing.order.name,
    }
    for index, one in enumerate(listing.where):
        values |= {f"name_{index}": one.subject.name, f"value_{index}": one.value}
    if after is not None:
        values |= {"rank": after.rank, "number": after.number, "text": after.text, "id": after.run_id}
    return values


def _literal(number: int) -> sa.ColumnElement[int]:
    return sa.literal_column(str(number))


# Values of a run


def _property_row(source: Source, name: str, alias: str) -> tuple[Any, sa.ColumnElement[bool]]:
    """A row of properties, and what makes it the one of a name, given as a parameter, of the run."""
    row = _property.alias(alias)
    is_custom = sa.true() if source is Source.CUSTOM_PROPERTY else sa.false()
    named = sa.and_(row.c.name == sa.bindparam(name, type_=sa.Text()), row.c.is_custom_property == is_custom)
    return row, named


def _metric_value(name: str, column: str) -> sa.ColumnElement[Any]:
    return latest(_run.c.id, sa.bindparam(name, type_=sa.Text()), column, of_runs=True)


def _as_number(value: sa.ColumnElement[Any], special: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """A metric's number; NULL where it is none."""
    infinite = sa.case(
        (special == sa.literal_column("'inf'"), sa.literal_column(repr(_LARGEST))),
        (special == sa.literal_column("'-inf'"), sa.literal_column(repr(-_LARGEST))),
    )
    return sa.func.coalesce(value, infinite)


_COMPARED: Mapping[str, Callable[[Any, Any], sa.ColumnElement[bool]]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "LIKE": lambda a, b: a.like(b, escape="\\"),
}
_TYPES: Mapping[Family, sa.types.TypeEngine[Any]] = {
    Family.INT: sa.BigInteger(),
    Family.DOUBLE: sa.Double(),
    Family.TEXT: sa.Text(),
    Family.BOOL: sa.Boolean(),
}
_COLUMNS: Mapping[Family, tuple[str, ...]] = {
    Family.INT: ("int_value", "double_value"),
    Family.DOUBLE: ("int_value", "double_value"),
    Family.TEXT: ("string_value",),
    Family.BOOL: ("bool_value",),
}


def _given(index: int, family: Family) -> sa.ColumnElement[Any]:
    """The value that a condition compares with."""
    given = sa.bindparam(f"value_{index}", type_=_TYPES[family])
    # PostgreSQL would take a number for what it is compared with, and 0.5 is no integer.
    return given + sa.literal_column("0e0") if family is Family.DOUBLE else given


def _is_met(index: int, test: _Test) -> sa.ColumnElement[bool]:
    """Whether the run of the enclosing statement meets a condition."""
    source, operator, family = test
    if source is Source.METRIC:
        return _metric_is(index, operator, family)
    row, named = _property_row(source, f"name_{index}", f"property_{index}")
    found = sa.select(_literal(1)).where(
        row.c.node_id == _run.c.id, named, _value_is(row, index, operator, family)
    )
    return found.correlate(_run).exists()


def _value_is(row: Any, index: int, operator: str, family: Family) -> sa.ColumnElement[bool]:
    """Whether a row of properties has a value that compares so."""
    given = _given(index, family)
    columns = [row.c[name] for name in _COLUMNS[family]]
    compared = [_COMPARED[operator](column, given) for column in columns]
    if operator == "!=":
        # A value of another kind differs.
        return sa.or_(*compared, sa.and_(*(column.is_(None) for column in columns)))
    if family is Family.TEXT and operator != "=":
        # Structs are stored as text that says nothing to people.
        compared.append(sa.not_(row.c.string_value.like(sa.literal_column(f"'{STRUCT_PREFIX}%'"))))
        return sa.and_(*compared)
    return sa.or_(*compared)


def _metric_is(index: int, operator: str, family: Family) -> sa.ColumnElement[bool]:
    special = _metric_value(f"name_{index}", "special")
    is_nan = special == sa.literal_column("'nan'")
    number = _as_number(_metric_value(f"name_{index}", "value"), special)
    if family is Family.NAN:
        return is_nan if operator == "=" else number.isnot(None)
    compared = _COMPARED[operator](number, _given(index, family))
    # What is no number is not equal to any.
    return sa.or_(compared, is_nan) if operator == "!=" else compared


# Few runs


def _few(tx: Transaction, listing: Listing) -> Values | None:
    """The runs that some condition leaves, if these are few; perhaps others among them."""
    questions: list[Question] = []
    for index, one in enumerate(listing.where):
        statement = _candidates(index, (one.subject.source, one.operator, one.family))
        if statement is not None:
            questions.append((statement, one.subject.name, one.value, FEW + 1))
    if listing.pipeline_id is not None:
        questions.append((_RUNS_OF_PIPELINE, listing.pipeline_id, FEW + 1))
    if tx.dialect.is_server:
        found = [rows for rows in tx.rows_of_each(questions) if len(rows) <= FEW]
    else:
        # Each costs what it finds, so the first that is few will do.
        found = []
        for question in questions:
            rows = tx.rows(*question)
            if len(rows) <= FEW:
                found.append(rows)
                break
    return Values(sorted({row[0] for row in min(found, key=len)})) if found else None


_RUNS_OF_PIPELINE = Prepared(
    sa.select(_parent.c.context_id)
    .where(_parent.c.parent_context_id == sa.bindparam("pipeline", type_=sa.BigInteger()))
    .limit(sa.bindparam("most", type_=sa.BigInteger())),
    "pipeline",
    "most",
)


@lru_cache(_STATEMENTS_KEPT)
def _candidates(index: int, test: _Test) -> Prepared | None:
    """The runs that an index finds for a condition; ``None`` where there is no such index."""
    source, operator, family = test
    if source is Source.METRIC or family is Family.BOOL or operator in ("!=", "LIKE"):
        return None
    given = _given(index, family)
    parts = []
    for column in _COLUMNS[family]:
        row, named = _property_row(source, f"name_{index}", f"{column}_row")
        parts.append(sa.select(row.c.node_id).where(named, _COMPARED[operator](row.c[column], given)))
    found = sa.union_all(*parts) if len(parts) > 1 else parts[0]
    return Prepared(
        found.limit(sa.bindparam("most", type_=sa.BigInteger())), f"name_{index}", f"value_{index}", "most"
    )


# Pages


def _runs(shape: _Shape, *columns: Any, by_index: bool = True) -> sa.Select[Any]:
    """``columns`` of the runs that the listing is about."""
    run_type = sa.bindparam("run_type", type_=sa.BigInteger())
    # An expression finds no index, where the runs come in an order already.
    type_id = _run.c.type_id if by_index else _run.c.type_id + _literal(0)
    select = sa.select(*columns).where(type_id == run_type)
    if shape.by_pipeline:
        child = sa.select(_literal(1)).where(
            _parent.c.context_id == _run.c.id,
            _parent.c.parent_context_id == sa.bindparam("pipeline", type_=sa.BigInteger()),
        )
        select = select.where(child.correlate(_run).exists())
    for index, test in enumerate(shape.tests):
        select = select.where(_is_met(index, test))
    return select.where(InList(_run.c.id, "few")) if shape.has_few else select


@lru_cache(_STATEMENTS_KEPT)
def _page(shape: _Shape) -> Prepared:
    """A page of all runs, or of a few, sorted."""
    if shape.order is Source.METRIC:
        value, special = (_metric_value("order", column) for column in ("value", "special"))
        raw = _runs(shape, _run.c.id, value.label("value"), special.label("special")).subquery("raw")
        number = _as_number(raw.c.value, raw.c.special)
        rank: Any = sa.case(
            (number.isnot(None), _literal(_NUMBER)),
            (raw.c.special.isnot(None), _literal(_NAN)),
            else_=_literal(_ABSENT),
        )
        text: Any = sa.literal_column("''")
    else:
        row, named = _property_row(shape.order, "order", "ordering")
        columns = [row.c[f"{name}_value"] for name in ("int", "double", "bool", "string")]
        joined = _run.outerjoin(row, sa.and_(row.c.node_id == _run.c.id, named))
        raw = _runs(shape, _run.c.id, *columns).select_from(joined).subquery("raw")
        truth = sa.case(
            (raw.c.bool_value == sa.true(), _literal(1)), (raw.c.bool_value == sa.false(), _literal(0))
        )
        number = sa.func.coalesce(raw.c.double_value, raw.c.int_value, truth)
        is_struct = raw.c.string_value.like(sa.literal_column(f"'{STRUCT_PREFIX}%'"))
        rank = sa.case(
            (raw.c.bool_value.isnot(None), _literal(_BOOL)),
            (number.isnot(None), _literal(_NUMBER)),
            (is_struct, _literal(_STRUCT)),
            (raw.c.string_value.isnot(None), _literal(_TEXT)),
            else_=_literal(_ABSENT),
        )
        text = sa.case(
            (is_struct, sa.literal_column("''")),
            else_=sa.func.coalesce(
                sa.func.substr(raw.c.string_value, _literal(1), _literal(_ORDERING_TEXT)),
                sa.literal_column("''"),
            ),
        )
    ordered = sa.select(
        rank.label("rank_"),
        sa.func.coalesce(number, sa.literal_column("0e0")).label("number_"),
        text.label("text_"),
        raw.c.id,
    ).subquery("ordered")
    keys = (ordered.c.rank_, ordered.c.number_, ordered.c.text_, ordered.c.id)
    select = sa.select(*keys)
    if shape.continues:
        select = select.where(_is_behind(keys, shape.ascending))
    directed = [key.asc() if shape.ascending else key.desc() for key in keys[1:]]
    select = select.order_by(keys[0], *directed).limit(sa.bindparam("most", type_=sa.BigInteger()))
    return Prepared(select, *_names(shape.tests))


def _is_behind(keys: Sequence[sa.ColumnElement[Any]], ascending: bool) -> sa.ColumnElement[bool]:
    """Whether a row comes behind the position given by parameters; ranks always ascend."""
    types: tuple[sa.types.TypeEngine[Any], ...] = (sa.BigInteger(), sa.Double(), sa.Text(), sa.BigInteger())
    marks = [
        sa.bindparam(name, type_=type_)
        for name, type_ in zip(("rank", "number", "text", "id"), types, strict=True)
    ]
    behind: sa.ColumnElement[bool] = keys[3] > marks[3] if ascending else keys[3] < marks[3]
    for key, mark in zip(keys[2:0:-1], marks[2:0:-1], strict=True):
        behind = sa.or_(key > mark if ascending else key < mark, sa.and_(key == mark, behind))
    return sa.or_(keys[0] > marks[0], sa.and_(keys[0] == marks[0], behind))


# Many runs, by their beginning


def _is_by_start(listing: Listing) -> bool:
    return listing.order == Subject(Source.PROPERTY, "start_ms")


def _walk(tx: Transaction, listing: Listing, after: Position | None, limit: int) -> list[Position]:
    """A page from the index on the beginning, and then of runs without one."""
    tests = _tests(listing)
    values = _values(listing, after)
    if after is not None:
        values["number"] = int(after.number)
    found: list[Position] = []
    for has_start in (True, False):
        if has_start and after is not None and after.rank != _NUMBER:
            continue
        shape = _Shape(
            by_pipeline=listing.pipeline_id is not None,
            tests=tests,
            order=Source.PROPERTY,
            ascending=listing.ascending,
            continues=after is not None and (after.rank == _NUMBER) is has_start,
            has_few=False,
        )
        values["most"] = limit - len(found)
        statement = _with_start(shape) if has_start else _without_start(shape)
        for run_id, start_ms in tx.rows(statement, *(values.get(name) for name in _names(tests))):
            found.append(Position(_NUMBER if has_start else _ABSENT, start_ms or 0, "", run_id))
        if len(found) == limit:
            break
    return found


@lru_cache(_STATEMENTS_KEPT)
def _with_start(shape: _Shape) -> Prepared:
    row, named = _property_row(Source.PROPERTY, "order", "started")
    select = _runs(shape, row.c.node_id, row.c.int_value, by_index=False)
    select = select.where(row.c.node_id == _run.c.id, named, row.c.int_value.isnot(None))
    if shape.continues:
        start, run_id = (sa.bindparam(name, type_=sa.BigInteger()) for name in ("number", "id"))
        if shape.ascending:
            behind = sa.or_(
                row.c.int_value > start, sa.and_(row.c.int_value == start, row.c.node_id > run_id)
            )
            select = select.where(row.c.int_value >= start, behind)
        else:
            behind = sa.or_(
                row.c.int_value < start, sa.and_(row.c.int_value == start, row.c.node_id < run_id)
            )
            select = select.where(row.c.int_value <= start, behind)
    keys = (row.c.int_value, row.c.node_id)
    directed = [key.asc() if shape.ascending else key.desc() for key in keys]
    most = sa.bindparam("most", type_=sa.BigInteger())
    return Prepared(select.order_by(*directed).limit(most), *_names(shape.tests))


@lru_cache(_STATEMENTS_KEPT)
def _without_start(shape: _Shape) -> Prepared:
    row, named = _property_row(Source.PROPERTY, "order", "started")
    started = sa.select(_literal(1)).where(row.c.node_id == _run.c.id, named, row.c.int_value.isnot(None))
    select = _runs(shape, _run.c.id, sa.null()).where(sa.not_(started.correlate(_run).exists()))
    run_id = sa.bindparam("id", type_=sa.BigInteger())
    if shape.continues:
        select = select.where(_run.c.id > run_id if shape.ascending else _run.c.id < run_id)
    order = _run.c.id.asc() if shape.ascending else _run.c.id.desc()
    return Prepared(
        select.order_by(order).limit(sa.bindparam("most", type_=sa.BigInteger())), *_names(shape.tests)
    )
