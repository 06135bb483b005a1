"""What is known of pipelines, runs and attempts beside their own properties."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from headwater.storage import schema
from headwater.storage.dialects import InList, Values
from headwater.storage.kinds import CONTEXT
from headwater.storage.model import PIPELINE_TYPE, RUN_TYPE
from headwater.storage.nodes import find_names
from headwater.storage.statements import Prepared
from headwater.storage.transactions import Question, Transaction

_attempt = schema.attempt_table
_execution = schema.execution_table
_context = schema.context_table
_parent = schema.parent_context_table
_type = schema.type_table

# Names


@dataclass(frozen=True)
class ContextTypes:
    """Ids of the types of pipelines and runs; ``None`` where nothing was recorded yet."""

    pipeline: int | None
    run: int | None


_TYPES = Prepared(
    sa.select(_type.c.name, _type.c.id)
    .where(
        _type.c.type_kind == sa.literal_column(str(CONTEXT.number)),
        InList(_type.c.name, "names"),
        sa.func.coalesce(_type.c.version, sa.literal_column("''")) == sa.literal_column("''"),
    )
    .order_by(_type.c.id.desc()),
    "names",
)


def context_types(tx: Transaction) -> ContextTypes:
    """The types that pipelines and runs have."""
    found = dict(tuple(row) for row in tx.rows(_TYPES, Values([PIPELINE_TYPE.name, RUN_TYPE.name])))
    return ContextTypes(found.get(PIPELINE_TYPE.name), found.get(RUN_TYPE.name))


def find_pipeline(tx: Transaction, types: ContextTypes, pipeline: str) -> int | None:
    """The id of a pipeline's Context."""
    return find_pipeline_and_run(tx, types, pipeline, None)[0]


def find_pipeline_and_run(
    tx: Transaction, types: ContextTypes, pipeline: str, run: str | None
) -> tuple[int | None, int | None]:
    """The ids of the Contexts of a pipeline and, by the name of its Context, of a run."""
    if types.pipeline is None:
        return None, None
    keys = [(types.pipeline, pipeline)]
    if run is not None and types.run is not None:
        keys.append((types.run, run))
    found = find_names(tx, CONTEXT, keys)
    return found.get(keys[0]), found.get(keys[-1]) if len(keys) > 1 else None


# Runs

_PARENTS = Prepared(
    sa.select(_parent.c.context_id, _parent.c.parent_context_id, _context.c.type_id)
    .select_from(_parent.join(_context, _context.c.id == _parent.c.parent_context_id))
    .where(InList(_parent.c.context_id, "ids"))
    .order_by(_parent.c.context_id, _parent.c.parent_context_id),
    "ids",
)


def parents_with_types(tx: Transaction, run_ids: Sequence[int]) -> dict[int, list[tuple[int, int]]]:
    """(id, type id) of the parents of runs; runs without parents are absent."""
    found: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for run_id, parent_id, type_id in tx.rows(*question_of_parents(run_ids)):
        found[run_id].append((parent_id, type_id))
    return found


def question_of_parents(run_ids: Iterable[int]) -> Question:
    """What ``parents_with_types`` asks, for ``ask_ahead``."""
    return _PARENTS, Values(sorted(set(run_ids)))


_newest = (
    sa.select(sa.func.max(_attempt.c.execution_id).label("execution_id"))
    .where(InList(_attempt.c.run_id, "ids"))
    .group_by(_attempt.c.run_id, _attempt.c.step)
    .subquery("newest")
)
_STATES = Prepared(
    sa.select(_attempt.c.run_id, _execution.c.last_known_state, sa.func.count())
    .select_from(
        _newest.join(_attempt, _attempt.c.execution_id == _newest.c.execution_id).join(
            _execution, _execution.c.id == _newest.c.execution_id
        )
    )
    .group_by(_attempt.c.run_id, _execution.c.last_known_state),
    "ids",
)


def step_states(tx: Transaction, run_ids: Sequence[int]) -> dict[int, dict[int, int]]:
    """How many steps of each run are in each state, by its number; the newest attempt at a step counts."""
    found: dict[int, dict[int, int]] = defaultdict(dict)
    for run_id, state, count in tx.rows(*question_of_step_states(run_ids)):
        found[run_id][state or 0] = count
    return found


def question_of_step_states(run_ids: Iterable[int]) -> Question:
    """What ``step_states`` asks, for ``ask_ahead``."""
    return _STATES, Values(sorted(set(run_ids)))


# Attempts of a run

_IN_RUN = (
    sa.select(_attempt.c.execution_id)
    .where(
        _attempt.c.run_id == sa.bindparam("run", type_=sa.BigInteger()),
        _attempt.c.execution_id > sa.bindparam("after", type_=sa.BigInteger()),
    )
    .order_by(_attempt.c.execution_id)
    .limit(sa.bindparam("most", type_=sa.BigInteger()))
)
_ALL = Prepared(_IN_RUN, "run", "after", "most")
_CHANGED = Prepared(
    _IN_RUN.join(_execution, _execution.c.id == _attempt.c.execution_id).where(
        _execution.c.last_update_time_since_epoch >= sa.bindparam("since", type_=sa.BigInteger())
    ),
    "run",
    "after",
    "most",
    "since",
)


def attempt_ids_of_run(
    tx: Transaction, run_id: int, *, after: int, limit: int, changed_since_ms: int = 0
) -> list[int]:
    """The next ``limit`` attempts of a run behind ``after``, ascending, if they were changed since."""
    if changed_since_ms:
        rows = tx.rows(_CHANGED, run_id, after, limit, changed_since_ms)
    else:
        rows = tx.rows(_ALL, run_id, after, limit)
    return [row[0] for row in rows]


@dataclass(frozen=True)
class Stage:
    """An attempt, as far as it says whether its step is done."""

    execution_id: int
    step: str
    number: int
    state: int
    fingerprint: str
    unfit: str
    """Why its outputs, or those of the execution whose outputs it reuses, are not to be used; or empty."""
    cached_execution_id: int | None
    is_over: bool
    is_entry: bool
    """Whether its outputs, or those of the execution whose outputs it reuses, can be used again."""


_original = _attempt.alias("original")
_STAGES = Prepared(
    sa.select(
        _attempt.c.execution_id,
        _attempt.c.step,
        _attempt.c.number,
        _execution.c.last_known_state,
        _attempt.c.fingerprint,
        _attempt.c.unfit,
        _original.c.unfit,
        _attempt.c.cached_execution_id,
        _attempt.c.end_ms,
        sa.func.coalesce(_attempt.c.entry, _original.c.entry),
    )
    .select_from(
        _attempt.join(_execution, _execution.c.id == _attempt.c.execution_id).outerjoin(
            _original, _original.c.execution_id == _attempt.c.cached_execution_id
        )
    )
    .where(_attempt.c.run_id == sa.bindparam("run", type_=sa.BigInteger()))
    .order_by(_attempt.c.execution_id),
    "run",
)


def stages_of(tx: Transaction, run_id: int) -> list[Stage]:
    """All attempts of a run, in the order in which they were recorded."""
    return [
        Stage(
            execution_id,
            step,
            number,
            state or 0,
            fingerprint,
            unfit or original_unfit or "",
            cached,
            end_ms is not None,
            entry is not None,
        )
        for (
            execution_id,
            step,
            number,
            state,
            fingerprint,
            unfit,
            original_unfit,
            cached,
            end_ms,
            entry,
        ) in tx.rows(_STAGES, run_id)
    ]


def newest_of_each(stages: Iterable[Stage]) -> Mapping[str, Stage]:
    """The newest attempt by step, steps in the order in which they were first begun."""
    return {stage.step: stage for stage in stages}
