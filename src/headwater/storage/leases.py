"""Leases: the right to compute a step, or to keep a run open, until it expires or is given back.

A lease has a subject, and one holder at a time, because subjects are unique: of two who take a free one
at the same moment the second finds it taken. One that has expired belongs to whoever takes it first.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import sqlalchemy as sa

from headwater.storage import schema
from headwater.storage.dialects import InList, Values
from headwater.storage.statements import Insert, Prepared
from headwater.storage.transactions import Question, Transaction

DEFAULT_MS = 60_000
LONGEST_MS = 24 * 60 * 60 * 1000
# By so much the clocks of two servers may differ, or one be set back, and a lease still hold.
_CLOCKS_DIFFER_MS = 60_000

_lease = schema.lease_table
_COLUMNS = tuple(_lease.columns)
_INSERT = Insert(_lease, *(column.key for column in _COLUMNS))


@dataclass(frozen=True)
class Lease:
    """A row of ``headwater_lease``."""

    subject: str
    token: str
    worker: str
    run_id: int
    execution_id: int | None
    acquired_ms: int
    duration_ms: int
    expires_ms: int

    def is_live(self, now_ms: int) -> bool:
        """Whether nobody else may take it.

        It also ends where it seems to hold for much longer than it was given for: then the clock was set
        back, and who holds it will renew it by the new time.
        """
        return now_ms < self.expires_ms <= now_ms + self.duration_ms + _CLOCKS_DIFFER_MS


def step_subject(fingerprint: str) -> str:
    """What one leases who computes something that others may need."""
    return f"step:{fingerprint}"


def attempt_subject(execution_id: int) -> str:
    """What one leases who computes something for himself."""
    return f"attempt:{execution_id}"


def run_subject(run_id: int) -> str:
    """What one leases who keeps a run open."""
    return f"run:{run_id}"


def _lease_of(row: Sequence[Any]) -> Lease:
    return Lease(**dict(zip((column.key for column in _COLUMNS), row, strict=True)))


@cache
def _by(column: str, locks: bool) -> Prepared:
    select = sa.select(*_COLUMNS).where(InList(_lease.c[column], "wanted")).order_by(_lease.c.subject)
    return Prepared(select.with_for_update() if locks else select, "wanted")


def leases_of(tx: Transaction, subjects: Sequence[str], *, locks: bool = False) -> dict[str, Lease]:
    """Leases by subject, expired ones too; free subjects are absent.

    With ``locks`` nobody else renews or takes them until this transaction ends.
    """
    if not subjects:
        return {}
    rows = tx.rows(*question_of_leases(subjects, locks=locks))
    return {lease.subject: lease for lease in map(_lease_of, rows)}


def question_of_leases(subjects: Sequence[str], *, locks: bool = False) -> Question:
    """What ``leases_of`` asks, for ``ask_ahead``."""
    return _by("subject", locks), Values(sorted(set(subjects)))


def leases_by_token(tx: Transaction, tokens: Sequence[str]) -> list[Lease]:
    """The leases that have these tokens, which nobody else changes until this transaction ends."""
    if not tokens:
        return []
    return [_lease_of(row) for row in tx.rows(_by("token", True), Values(sorted(set(tokens))))]


def leases_of_run(tx: Transaction, run_id: int) -> list[Lease]:
    """The leases of the attempts in a run, expired ones too; not that of the run itself."""
    leases = map(_lease_of, tx.rows(_by("run_id", False), Values([run_id])))
    return [lease for lease in leases if lease.execution_id is not None]


def take(
    tx: Transaction, subject: str, *, worker: str, run_id: int, execution_id: int | None, duration_ms: int
) -> Lease | None:
    """A new lease on a free subject; ``None`` if it was taken in the meantime."""
    lease = Lease(
        subject,
        str(uuid.uuid4()),
        worker,
        run_id,
        execution_id,
        tx.now_ms,
        duration_ms,
        tx.now_ms + duration_ms,
    )
    row = tuple(getattr(lease, column.key) for column in _COLUMNS)
    return lease if tx.insert_new(_INSERT, [row]) else None


_DROP = Prepared(
    sa.delete(_lease).where(
        _lease.c.subject == sa.bindparam("which"), _lease.c.token == sa.bindparam("held")
    ),
    "which",
    "held",
)


def drop(tx: Transaction, lease: Lease) -> None:
    """Free the subject of this lease, unless somebody else has it by now."""
    tx.run(_DROP, lease.subject, lease.token)


_RENEW = Prepared(
    sa.update(_lease)
    .where(InList(_lease.c.token, "tokens"))
    .values(
        expires_ms=sa.bindparam("now_ms", type_=sa.BigInteger()) + _lease.c.duration_ms,
    ),
    "now_ms",
    "tokens",
)


def renew(tx: Transaction, leases: Sequence[Lease]) -> list[Lease]:
    """Let leases that this transaction has locked hold for their whole duration again; as they are then."""
    if leases:
        tx.run(_RENEW, tx.now_ms, Values(sorted(lease.token for lease in leases)))
    return [replace(lease, expires_ms=tx.now_ms + lease.duration_ms) for lease in leases]


_ENDED = Prepared(
    sa.select(*_COLUMNS)
    .where(
        sa.or_(
            _lease.c.expires_ms <= sa.bindparam("now_ms", type_=sa.BigInteger()),
            _lease.c.expires_ms - _lease.c.duration_ms
            > sa.bindparam("now_ms", type_=sa.BigInteger()) + sa.literal_column(str(_CLOCKS_DIFFER_MS)),
        )
    )
    .order_by(_lease.c.expires_ms, _lease.c.subject)
    .limit(sa.bindparam("most", type_=sa.BigInteger())),
    "now_ms",
    "most",
)


def ended(tx: Transaction, most: int) -> list[Lease]:
    """Leases that nobody renewed, the longest ended first."""
    return [_lease_of(row) for row in tx.rows(_ENDED, tx.now_ms, most)]


_LIVE_IN_RUNS = Prepared(
    sa.select(_lease.c.run_id)
    .distinct()
    .where(
        InList(_lease.c.run_id, "runs"),
        _lease.c.execution_id.isnot(None),
        _lease.c.expires_ms > sa.bindparam("now_ms", type_=sa.BigInteger()),
    ),
    "runs",
    "now_ms",
)


def runs_at_work(tx: Transaction, run_ids: Sequence[int]) -> set[int]:
    """Those of the runs in which somebody still computes a step."""
    if not run_ids:
        return set()
    return {row[0] for row in tx.rows(_LIVE_IN_RUNS, Values(sorted(set(run_ids))), tx.now_ms)}
