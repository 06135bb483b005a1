"""Leases: they end unless they are renewed, and what was done under them is marked."""

import pytest
from pipelines.asking import Clock, Steps, end, end_as_hit, everything, step

from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import pipelines_pb2 as pp

SILENCE = "host:1 was not heard of for 60 s, so its lease ended"


def test_a_lease_that_is_renewed_holds_on(timed: Steps, clock: Clock) -> None:
    lease = timed.begin(step()).lease
    for _ in range(5):
        clock.now_ms += 59_999
        renewed = timed.renew(lease.token)

        assert renewed == pp.RenewLeasesResponse(
            leases=[pp.Lease(token=lease.token, duration_ms=60_000, expires_ms=clock.now_ms + 60_000)]
        )
        assert timed.end_expired() == pp.EndExpiredLeasesResponse()
        assert timed.begin(step()).decision == pp.WAIT


def test_a_lease_that_nobody_renewed_ends_and_its_attempt_is_failed(timed: Steps, clock: Clock) -> None:
    begun = timed.begin(step())
    began_ms = clock.now_ms
    clock.now_ms += 59_999
    assert timed.end_expired() == pp.EndExpiredLeasesResponse()
    clock.now_ms += 1

    assert timed.end_expired() == pp.EndExpiredLeasesResponse(execution_ids=[begun.execution_id])

    execution = timed.execution(begun.execution_id)
    assert execution.last_known_state == pb.Execution.FAILED
    assert execution.properties["error"].string_value == SILENCE
    # That was when it was last heard of.
    assert execution.properties["end_ms"].int_value == began_ms
    assert timed.end_expired() == pp.EndExpiredLeasesResponse()
    assert list(timed.renew(begun.lease.token).lost_tokens) == [begun.lease.token]


def test_who_finds_a_dead_lease_takes_over(timed: Steps, clock: Clock) -> None:
    dead = timed.begin(step())
    clock.now_ms += 60_000

    answer = timed.begin(step(run="tuesday", worker="host:2"))

    assert (answer.decision, answer.attempt) == (pp.RUN, 1)
    assert answer.miss.why == pp.Miss.NEVER_COMPLETED
    assert timed.state(dead.execution_id) == "FAILED"
    assert timed.execution(dead.execution_id).properties["error"].string_value == SILENCE
    assert list(timed.renew(dead.lease.token, answer.lease.token).lost_tokens) == [dead.lease.token]
    assert timed.begin(step()).holder.worker == "host:2"


def test_a_lease_that_is_over_may_be_renewed_until_somebody_takes_it(timed: Steps, clock: Clock) -> None:
    begun = timed.begin(step())
    clock.now_ms += 600_000

    assert [one.token for one in timed.renew(begun.lease.token).leases] == [begun.lease.token]
    assert timed.begin(step()).decision == pp.WAIT


def test_tokens_are_answered_each_once_and_unknown_ones_are_lost(timed: Steps) -> None:
    tokens = [timed.begin(step(lr=lr)).lease.token for lr in (1, 2)]

    answer = timed.renew(tokens[1], "nobody's", tokens[0], tokens[1], "nobody's")

    assert sorted(one.token for one in answer.leases) == sorted(tokens)
    assert list(answer.lost_tokens) == ["nobody's"]
    assert timed.renew() == pp.RenewLeasesResponse()


@pytest.mark.parametrize("policy", [{"components": {}}, {"mode": pp.CachePolicy.OFF}], ids=str)
def test_what_nobody_else_needs_has_a_lease_too(policy: dict, timed: Steps, clock: Clock) -> None:
    begun = timed.begin(step(**policy))
    clock.now_ms += 60_000

    assert list(timed.end_expired().execution_ids) == [begun.execution_id]
    assert timed.state(begun.execution_id) == "FAILED"


@pytest.mark.parametrize("lease_ms", [1, 1_000, 24 * 60 * 60 * 1000])
def test_a_lease_holds_for_as_long_as_was_asked(lease_ms: int, timed: Steps, clock: Clock) -> None:
    lease = timed.begin(step(lease_ms=lease_ms)).lease

    assert (lease.duration_ms, lease.expires_ms) == (lease_ms, clock.now_ms + lease_ms)


# A finish that comes late


def test_a_finish_after_the_lease_was_ended_is_recorded_and_says_so(timed: Steps, clock: Clock) -> None:
    request = step()
    begun = timed.begin(request)
    clock.now_ms += 60_000
    timed.end_expired()

    answer = timed.finish(end(request))

    assert answer.lease_was_lost
    assert not answer.HasField("taken_over_by")
    execution = timed.execution(begun.execution_id)
    assert execution.last_known_state == pb.Execution.COMPLETE
    assert "error" not in execution.properties
    assert execution.properties["end_ms"].int_value == clock.now_ms
    assert timed.begin(step()).decision == pp.HIT


def test_a_finish_after_somebody_took_over_says_who(timed: Steps, clock: Clock) -> None:
    first, second = step(), step(run="tuesday", worker="host:2")
    timed.begin(first)
    clock.now_ms += 60_000
    other = timed.begin(second)

    answer = timed.finish(end(first))

    assert answer.lease_was_lost
    assert answer.taken_over_by == pp.Holder(
        worker="host:2",
        execution_id=other.execution_id,
        run_id=other.run_id,
        since_ms=clock.now_ms,
        expires_ms=clock.now_ms + 60_000,
    )
    # Both are recorded, and the lease of the other is as it was.
    assert not timed.finish(end(second)).lease_was_lost
    assert [timed.state(one) for one in (answer.execution_id, other.execution_id)] == ["COMPLETE", "COMPLETE"]


def test_a_failure_that_comes_late_keeps_its_own_error(timed: Steps, clock: Clock) -> None:
    request = step()
    begun = timed.begin(request)
    clock.now_ms += 60_000
    timed.end_expired()

    timed.finish(end(request, state=pp.FAILED, error="no rows"))

    assert timed.execution(begun.execution_id).properties["error"].string_value == "no rows"


def test_a_finish_in_time_although_the_lease_was_over_is_none_that_lost_it(
    timed: Steps, clock: Clock
) -> None:
    request = step()
    timed.begin(request)
    clock.now_ms += 600_000

    assert not timed.finish(end(request)).lease_was_lost


def test_a_step_that_is_begun_again_after_its_lease_was_ended_is_told(timed: Steps, clock: Clock) -> None:
    request = step()
    begun = timed.begin(request)
    clock.now_ms += 60_000
    timed.end_expired()

    answer = timed.begin(request)

    assert (answer.execution_id, answer.state) == (begun.execution_id, pp.FAILED)
    assert not answer.HasField("lease")


# Runs


def test_a_run_that_nobody_keeps_open_is_closed(timed: Steps, clock: Clock) -> None:
    run = timed.start(worker="host:1")
    began_ms = clock.now_ms
    clock.now_ms += 60_000

    assert timed.end_expired() == pp.EndExpiredLeasesResponse(run_ids=[run.run_id])

    properties = timed.context(run.run_id).properties
    assert properties["state"].string_value == "FAILED"
    assert properties["error"].string_value == (
        "host:1 was not heard of for 60 s, so the run was closed; resume it to go on"
    )
    assert properties["end_ms"].int_value == began_ms
    assert list(timed.renew(run.lease.token).lost_tokens) == [run.lease.token]


def test_a_run_without_worker_stays_open(timed: Steps, clock: Clock) -> None:
    run = timed.start()
    clock.now_ms += 10**9

    assert timed.end_expired() == pp.EndExpiredLeasesResponse()
    assert timed.run_state(run.run_id) == "RUNNING"


def test_a_run_in_which_others_work_stays_open_until_they_are_done(timed: Steps, clock: Clock) -> None:
    run = timed.start(worker="host:1")
    clock.now_ms += 30_000
    begun = timed.begin(step(worker="host:2"))
    clock.now_ms += 30_000

    assert timed.end_expired() == pp.EndExpiredLeasesResponse()
    assert timed.run_state(run.run_id) == "RUNNING"
    clock.now_ms += 30_000
    assert timed.end_expired() == pp.EndExpiredLeasesResponse(
        execution_ids=[begun.execution_id], run_ids=[run.run_id]
    )


def test_a_run_that_was_closed_for_want_of_news_is_finished_by_who_is_alive_after_all(
    timed: Steps, clock: Clock
) -> None:
    for name, state in (("a", pp.COMPLETE), ("b", pp.FAILED)):
        run = timed.start(name, worker="host:1")
        clock.now_ms += 60_000
        timed.end_expired()

        timed.finish_run(name, state=state, error="own words" if state == pp.FAILED else "")

        properties = timed.context(run.run_id).properties
        assert properties["state"].string_value == pp.State.Name(state)
        assert properties["end_ms"].int_value == clock.now_ms
        assert properties["error"].string_value == ("own words" if state == pp.FAILED else "")


def test_a_run_that_was_finished_is_left_alone(timed: Steps, clock: Clock) -> None:
    timed.start(worker="host:1")
    timed.finish_run(state=pp.COMPLETE)
    before = everything(timed.call)
    clock.now_ms += 60_000

    assert timed.end_expired() == pp.EndExpiredLeasesResponse()
    assert everything(timed.call) == before


def test_only_the_worker_of_a_run_has_its_lease(timed: Steps, clock: Clock) -> None:
    first = timed.start(worker="host:1")
    clock.now_ms += 10_000

    other = timed.start(worker="host:2")
    again = timed.start(worker="host:1")

    assert not other.HasField("lease")
    assert again.lease == pp.Lease(
        token=first.lease.token, duration_ms=60_000, expires_ms=clock.now_ms + 60_000
    )
    clock.now_ms += 60_000
    taken = timed.start(worker="host:2")
    assert taken.lease.token not in ("", first.lease.token)
    assert list(timed.renew(first.lease.token).lost_tokens) == [first.lease.token]


# Clocks


@pytest.mark.parametrize("back_ms", [1, 1_000, 60_000])
def test_a_lease_holds_by_a_clock_that_is_a_little_behind(back_ms: int, timed: Steps, clock: Clock) -> None:
    timed.begin(step())
    clock.now_ms -= back_ms

    assert timed.begin(step()).decision == pp.WAIT
    assert timed.end_expired() == pp.EndExpiredLeasesResponse()


def test_a_clock_that_is_set_back_far_holds_nobody_up(timed: Steps, clock: Clock) -> None:
    request = step()
    begun = timed.begin(request)
    run = timed.start(worker="host:1")
    clock.now_ms -= 24 * 60 * 60 * 1000

    # Who is alive renews, and holds on by the new time.
    assert [one.expires_ms for one in timed.renew(begun.lease.token).leases] == [clock.now_ms + 60_000]
    assert timed.begin(step()).decision == pp.WAIT
    # Who is not, is not waited for.
    timed.renew(run.lease.token)
    clock.now_ms -= 24 * 60 * 60 * 1000
    other = timed.begin(step(run="tuesday"))
    assert other.decision == pp.RUN
    assert timed.end_expired() == pp.EndExpiredLeasesResponse(run_ids=[run.run_id])
    properties = timed.execution(begun.execution_id).properties
    assert properties["end_ms"].int_value == properties["start_ms"].int_value


def test_a_clock_that_is_set_back_keeps_what_was_done(timed: Steps, clock: Clock) -> None:
    request = step()
    begun = timed.begin(request)
    clock.now_ms -= 10**9

    answer = timed.finish(end(request))

    assert not answer.lease_was_lost
    properties = timed.execution(begun.execution_id).properties
    assert properties["end_ms"].int_value == properties["start_ms"].int_value
    hit = timed.begin(step(max_age_ms=1))
    assert (hit.decision, hit.execution_id) == (pp.HIT, begun.execution_id)
    cached = step(run="tuesday")
    assert timed.finish(end_as_hit(cached, hit)).execution_id > begun.execution_id


def test_a_clock_that_jumps_ahead_ends_what_is_not_renewed(timed: Steps, clock: Clock) -> None:
    begun = timed.begin(step())
    clock.now_ms += 365 * 24 * 60 * 60 * 1000

    assert timed.begin(step(run="tuesday")).decision == pp.RUN
    assert timed.state(begun.execution_id) == "FAILED"


def test_a_thousand_leases_that_ended_are_dealt_with_at_a_time(timed: Steps, clock: Clock) -> None:
    begun = [timed.begin(step(lr=number)).execution_id for number in range(1_010)]
    clock.now_ms += 60_000

    first, second, third = (list(timed.end_expired().execution_ids) for _ in range(3))

    assert (len(first), len(second), third) == (1_000, 10, [])
    assert sorted(first + second) == begun
