"""RenewLeases and EndExpiredLeases."""

from headwater.errors import InvalidRequest
from headwater.service.pipelines.begin import lease_message
from headwater.service.pipelines.ends import end_attempts, end_runs
from headwater.storage.leases import ended, leases_by_token, renew, runs_at_work
from headwater.storage.transactions import Transaction
from headwater.v1 import pipelines_pb2 as pp

_MOST_TOKENS = 10_000
_MOST_ENDED = 1_000


def renew_leases(tx: Transaction, request: pp.RenewLeasesRequest) -> pp.RenewLeasesResponse:
    """Let leases hold for longer. One that has expired is renewed as long as nobody else took it."""
    if len(request.tokens) > _MOST_TOKENS:
        raise InvalidRequest(
            f"{len(request.tokens)} tokens are more than the {_MOST_TOKENS} that one request can renew"
        )
    leases = renew(tx, leases_by_token(tx, request.tokens))
    held = {lease.token for lease in leases}
    return pp.RenewLeasesResponse(
        leases=[lease_message(lease) for lease in leases],
        lost_tokens=[token for token in dict.fromkeys(request.tokens) if token not in held],
    )


def end_expired_leases(tx: Transaction, _: pp.EndExpiredLeasesRequest) -> pp.EndExpiredLeasesResponse:
    """End what nobody renewed, up to 1,000 at a time, the longest ended first."""
    leases = ended(tx, _MOST_ENDED)
    of_attempts = [lease for lease in leases if lease.execution_id is not None]
    of_runs = [lease for lease in leases if lease.execution_id is None]
    execution_ids = end_attempts(tx, of_attempts)
    at_work = runs_at_work(tx, [lease.run_id for lease in of_runs])
    # Where another worker is still at a step of it, a run is not over.
    run_ids = end_runs(tx, [lease for lease in of_runs if lease.run_id not in at_work])
    return pp.EndExpiredLeasesResponse(execution_ids=execution_ids, run_ids=run_ids)
