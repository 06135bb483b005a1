"""Which attempts can be hit: those that meet conditions, and how often each step was."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import sqlalchemy as sa

from headwater.storage import schema
from headwater.storage.dialects import InList, Values
from headwater.storage.nodes import batches
from headwater.storage.statements import Prepared
from headwater.storage.transactions import Transaction
from headwater.v1 import metadata_store_pb2 as pb

_attempt = schema.attempt_table
_execution = schema.execution_table
_context = schema.context_table
_event = schema.event_table
_original = _attempt.alias("original")


def _literal(number: int) -> sa.ColumnElement[int]:
    return sa.literal_column(str(int(number)))


_COMPLETE = _literal(pb.Execution.COMPLETE)
_CACHED = _literal(pb.Execution.CACHED)
_FAILED = _literal(pb.Execution.FAILED)


@dataclass(frozen=True)
class Conditions:
    """What attempts have to meet; ``None`` is no condition, and all others must be met."""

    pipeline_id: int | None = None
    step: str | None = None
    run_id: int | None = None
    artifact_id: int | None = None
    """An artifact that they used or made."""
    execution_ids: tuple[int, ...] | None = None
    ended_before_ms: int | None = None


@dataclass(frozen=True)
class Finished:
    """An attempt that is done, well or as a hit."""

    execution_id: int
    is_entry: bool
    is_unfit: bool
    cached_execution_id: int | None


_BIG = sa.BigInteger()
_FINISHED = (
    sa.select(_attempt.c.execution_id, _attempt.c.entry, _attempt.c.unfit, _attempt.c.cached_execution_id)
    .select_from(_attempt.join(_execution, _execution.c.id == _attempt.c.execution_id))
    .where(_execution.c.last_known_state.in_([_COMPLETE, _CACHED]))
    .order_by(_attempt.c.execution_id)
)
_CONDITIONS = {
    "pipeline_id": _attempt.c.pipeline_id == sa.bindparam("pipeline", type_=_BIG),
    "step": _attempt.c.step == sa.bindparam("in_step", type_=sa.Text()),
    "run_id": _attempt.c.run_id == sa.bindparam("run", type_=_BIG),
    "artifact_id": _attempt.c.execution_id.in_(
        sa.select(_event.c.execution_id).where(_event.c.artifact_id == sa.bindparam("artifact", type_=_BIG))
    ),
    "execution_ids": InList(_attempt.c.execution_id, "executions"),
    "ended_before_ms": _attempt.c.end_ms < sa.bindparam("ended_before", type_=_BIG),
}


@cache
def _finished(given: frozenset[str]) -> Prepared:
    select = _FINISHED
    for name, condition in _CONDITIONS.items():
        if name in given:
            select = select.where(condition)
    return Prepared(select, "pipeline", "in_step", "run", "artifact", "executions", "ended_before")


def finished_attempts(tx: Transaction, conditions: Conditions) -> list[Finished]:
    """The attempts that are done and meet all conditions, by ascending execution id."""
    values = [getattr(conditions, name) for name in _CONDITIONS]
    given = frozenset(name for name, value in zip(_CONDITIONS, values, strict=True) if value is not None)
    values[list(_CONDITIONS).index("execution_ids")] = Values(sorted(set(conditions.execution_ids or ())))
    return [_finished_of(row) for row in tx.rows(_finished(given), *values)]


def finished_by_id(tx: Transaction, execution_ids: Iterable[int]) -> list[Finished]:
    """Those of the executions that are attempts and done, by ascending id."""
    found: list[Finished] = []
    for batch in batches(sorted(set(execution_ids))):
        found += finished_attempts(tx, Conditions(execution_ids=tuple(batch)))
    return found


def _finished_of(row: Sequence[Any]) -> Finished:
    execution_id, entry, unfit, cached_execution_id = row
    return Finished(execution_id, entry is not None, unfit is not None, cached_execution_id)


_STEP_EXISTS = Prepared(
    sa.select(_attempt.c.execution_id)
    .where(
        _attempt.c.pipeline_id == sa.bindparam("pipeline", type_=_BIG),
        _attempt.c.step == sa.bindparam("in_step", type_=sa.Text()),
    )
    .limit(sa.literal_column("1")),
    "pipeline",
    "in_step",
)


def has_step(tx: Transaction, pipeline_id: int, step: str) -> bool:
    """Whether anybody began this step in the pipeline."""
    return bool(tx.rows(_STEP_EXISTS, pipeline_id, step))


_MAKE_UNFIT = Prepared(
    sa.update(_attempt)
    .where(InList(_attempt.c.execution_id, "executions"))
    .values(entry=sa.null(), unfit=sa.bindparam("reason", type_=sa.Text())),
    "reason",
    "executions",
)


def make_many_unfit(tx: Transaction, execution_ids: Iterable[int], reason: str) -> None:
    """Let nobody hit these executions any more. Costs a statement for every 2,000."""
    for batch in batches(sorted(set(execution_ids))):
        tx.run(_MAKE_UNFIT, reason, Values(batch))


# Statistics


@dataclass(frozen=True)
class StepCounts:
    """How often a step ran, was hit, and failed."""

    pipeline: str
    step: str
    completed: int
    hits: int
    failed: int
    entries: int
    saved_ms: int
    invalidated: int


def _total(condition: sa.ColumnElement[bool], what: sa.ColumnElement[Any] | None = None) -> Any:
    counted = sa.case((condition, _literal(1) if what is None else what), else_=_literal(0))
    # A sum of integers is a decimal number to some databases.
    return sa.cast(sa.func.sum(counted), sa.BigInteger())


_state = _execution.c.last_known_state
_took_ms = _original.c.end_ms - _original.c.start_ms


@cache
def _counts(of_one_pipeline: bool) -> Prepared:
    select = (
        sa.select(
            _context.c.name,
            _attempt.c.step,
            _total(_state == _COMPLETE),
            _total(_state == _CACHED),
            _total(_state == _FAILED),
            sa.func.count(_attempt.c.entry),
            _total(sa.and_(_state == _CACHED, _took_ms > _literal(0)), _took_ms),
            _total(sa.and_(_state == _COMPLETE, _attempt.c.unfit.isnot(None))),
        )
        .select_from(
            _attempt.join(_execution, _execution.c.id == _attempt.c.execution_id)
            .join(_context, _context.c.id == _attempt.c.pipeline_id)
            .outerjoin(_original, _original.c.execution_id == _attempt.c.cached_execution_id)
        )
        .group_by(_context.c.name, _attempt.c.step)
    )
    if of_one_pipeline:
        select = select.where(_attempt.c.pipeline_id == sa.bindparam("pipeline", type_=_BIG))
    return Prepared(select, "pipeline")


def step_counts(tx: Transaction, pipeline_id: int | None) -> list[StepCounts]:
    """Counts of all steps, of one pipeline or of all, by pipeline and step."""
    rows = tx.rows(_counts(pipeline_id is not None), pipeline_id)
    return [StepCounts(*row) for row in sorted(tuple(row) for row in rows)]
