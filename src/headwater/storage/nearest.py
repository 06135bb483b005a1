"""Completed attempts at a step, with the components of their fingerprints, to compare another one with."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import sqlalchemy as sa

from headwater.fingerprint import Difference, differences
from headwater.storage import schema
from headwater.storage.dialects import InList, Values
from headwater.storage.statements import Prepared
from headwater.storage.transactions import Transaction
from headwater.storage.values import packed_texts
from headwater.v1 import metadata_store_pb2 as pb

MOST_COMPARED = 50
"""How many of the latest attempts are looked at."""

_attempt = schema.attempt_table
_execution = schema.execution_table
_context = schema.context_table
_property = schema.execution_property_table
_run_property = schema.context_property_table
_original = _attempt.alias("original")


@dataclass(frozen=True)
class Completed:
    """A completed attempt."""

    execution_id: int
    run_id: int
    state: int
    end_ms: int
    fingerprint: str
    is_entry: bool
    """Whether it can be hit, or what it reuses can."""
    unfit: str
    """Why it cannot be hit any more; or empty."""
    components: Mapping[str, str]


_COLUMNS = (
    _attempt.c.execution_id,
    _attempt.c.run_id,
    _execution.c.last_known_state,
    _attempt.c.end_ms,
    _attempt.c.fingerprint,
    sa.func.coalesce(_attempt.c.entry, _original.c.entry),
    sa.func.coalesce(_attempt.c.unfit, _original.c.unfit),
    _property.c.proto_value,
)
_WITH_COMPONENTS = (
    _attempt.join(_execution, _execution.c.id == _attempt.c.execution_id)
    .outerjoin(_original, _original.c.execution_id == _attempt.c.cached_execution_id)
    .outerjoin(
        _property,
        sa.and_(
            _property.c.node_id == _attempt.c.execution_id,
            _property.c.name == sa.literal_column("'components'"),
            _property.c.is_custom_property == sa.false(),
        ),
    )
)
_DONE: list[sa.ColumnElement[int]] = [
    sa.literal_column(str(int(state))) for state in (pb.Execution.COMPLETE, pb.Execution.CACHED)
]


@cache
def _latest(in_all_pipelines: bool) -> Prepared:
    """The latest attempts at a step that had ended by a time, newest first."""
    of_pipeline: sa.ColumnElement[bool] = _attempt.c.pipeline_id == sa.bindparam(
        "pipeline", type_=sa.BigInteger()
    )
    if in_all_pipelines:
        # By pipeline, since that is where the index on steps begins.
        every = sa.select(_context.c.id).where(
            _context.c.type_id == sa.bindparam("pipeline_type", type_=sa.BigInteger())
        )
        of_pipeline = _attempt.c.pipeline_id.in_(every)
    return Prepared(
        sa.select(*_COLUMNS)
        .select_from(_WITH_COMPONENTS)
        .where(
            of_pipeline,
            _attempt.c.step == sa.bindparam("step", type_=sa.Text()),
            _attempt.c.execution_id < sa.bindparam("before", type_=sa.BigInteger()),
            _attempt.c.end_ms <= sa.bindparam("ended_by", type_=sa.BigInteger()),
            _execution.c.last_known_state.in_(_DONE),
        )
        .order_by(_attempt.c.execution_id.desc())
        .limit(sa.literal_column(str(MOST_COMPARED))),
        "pipeline_type" if in_all_pipelines else "pipeline",
        "step",
        "before",
        "ended_by",
    )


_BY_IDS = Prepared(
    sa.select(*_COLUMNS).select_from(_WITH_COMPONENTS).where(InList(_attempt.c.execution_id, "ids")), "ids"
)


def completed_before(
    tx: Transaction,
    *,
    pipeline_id: int | None,
    pipeline_type_id: int | None,
    step: str,
    before: int,
    ended_by_ms: int,
) -> list[Completed]:
    """The latest completed attempts at a step, newest first, of which an execution could know.

    Those of its pipeline; where there is none, those at a step of this name in other pipelines.
    """
    rows: list[Any] = []
    if pipeline_id is not None:
        rows = tx.rows(_latest(False), pipeline_id, step, before, ended_by_ms)
    if not rows and pipeline_type_id is not None:
        rows = tx.rows(_latest(True), pipeline_type_id, step, before, ended_by_ms)
    return [_completed(tx, row) for row in rows]


def completed_by_id(tx: Transaction, execution_ids: Iterable[int]) -> list[Completed]:
    """These attempts, in no particular order."""
    return [_completed(tx, row) for row in tx.rows(_BY_IDS, Values(sorted(set(execution_ids))))]


def _completed(tx: Transaction, row: Sequence[Any]) -> Completed:
    execution_id, run_id, state, end_ms, fingerprint, entry, unfit, components = row
    return Completed(
        execution_id,
        run_id,
        state or 0,
        end_ms or 0,
        fingerprint,
        entry is not None,
        unfit or "",
        packed_texts(tx.dialect, components),
    )


@dataclass(frozen=True)
class Compared:
    """A completed attempt, and what differs from it."""

    completed: Completed
    differences: Sequence[Difference]


def nearest(components: Mapping[str, str], completed: Iterable[Completed], limit: int) -> list[Compared]:
    """The attempts of which the fewest components differ, each set of components once, and the newest first.

    ``completed`` are given the newest first.
    """
    found: dict[str | int, Compared] = {}
    for one in completed:
        found.setdefault(
            one.fingerprint or one.execution_id, Compared(one, differences(one.components, components))
        )
    return sorted(found.values(), key=lambda compared: len(compared.differences))[:limit]


_RUN_NAMES = Prepared(
    sa.select(_run_property.c.node_id, _run_property.c.string_value).where(
        InList(_run_property.c.node_id, "ids"),
        _run_property.c.name == sa.literal_column("'run'"),
        _run_property.c.is_custom_property == sa.false(),
    ),
    "ids",
)


def run_names(tx: Transaction, run_ids: Iterable[int]) -> dict[int, str]:
    """The names of runs, by id."""
    wanted = Values(sorted(set(run_ids)))
    return {run_id: name or "" for run_id, name in tx.rows(_RUN_NAMES, wanted)} if wanted else {}
