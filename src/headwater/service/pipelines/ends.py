"""Ending what nobody works at any more: attempts and runs whose leases were not renewed."""

from collections.abc import Sequence

from headwater.storage.attempts import attempts_by_id, finish_attempt
from headwater.storage.kinds import CONTEXT, EXECUTION
from headwater.storage.leases import Lease, drop
from headwater.storage.model import RUN_TYPE, context_type_id, step_type_id
from headwater.storage.transactions import Transaction
from headwater.storage.writing import put_nodes
from headwater.v1 import metadata_store_pb2 as pb

_OPEN = (pb.Execution.NEW, pb.Execution.RUNNING)


def end_attempts(tx: Transaction, leases: Sequence[Lease]) -> list[int]:
    """Mark the attempts FAILED that were made under leases which have expired, and drop these; their ids."""
    held = {lease.execution_id: lease for lease in leases if lease.execution_id is not None}
    attempts = attempts_by_id(tx, list(held)) if held else {}
    type_id = step_type_id(tx) if held else 0
    executions = []
    for execution_id, lease in held.items():
        drop(tx, lease)
        attempt = attempts.get(execution_id)
        if attempt is None or attempt.end_ms is not None or attempt.state not in _OPEN:
            continue
        execution = pb.Execution(id=execution_id, type_id=type_id, last_known_state=pb.Execution.FAILED)
        execution.properties["error"].string_value = f"{_silence(lease)}, so its lease ended"
        # It is not known when it died: the last that was heard of it is.
        end_ms = max(attempt.start_ms, min(lease.expires_ms - lease.duration_ms, tx.now_ms))
        execution.properties["end_ms"].int_value = end_ms
        executions.append(execution)
        finish_attempt(tx, execution_id, entry=None, end_ms=end_ms, digest=None)
    return put_nodes(
        tx,
        EXECUTION,
        executions,
        mask=("last_known_state", "properties.error", "properties.end_ms"),
    )


def end_runs(tx: Transaction, leases: Sequence[Lease]) -> list[int]:
    """Mark the runs FAILED that were kept open by leases which have expired, and drop these; their ids."""
    type_id = context_type_id(tx, RUN_TYPE) if leases else 0
    contexts = []
    for lease in leases:
        drop(tx, lease)
        context = pb.Context(id=lease.run_id, type_id=type_id)
        context.properties["state"].string_value = "FAILED"
        context.properties[
            "error"
        ].string_value = f"{_silence(lease)}, so the run was closed; resume it to go on"
        context.properties["end_ms"].int_value = min(lease.expires_ms - lease.duration_ms, tx.now_ms)
        contexts.append(context)
    return put_nodes(
        tx, CONTEXT, contexts, mask=("properties.state", "properties.error", "properties.end_ms")
    )


def _silence(lease: Lease) -> str:
    return f"{lease.worker or 'the worker'} was not heard of for {lease.duration_ms / 1000:g} s"
