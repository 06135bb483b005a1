"""Which events of hits a walk leaves out, and how often an execution was reused.

A hit has the events of the execution that it reuses, so it adds nothing to the past or the future of an
artifact; but there may be thousands of them for one that did something. Where they are left out,
an event of a hit is not there if the execution that it reuses has the same event.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import sqlalchemy as sa

from headwater.storage import schema
from headwater.storage.dialects import InList, Values
from headwater.storage.nodes import batches
from headwater.storage.statements import Prepared
from headwater.storage.transactions import Transaction

_attempt, _association = schema.attempt_table, schema.association_table
_FOR_EVER = 2**62
_NOTHING = (0,)  # No id; MySQL has no empty lists.

NAMES = ("kept_executions", "kept_contexts", "association_bound")
"""The parameters of ``is_of_hit``, beside those of what is there."""


@dataclass(frozen=True)
class Kept:
    """The hits that are there although others are left out: those at which a walk begins."""

    execution_ids: Sequence[int] = ()
    context_ids: Sequence[int] = ()
    """All of their executions."""

    def values(self, association_id: int) -> tuple[Values, Values, int]:
        """For ``NAMES``; associations with larger ids are not there."""
        return (
            Values(self.execution_ids or _NOTHING),
            Values(self.context_ids or _NOTHING),
            association_id,
        )


def is_of_hit(
    event: sa.FromClause, twin: sa.FromClause, twin_is_there: sa.ColumnElement[bool]
) -> sa.ColumnElement[bool]:
    """Whether an event is one of a hit, and ``twin`` is the same one of the execution that is reused."""
    hit = _attempt.alias()
    begun_at = sa.exists().where(
        _association.c.execution_id == hit.c.execution_id,
        InList(_association.c.context_id, "kept_contexts"),
        _association.c.id <= sa.bindparam("association_bound", type_=sa.BigInteger()),
    )
    return (
        sa.exists(sa.literal_column("1"))
        .select_from(hit)
        .where(
            hit.c.execution_id == event.c.execution_id,
            twin.c.execution_id == hit.c.cached_execution_id,
            twin.c.artifact_id == event.c.artifact_id,
            twin.c.type == event.c.type,
            twin_is_there,
            sa.not_(InList(hit.c.execution_id, "kept_executions")),
            sa.not_(begun_at.correlate(hit)),
        )
        .correlate(event)
    )


@dataclass(frozen=True)
class Reuse:
    """How often what an execution made was reused."""

    execution_id: int
    hits: int
    runs: int


@cache
def _reuses() -> Prepared:
    runs = sa.func.count(sa.distinct(_attempt.c.run_id))
    return Prepared(
        sa.select(_attempt.c.cached_execution_id, sa.func.count(), runs)
        .where(
            InList(_attempt.c.cached_execution_id, "ids"),
            _attempt.c.start_ms <= sa.bindparam("as_of", type_=sa.BigInteger()),
        )
        .group_by(_attempt.c.cached_execution_id)
        .order_by(_attempt.c.cached_execution_id),
        "ids",
        "as_of",
    )


def reuses(tx: Transaction, execution_ids: Sequence[int], as_of_ms: int | None) -> list[Reuse]:
    """How often each was reused by now, or by ``as_of_ms``; ascending by id, without what never was."""
    as_of = _FOR_EVER if as_of_ms is None else as_of_ms
    return [
        Reuse(*row)
        for batch in batches(sorted(execution_ids))
        for row in tx.rows(_reuses(), Values(batch), as_of)
    ]
