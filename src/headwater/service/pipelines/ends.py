"""Ending what nobody works at any more: attempts and runs whose leases were not renewed."""

from collections.abc import Collection, Mapping, Sequence

from headwater.service.pipelines.facts import ERROR_PATHS, set_error
from headwater.storage.attempts import Attempt, attempts_by_id, finish_attempt
from headwater.storage.kinds import CONTEXT, EXECUTION
from headwater.storage.leases import Lease, drop, leases_by_token, leases_of_run
from headwater.storage.model import RUN_TYPE, context_type_id, step_type_id
from headwater.storage.nodes import read_messages
from headwater.storage.transactions import Transaction
from headwater.storage.writing import put_nodes
from headwater.v1 import metadata_store_pb2 as pb

RUN_WAS_CLOSED = ", so the run was closed; resume it to go on"
"""How the error of a run ends that was closed for want of news, or by others than its own process."""

_OPEN = (pb.Execution.NEW, pb.Execution.RUNNING)


def end_attempts(tx: Transaction, leases: Sequence[Lease]) -> list[int]:
    """Mark the attempts FAILED that were made under leases which have expired, and drop these; their ids.

    What was finished or renewed since the leases were read is left alone.
    """
    if not leases:
        return []
    attempts = _locked_attempts(tx, leases)
    return _end(tx, _still_ended(tx, leases), attempts)


def end_attempts_of_run(tx: Transaction, run_id: int, error: str) -> list[int]:
    """Mark the attempts FAILED still open in a run, and drop their leases, live or not; their ids."""
    leases = leases_of_run(tx, run_id)
    if not leases:
        return []
    attempts = _locked_attempts(tx, leases)
    held = leases_by_token(tx, [lease.token for lease in leases])
    return _end(tx, held, attempts, error=error or "its run ended before it was finished")


def _locked_attempts(tx: Transaction, leases: Sequence[Lease]) -> dict[int, Attempt]:
    """The attempts under some leases, to be read before the leases are locked, as when they finish.

    Then two transactions wait for each other, not both ways.
    """
    ids = [lease.execution_id for lease in leases if lease.execution_id is not None]
    return attempts_by_id(tx, ids, locks=True)


def _end(
    tx: Transaction, leases: Sequence[Lease], attempts: Mapping[int, Attempt], *, error: str = ""
) -> list[int]:
    """Drop these leases, which are locked, and mark their attempts FAILED where they are open; their ids.

    Without ``error`` it is for want of news.
    """
    type_id = step_type_id(tx)
    executions = []
    for lease in leases:
        assert lease.execution_id is not None
        execution_id = lease.execution_id
        drop(tx, lease)
        attempt = attempts.get(execution_id)
        if attempt is None or attempt.end_ms is not None or attempt.state not in _OPEN:
            continue
        execution = pb.Execution(id=execution_id, type_id=type_id, last_known_state=pb.Execution.FAILED)
        set_error(execution, error or f"{_silence(lease)}, so its lease ended")
        # Where it is not known when it died, the last that was heard of it is.
        heard_ms = tx.now_ms if error else lease.expires_ms - lease.duration_ms
        end_ms = max(attempt.start_ms, min(heard_ms, tx.now_ms))
        execution.properties["end_ms"].int_value = end_ms
        executions.append(execution)
        finish_attempt(tx, execution_id, entry=None, end_ms=end_ms, digest=None)
    return put_nodes(
        tx,
        EXECUTION,
        executions,
        mask=("last_known_state", *ERROR_PATHS, "properties.end_ms"),
    )


def over_runs(tx: Transaction, run_ids: Collection[int]) -> set[int]:
    """Those of the runs that were closed. What is still open in them was left behind."""
    runs = read_messages(tx, CONTEXT, sorted(run_ids)) if run_ids else {}
    return {run_id for run_id, run in runs.items() if run.properties["state"].string_value != "RUNNING"}


def end_runs(tx: Transaction, leases: Sequence[Lease]) -> list[int]:
    """Mark the runs FAILED that were kept open by leases which have expired, and drop these; their ids.

    What was closed or renewed since the leases were read is left alone.
    """
    if not leases:
        return []
    runs = read_messages(tx, CONTEXT, [lease.run_id for lease in leases], locks=True)
    type_id = context_type_id(tx, RUN_TYPE)
    contexts = []
    for lease in _still_ended(tx, leases):
        drop(tx, lease)
        run = runs.get(lease.run_id)
        if run is None or run.properties["state"].string_value != "RUNNING":
            continue
        context = pb.Context(id=lease.run_id, type_id=type_id)
        properties = context.properties
        properties["state"].string_value = "FAILED"
        properties["error"].string_value = f"{_silence(lease)}{RUN_WAS_CLOSED}"
        properties["end_ms"].int_value = max(
            run.properties["start_ms"].int_value, min(lease.expires_ms - lease.duration_ms, tx.now_ms)
        )
        contexts.append(context)
    return put_nodes(
        tx, CONTEXT, contexts, mask=("properties.state", "properties.error", "properties.end_ms")
    )


def _still_ended(tx: Transaction, leases: Sequence[Lease]) -> list[Lease]:
    """Those of the leases that nobody renewed or took meanwhile, nor can until this transaction ends."""
    found = leases_by_token(tx, [lease.token for lease in leases])
    return [lease for lease in found if not lease.is_live(tx.now_ms)]


def _silence(lease: Lease) -> str:
    return f"{lease.worker or 'the worker'} was not heard of for {lease.duration_ms / 1000:g} s"
