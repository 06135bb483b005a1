"""Numbers that steps came to: scalars, of which the last counts, and series of points.

A row is a value of a name at a step of an execution; a scalar has the step ``SCALAR``. Databases hold finite
numbers only, so a value that is none has its name in a column of its own.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import sqlalchemy as sa

from headwater.errors import InvalidRequest, ResourceExhausted
from headwater.storage import schema
from headwater.storage.dialects import Dialect, InList, Values
from headwater.storage.statements import Insert, Prepared
from headwater.storage.transactions import Question, Transaction
from headwater.storage.values import checked_text, looked_for
from headwater.v1 import pipelines_pb2

SCALAR = -1
"""The step of a value that belongs to no series."""
MOST_POINTS = 100_000
"""How many points a series has at most."""
LONGEST_NAME = 250
"""In characters."""


_metric = schema.metric_table
_attempt = schema.attempt_table
_INSERT = Insert(_metric, "execution_id", "name", "step", "run_id", "time_ms", "value", "special")
_LOCK = Prepared(
    sa.select(_attempt.c.execution_id)
    .where(_attempt.c.execution_id == sa.bindparam("execution", type_=sa.BigInteger()))
    .with_for_update(),
    "execution",
)
_DELETE = Prepared(
    sa.delete(_metric).where(
        _metric.c.execution_id == sa.bindparam("execution"),
        InList(_metric.c.name, "names"),
        InList(_metric.c.step, "steps"),
    ),
    "execution",
    "names",
    "steps",
)
_TOO_LONG = Prepared(
    sa.select(_metric.c.name, sa.func.count())
    .where(
        _metric.c.execution_id == sa.bindparam("execution"),
        InList(_metric.c.name, "names"),
        _metric.c.step >= sa.literal_column("0"),
    )
    .group_by(_metric.c.name)
    .having(sa.func.count() > sa.literal_column(str(MOST_POINTS)))
    .order_by(_metric.c.name),
    "execution",
    "names",
)


def put_metrics(
    tx: Transaction, *, execution_id: int, run_id: int, metrics: Sequence[pipelines_pb2.Metric]
) -> None:
    """Store values of an attempt; of several with one name and step, also of those stored, the last counts.

    Costs two statements where all names have the same steps, and one more where there are series.

    Raises:
        InvalidRequest: a name is empty, too long or padded, or a step or a time is negative.
        ResourceExhausted: a series would have more than ``MOST_POINTS`` points.
    """
    if not metrics:
        return
    rows = _rows(metrics, execution_id=execution_id, run_id=run_id, now_ms=tx.now_ms)
    if tx.dialect.is_server:
        # Between deleting and inserting nobody else is to insert.
        tx.run(_LOCK, execution_id)
    for names, steps in _rectangles(rows):
        tx.run(_DELETE, execution_id, names, steps)
    tx.insert(_INSERT, list(rows.values()))
    series = sorted({name for name, step in rows if step != SCALAR})
    if series:
        _refuse_too_long(tx, execution_id, series)


def _rows(
    metrics: Iterable[pipelines_pb2.Metric], *, execution_id: int, run_id: int, now_ms: int
) -> dict[tuple[str, int], tuple[Any, ...]]:
    """Rows of the table by name and step."""
    rows: dict[tuple[str, int], tuple[Any, ...]] = {}
    for metric in metrics:
        name = checked_name(metric.name)
        step = metric.step if metric.HasField("step") else SCALAR
        if metric.HasField("step") and step < 0:
            raise InvalidRequest(
                f"metric {name!r} has the step {step}; steps count from 0, and a scalar has none"
            )
        if metric.time_ms < 0:
            raise InvalidRequest(
                f"metric {name!r} has the time {metric.time_ms}; times are milliseconds since 1970, 0 is now"
            )
        value, special = _columns_of(metric.value)
        rows[name, step] = (execution_id, name, step, run_id, metric.time_ms or now_ms, value, special)
    return rows


def checked_name(name: str) -> str:
    """``name``, if a metric can have it.

    Raises:
        InvalidRequest: it cannot.
    """
    checked_text(name, "the name of a metric")
    if not name:
        raise InvalidRequest("a metric needs a name that is not empty")
    if len(name) > LONGEST_NAME:
        raise InvalidRequest(
            f"the name of a metric has at most {LONGEST_NAME} characters, not {len(name)}: {name[:40]!r}..."
        )
    if name != name.strip():
        # Some databases hold texts equal that only differ in spaces at the end.
        raise InvalidRequest(f"the name of metric {name!r} begins or ends with white space; leave that out")
    return name


def _columns_of(value: float) -> tuple[float | None, str | None]:
    """``value`` and ``special`` of a row."""
    if math.isfinite(value):
        return value, None
    return None, "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"


def value_of(value: float | None, special: str | None) -> float:
    """The number that these two columns hold."""
    return float(value) if value is not None else float(special or "nan")


def _rectangles(keys: Iterable[tuple[str, int]]) -> Iterator[tuple[Values, Values]]:
    """Names and steps, each of the names with each of the steps, that make up ``keys``."""
    steps_of: Mapping[str, list[int]] = defaultdict(list)
    for name, step in keys:
        steps_of[name].append(step)
    names_of: Mapping[tuple[int, ...], list[str]] = defaultdict(list)
    for name, steps in steps_of.items():
        names_of[tuple(sorted(steps))].append(name)
    for same_steps, names in sorted(names_of.items()):
        yield Values(sorted(names)), Values(same_steps)


def _refuse_too_long(tx: Transaction, execution_id: int, names: Sequence[str]) -> None:
    for name, count in tx.rows(_TOO_LONG, execution_id, Values(names)):
        raise ResourceExhausted(
            f"metric {name!r} of execution {execution_id} would have {count} points, and "
            f"{MOST_POINTS} is the most; log every tenth step, say, or keep the whole series in an artifact"
        )


_COPY = Prepared(
    sa.insert(_metric).from_select(
        ["execution_id", "name", "step", "run_id", "time_ms", "value", "special"],
        sa.select(
            sa.bindparam("execution", type_=sa.BigInteger()),
            _metric.c.name,
            _metric.c.step,
            sa.bindparam("run", type_=sa.BigInteger()),
            _metric.c.time_ms,
            _metric.c.value,
            _metric.c.special,
        ).where(
            _metric.c.execution_id == sa.bindparam("original", type_=sa.BigInteger()),
            _metric.c.step == sa.literal_column(str(SCALAR)),
        ),
    ),
    "execution",
    "run",
    "original",
)


def copy_scalars(tx: Transaction, *, original_id: int, execution_id: int, run_id: int) -> None:
    """Give a new execution, which reuses the outputs of ``original_id``, the scalars of that one."""
    tx.run(_COPY, execution_id, run_id, original_id)


# Reading


def latest(
    owner: sa.ColumnElement[int], name: sa.ColumnElement[str], column: str, *, of_runs: bool
) -> sa.ScalarSelect[Any]:
    """A column of the row that counts as the value of ``name``: of the newest execution, the last step.

    ``owner`` is the id of a run or of an execution.
    """
    row = _metric.alias("latest")
    of = row.c.run_id if of_runs else row.c.execution_id
    return (
        sa.select(row.c[column])
        .where(of == owner, row.c.name == name)
        # As the index has them, or a series would be sorted first.
        .order_by(of.desc(), row.c.name.desc(), row.c.execution_id.desc(), row.c.step.desc())
        .limit(sa.literal_column("1"))
        .scalar_subquery()
    )


@cache
def _last_values(of_runs: bool) -> Prepared:
    """(id, name, value, special) for each name that runs or executions have.

    A name and its value are each found with a look into an index, so other points cost nothing.
    """

    def build(dialect: Dialect) -> sa.Select[Any]:
        # A database that makes the whole of a recursive table skips over equal keys of an index by itself.
        named = _names_one_by_one(of_runs) if dialect.recursion_is_lazy else _distinct_names(of_runs)
        columns = (
            latest(named.c.id, named.c.name, column, of_runs=of_runs) for column in ("value", "special")
        )
        return sa.select(named.c.id, named.c.name, *columns).where(named.c.name.isnot(None))

    return Prepared(build, "ids")


def _distinct_names(of_runs: bool) -> sa.FromClause:
    of = _metric.c.run_id if of_runs else _metric.c.execution_id
    return sa.select(of.label("id"), _metric.c.name).distinct().where(InList(of, "ids")).subquery("named")


def _names_one_by_one(of_runs: bool) -> sa.FromClause:
    """Each name found from the one before it; the last row of each owner has none."""
    owners = schema.context_table if of_runs else schema.execution_table
    row = _metric.alias("next")
    of = row.c.run_id if of_runs else row.c.execution_id
    least = sa.select(sa.func.min(row.c.name))
    first = least.where(of == owners.c.id).scalar_subquery()
    named = (
        sa.select(owners.c.id, first.label("name"))
        .where(InList(owners.c.id, "ids"))
        .cte("named", recursive=True)
    )
    following = least.where(of == named.c.id, row.c.name > named.c.name).scalar_subquery()
    return named.union_all(sa.select(named.c.id, following).where(named.c.name.isnot(None)))


def question_of_last_values(ids: Iterable[int], *, of_runs: bool) -> Question:
    """What ``last_values`` asks, for ``ask_ahead``."""
    return _last_values(of_runs), Values(sorted(set(ids)))


def last_values(tx: Transaction, ids: Iterable[int], *, of_runs: bool) -> dict[int, dict[str, float]]:
    """The value that counts of each name, for each of some runs or executions.

    That is the one of the newest execution, and of a series its last point.
    """
    found: dict[int, dict[str, float]] = {owner: {} for owner in ids}
    if found:
        for owner, name, value, special in tx.rows(*question_of_last_values(found, of_runs=of_runs)):
            found[owner][name] = value_of(value, special)
    return found


@dataclass(frozen=True)
class Series:
    """The values of one name in one execution: the scalar first, then points by step."""

    execution_id: int
    name: str
    count: int
    """How many there are; ``points`` may be fewer."""
    points: tuple[tuple[int, float, int], ...]
    """Step, value, time in milliseconds."""


@cache
def _points(of_runs: bool, has_names: bool) -> Prepared:
    """Points that are even parts of their series, the first and the last among them."""
    of = _metric.c.run_id if of_runs else _metric.c.execution_id
    zero: sa.ColumnElement[int] = sa.literal_column("0")
    one: sa.ColumnElement[int] = sa.literal_column("1")
    series = (_metric.c.execution_id, _metric.c.name, _metric.c.step < zero)
    select = sa.select(
        *(_metric.c[column] for column in ("execution_id", "name", "step", "value", "special", "time_ms")),
        (sa.func.row_number().over(partition_by=series, order_by=_metric.c.step) - one).label("place"),
        sa.func.count().over(partition_by=series).label("points"),
    ).where(InList(of, "ids"))
    if has_names:
        select = select.where(InList(_metric.c.name, "names"))
    point = select.subquery("point")
    parts = sa.bindparam("parts", type_=sa.BigInteger())
    # Of place x parts / (points - 1), rounded down, each number from 0 to parts is had for the first time
    # where the remainder is smaller than parts.
    remainder = (point.c.place * parts) % sa.func.nullif(point.c.points - one, zero)
    return Prepared(
        sa.select(point)
        .where(
            sa.or_(
                point.c.points <= parts + one,
                remainder < parts,
                # The last point stands alone where only one is wanted.
                sa.and_(parts == zero, point.c.place == point.c.points - one),
            )
        )
        .order_by(point.c.execution_id, point.c.name, point.c.step)
        .limit(sa.bindparam("most", type_=sa.BigInteger())),
        "ids",
        "names",
        "parts",
        "most",
    )


def read_series(
    tx: Transaction,
    *,
    execution_ids: Sequence[int] = (),
    run_ids: Sequence[int] = (),
    names: Sequence[str] = (),
    max_points: int,
    most: int,
) -> list[Series]:
    """The values of executions and of all executions of runs, by execution and name.

    Of a series longer than ``max_points`` so many points are left, evenly, the first and the last among
    them; of one point, the last. ``names`` confines them; empty means all.

    Raises:
        ResourceExhausted: more than ``most`` points in all.
    """
    points: dict[tuple[int, str], dict[int, tuple[int, float, int]]] = defaultdict(dict)
    counts: dict[tuple[int, str], dict[bool, int]] = defaultdict(dict)
    questions: list[Question] = [
        (_points(of_runs, bool(names)), Values(ids), looked_for(set(names)), max_points - 1, most + 1)
        for of_runs, ids in ((False, sorted(set(execution_ids))), (True, sorted(set(run_ids))))
        if ids
    ]
    for rows in tx.rows_of_each(questions):
        if len(rows) > most:
            raise ResourceExhausted(
                f"these are more than {most} points; ask for fewer executions or names, "
                "or for fewer points of each with max_points"
            )
        for execution_id, name, step, value, special, time_ms, _, count in rows:
            points[execution_id, name][step] = (step, value_of(value, special), time_ms)
            counts[execution_id, name][step == SCALAR] = count
    return [
        Series(*key, count=sum(counts[key].values()), points=tuple(points[key].values()))
        for key in sorted(points)
    ]
