"""Attempts at steps: what it takes to find the execution that a step can reuse, and the one before it.

An attempt is an Execution of type ``headwater.Step``; its row in ``headwater_attempt`` holds what is
looked up, and nothing that the Execution lacks but for its fitness to be hit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import sqlalchemy as sa

from headwater.storage import schema
from headwater.storage.dialects import InList, Values
from headwater.storage.statements import Insert, Prepared
from headwater.storage.transactions import Question, Transaction
from headwater.storage.values import packed_texts
from headwater.v1 import metadata_store_pb2 as pb

_attempt = schema.attempt_table
_execution = schema.execution_table
_context = schema.context_table
_property = schema.execution_property_table

_COLUMNS = (
    _attempt.c.execution_id,
    _attempt.c.pipeline_id,
    _attempt.c.run_id,
    _attempt.c.step,
    _attempt.c.number,
    _attempt.c.fingerprint,
    _attempt.c.entry,
    _attempt.c.is_kept,
    _attempt.c.unfit,
    _attempt.c.cached_execution_id,
    _attempt.c.start_ms,
    _attempt.c.end_ms,
    _attempt.c.begin_digest,
    _attempt.c.finish_digest,
)


@dataclass(frozen=True)
class Attempt:
    """A row of ``headwater_attempt``, and the state of its Execution."""

    execution_id: int
    pipeline_id: int
    run_id: int
    step: str
    number: int
    fingerprint: str
    entry: str | None
    is_kept: bool
    unfit: str | None
    cached_execution_id: int | None
    start_ms: int
    end_ms: int | None
    begin_digest: str
    finish_digest: str | None
    state: int
    name: str
    """That of the Execution."""


_INSERT = Insert(_attempt, *(column.key for column in _COLUMNS))


def put_attempt(tx: Transaction, attempt: Attempt) -> None:
    """Store the row of an attempt whose Execution is new."""
    tx.insert(_INSERT, [tuple(getattr(attempt, key) for key in _KEYS)])


_KEYS = tuple(column.key for column in _COLUMNS)
_SELECT = sa.select(*_COLUMNS, _execution.c.last_known_state, _execution.c.name).select_from(
    _attempt.join(_execution, _execution.c.id == _attempt.c.execution_id)
)


@cache
def _by_key(locks: bool) -> Prepared:
    select = _SELECT.where(_execution.c.external_id == sa.bindparam("key"))
    return Prepared(select.with_for_update() if locks else select, "key")


@cache
def _by_ids(locks: bool) -> Prepared:
    select = _SELECT.where(InList(_attempt.c.execution_id, "ids")).order_by(_attempt.c.execution_id)
    return Prepared(select.with_for_update() if locks else select, "ids")


def find_by_key(tx: Transaction, key: str, *, locks: bool = False) -> Attempt | None:
    """The attempt of that key, which is its Execution's external id.

    With ``locks`` nobody else finishes it until this transaction ends.
    """
    rows = tx.rows(*question_of_key(key, locks=locks))
    return _attempt_of(rows[0]) if rows else None


def question_of_key(key: str, *, locks: bool = False) -> Question:
    """What ``find_by_key`` asks, for ``ask_ahead``."""
    return _by_key(locks), key


def attempts_by_id(
    tx: Transaction, execution_ids: Sequence[int], *, locks: bool = False
) -> dict[int, Attempt]:
    """Attempts by the id of their Execution; executions that are none are absent.

    With ``locks`` nobody else finishes them until this transaction ends.
    """
    if not execution_ids:
        return {}
    return {row[0]: _attempt_of(row) for row in tx.rows(*question_of_attempts(execution_ids, locks=locks))}


def question_of_attempts(execution_ids: Sequence[int], *, locks: bool = False) -> Question:
    """What ``attempts_by_id`` asks, for ``ask_ahead``."""
    return _by_ids(locks), Values(sorted(set(execution_ids)))


def _attempt_of(row: Sequence[Any]) -> Attempt:
    values = dict(zip(_KEYS, row[:-2], strict=True))
    values["is_kept"] = bool(values["is_kept"])
    return Attempt(**values, state=row[-2] or 0, name=row[-1] or "")


# Of attempts that began at the same moment a later one may have a smaller id.
_BEGUN_AT_ONCE = 32

_LAST_NUMBER = Prepared(
    sa.select(_attempt.c.number)
    .where(
        _attempt.c.pipeline_id == sa.bindparam("pipeline", type_=sa.BigInteger()),
        _attempt.c.step == sa.bindparam("step"),
        # Not by the index of runs, some of which have very many steps: a step is tried again soon.
        _attempt.c.run_id + sa.literal_column("0") == sa.bindparam("run", type_=sa.BigInteger()),
    )
    .order_by(_attempt.c.execution_id.desc())
    .limit(sa.literal_column(str(_BEGUN_AT_ONCE))),
    "pipeline",
    "step",
    "run",
)


def last_number(tx: Transaction, pipeline_id: int, run_id: int, step: str) -> int:
    """How many attempts there were at a step of a run."""
    rows = tx.rows(*question_of_last_number(pipeline_id, run_id, step))
    return max((int(row[0]) for row in rows), default=0)


def question_of_last_number(pipeline_id: int, run_id: int, step: str) -> Question:
    """What ``last_number`` asks, for ``ask_ahead``."""
    return _LAST_NUMBER, pipeline_id, step, run_id


# Hits

_MOST_ENTRIES = 5


@dataclass(frozen=True)
class Entry:
    """An execution that can be hit."""

    fingerprint: str
    execution_id: int
    end_ms: int


def newest_entry_ids(parameter: str) -> sa.Select[Any]:
    """The newest executions that can be hit by a step with the fingerprint bound as ``parameter``."""
    return (
        sa.select(_attempt.c.execution_id)
        .where(_attempt.c.entry == sa.bindparam(parameter))
        .order_by(_attempt.c.execution_id.desc())
        .limit(sa.literal_column(str(_MOST_ENTRIES)))
    )


_ENTRIES = Prepared(
    newest_entry_ids("fingerprint").with_only_columns(
        _attempt.c.entry, _attempt.c.execution_id, _attempt.c.end_ms
    ),
    "fingerprint",
)


def entries_of(tx: Transaction, fingerprint: str) -> list[Entry]:
    """The newest executions that can be hit by a step with this fingerprint, newest first."""
    return entries_of_each(tx, [fingerprint])[0]


def entries_of_each(tx: Transaction, fingerprints: Sequence[str]) -> list[list[Entry]]:
    """``entries_of`` for each of some fingerprints."""
    answers = tx.rows_of_each([question_of_entries(fingerprint) for fingerprint in fingerprints])
    return [[Entry(*row) for row in rows] for rows in answers]


def question_of_entries(fingerprint: str) -> Question:
    """What ``entries_of`` asks, for ``ask_ahead``."""
    return _ENTRIES, fingerprint


# An error on every database where there is such an entry: more than one row in place of a value.
_FAIL_IF_DONE = Prepared(
    sa.select(
        sa.union_all(
            sa.select(sa.literal_column("0")),
            sa.select(_attempt.c.execution_id).where(
                _attempt.c.entry == sa.bindparam("fingerprint"),
                _attempt.c.execution_id > sa.bindparam("seen", type_=sa.BigInteger()),
            ),
        ).scalar_subquery()
    ),
    "fingerprint",
    "seen",
)


def is_done_meanwhile(tx: Transaction, fingerprint: str, *, newest_id: int) -> bool:
    """Whether somebody has left an entry newer than ``newest_id``, asked by who holds the lease since.

    Who computed the step gave back the lease in the transaction that made the entry; a lease that was free
    may be that one. A transaction that guesses does not wait for the answer: the yes makes it fail.
    """
    if not tx.dialect.is_server:
        return False
    if not tx.is_careful:
        tx.run(_FAIL_IF_DONE, fingerprint, newest_id)
        return False
    return any(entry.execution_id > newest_id for entry in entries_of(tx, fingerprint))


_newest = sa.select(sa.func.max(_attempt.c.execution_id).label("execution_id")).where(
    InList(_attempt.c.entry, "fingerprints")
)
_NEWEST = Prepared(
    sa.select(_attempt.c.entry, _attempt.c.execution_id, _attempt.c.end_ms).where(
        _attempt.c.execution_id.in_(_newest.group_by(_attempt.c.entry))
    ),
    "fingerprints",
)


def newest_entries(tx: Transaction, fingerprints: Sequence[str]) -> dict[str, Entry]:
    """For each of many fingerprints the newest execution that can be hit."""
    if not fingerprints:
        return {}
    return {row[0]: Entry(*row) for row in tx.rows(_NEWEST, Values(sorted(set(fingerprints))))}


_MAKE_UNFIT = Prepared(
    sa.update(_attempt)
    .where(_attempt.c.execution_id == sa.bindparam("execution"))
    .values(entry=sa.null(), unfit=sa.bindparam("reason")),
    "reason",
    "execution",
)


def make_unfit(tx: Transaction, execution_ids: Sequence[int], reason: str) -> None:
    """Let nobody hit these executions any more."""
    tx.run_many(_MAKE_UNFIT, [(reason, execution_id) for execution_id in sorted(set(execution_ids))])


_REFUSE = Prepared(
    sa.update(_attempt)
    .where(
        _attempt.c.execution_id == sa.bindparam("execution"),
        _attempt.c.entry == sa.bindparam("fingerprint"),
    )
    .values(entry=sa.null(), unfit=sa.bindparam("reason")),
    "reason",
    "execution",
    "fingerprint",
)


def refuse_entry(tx: Transaction, execution_id: int, fingerprint: str, reason: str) -> None:
    """Let nobody hit an execution any more that was offered to a step with this fingerprint."""
    tx.run(_REFUSE, reason, execution_id, fingerprint)


_FINISH = Prepared(
    sa.update(_attempt)
    .where(_attempt.c.execution_id == sa.bindparam("execution"))
    .values(
        entry=sa.bindparam("new_entry"), end_ms=sa.bindparam("new_end"), finish_digest=sa.bindparam("digest")
    ),
    "new_entry",
    "new_end",
    "digest",
    "execution",
)


def finish_attempt(
    tx: Transaction, execution_id: int, *, entry: str | None, end_ms: int, digest: str | None
) -> None:
    """Note that an attempt is over; with ``entry`` it can be hit from now on."""
    tx.run(_FINISH, entry, end_ms, digest, execution_id)


# What came before

_MOST_EARLIER = 3


@dataclass(frozen=True)
class Earlier:
    """A completed attempt at the same step, and the components of its fingerprint.

    ``unfit`` and ``is_entry`` of a hit are those of the execution that it reused.
    """

    execution_id: int
    fingerprint: str
    unfit: str | None
    is_entry: bool
    end_ms: int | None
    components: dict[str, str]


@cache
def _earlier() -> Prepared:
    pipeline = (
        sa.select(_context.c.id)
        .where(
            _context.c.type_id == sa.bindparam("type", type_=sa.BigInteger()),
            _context.c.name == sa.bindparam("pipeline"),
        )
        .scalar_subquery()
    )
    of_execution = sa.and_(
        _property.c.node_id == _attempt.c.execution_id,
        _property.c.name == sa.literal_column("'components'"),
        _property.c.is_custom_property == sa.false(),
    )
    original = _attempt.alias("original")
    done: list[sa.ColumnElement[int]] = [
        sa.literal_column(str(int(state))) for state in (pb.Execution.COMPLETE, pb.Execution.CACHED)
    ]
    return Prepared(
        sa.select(
            _attempt.c.execution_id,
            _attempt.c.fingerprint,
            sa.func.coalesce(_attempt.c.unfit, original.c.unfit),
            sa.func.coalesce(_attempt.c.entry, original.c.entry),
            _attempt.c.end_ms,
            _property.c.proto_value,
        )
        .select_from(
            _attempt.join(_execution, _execution.c.id == _attempt.c.execution_id)
            .outerjoin(_property, of_execution)
            .outerjoin(original, original.c.execution_id == _attempt.c.cached_execution_id)
        )
        .where(
            _attempt.c.pipeline_id == pipeline,
            _attempt.c.step == sa.bindparam("step"),
            _execution.c.last_known_state.in_(done),
        )
        .order_by(_attempt.c.execution_id.desc())
        .limit(_MOST_EARLIER),
        "type",
        "pipeline",
        "step",
    )


def earlier_attempts(tx: Transaction, pipeline_type_id: int, pipeline: str, step: str) -> list[Earlier]:
    """The latest completed attempts at a step of a pipeline, newest first."""
    return [
        Earlier(
            row[0],
            row[1],
            row[2],
            row[3] is not None,
            row[4],
            packed_texts(tx.dialect, row[5]),
        )
        for row in tx.rows(*question_of_earlier(pipeline_type_id, pipeline, step))
    ]


_UNFIT = Prepared(
    sa.select(_attempt.c.execution_id, _attempt.c.unfit, _attempt.c.end_ms)
    .where(_attempt.c.fingerprint == sa.bindparam("equal"), _attempt.c.unfit.isnot(None))
    .order_by(_attempt.c.execution_id.desc())
    .limit(1),
    "equal",
)


def unfit_before(tx: Transaction, fingerprint: str, components: dict[str, str]) -> list[Earlier]:
    """The newest attempt with this fingerprint that was made unfit to be hit, if there is one."""
    return [
        Earlier(execution_id, fingerprint, unfit, False, end_ms, components)
        for execution_id, unfit, end_ms in tx.rows(*question_of_unfit(fingerprint))
    ]


def question_of_unfit(fingerprint: str) -> Question:
    """What ``unfit_before`` asks, for ``ask_ahead``."""
    return _UNFIT, fingerprint


def question_of_earlier(pipeline_type_id: int, pipeline: str, step: str) -> Question:
    """What ``earlier_attempts`` asks, for ``ask_ahead``."""
    return _earlier(), pipeline_type_id, pipeline, step
