"""Many at once, over two servers: a step is computed once, and what was acknowledged stays."""

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable

import grpc
import pytest
from faults.injection import FAULTS, Plan, faulty_database
from faults.serving import Serve, at_once
from pipelines.asking import Steps, end, end_as_hit, everything, made, step, used

from headwater.embedded import EmbeddedTransport
from headwater.errors import FailedPrecondition
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc
from headwater.v1 import pipelines_pb2 as pp

RACERS = 8
ROUNDS = 8
PATIENCE_S = 60


@pytest.fixture
def pair(serve: Serve, file_url: str) -> tuple[Steps, Steps]:
    """Two servers over one store. Types are declared, so that races are about what they are about."""
    here = Steps(serve(file_url).client())
    here.start("warm")
    here.computed("warm", run="warm", inputs=[used("warm")])
    return here, Steps(serve(file_url).client())


def code_of(error: grpc.RpcError) -> str:
    return error.code().name


def test_of_many_who_need_a_step_one_computes_it_and_the_others_reuse_it(pair: tuple[Steps, Steps]) -> None:
    """Each asks until it has what it needs, and who has to run is done at once, as the worst case."""

    def need(number: int, round_: int) -> str:
        steps = pair[number % 2]
        request = step(f"step {round_}", run=f"run {number % 3}")
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            answer = steps.begin(request)
            if answer.decision == pp.RUN:
                steps.finish(end(request))
                return "RUN"
            if answer.decision == pp.HIT:
                steps.finish(end_as_hit(request, answer))
                return "HIT"
        return "waits for ever"

    for round_ in range(ROUNDS):
        assert Counter(at_once(RACERS, need, round_)) == {"RUN": 1, "HIT": RACERS - 1}

    states = Counter(one.last_known_state for one in pair[0].executions())
    assert states == {pb.Execution.COMPLETE: ROUNDS + 1, pb.Execution.CACHED: ROUNDS * (RACERS - 1)}


def test_of_many_who_begin_a_step_one_runs_and_the_others_wait_for_it(pair: tuple[Steps, Steps]) -> None:
    def begin(number: int, round_: int) -> pp.BeginStepResponse:
        return pair[number % 2].begin(step(f"step {round_}", run=f"run {round_} {number % 2}"))

    for round_ in range(ROUNDS):
        answers = at_once(2 * RACERS, begin, round_)

        assert Counter(one.decision for one in answers) == {pp.RUN: 1, pp.WAIT: 2 * RACERS - 1}
        (running,) = (one for one in answers if one.decision == pp.RUN)
        assert {one.execution_id for one in answers} == {running.execution_id}


def test_of_many_who_find_a_dead_lease_one_takes_over(pair: tuple[Steps, Steps]) -> None:
    def begin(number: int, round_: int) -> pp.BeginStepResponse:
        return pair[number % 2].begin(step(f"step {round_}", run=f"run {number}"))

    for round_ in range(ROUNDS):
        dead = pair[0].begin(step(f"step {round_}", run="dead", lease_ms=1))
        time.sleep(0.002)

        answers = at_once(RACERS, begin, round_)

        assert Counter(one.decision for one in answers) == {pp.RUN: 1, pp.WAIT: RACERS - 1}
        assert pair[1].state(dead.execution_id) == "FAILED"


def test_the_same_request_many_times_at_once_is_one(pair: tuple[Steps, Steps]) -> None:
    for round_ in range(ROUNDS):
        request = step(f"step {round_}", run=f"run {round_}", inputs=[used(f"table {round_}")])

        begun = at_once(RACERS, lambda number, request=request: pair[number % 2].begin(request))

        assert len({one.execution_id for one in begun}) == 1
        assert {one.decision for one in begun} == {pp.RUN}
        assert len({one.lease.token for one in begun}) == 1
        finish = end(request, metrics=[pp.Metric(name="auc", value=1)])

        finished = at_once(RACERS, lambda number, finish=finish: pair[number % 2].finish(finish))

        assert all(one == finished[0] for one in finished)
        assert not finished[0].lease_was_lost
    assert len(pair[0].executions()) == ROUNDS + 1


def test_the_same_step_begun_and_recorded_afterwards_at_once_is_one(pair: tuple[Steps, Steps]) -> None:
    for round_ in range(ROUNDS):
        request = step(f"step {round_}", run=f"run {round_}", inputs=[used(f"table {round_}")])

        def send(number: int, request: pp.BeginStepRequest = request) -> int:
            steps = pair[number % 2]
            if number % 4 < 2:
                return steps.begin(request).execution_id
            return steps.finish(end(request, begin=request)).execution_id

        assert len(set(at_once(RACERS, send))) == 1
    executions = pair[0].executions()
    assert len(executions) == ROUNDS + 1
    assert {one.last_known_state for one in executions} == {pb.Execution.COMPLETE}


def test_of_two_ends_that_differ_one_is_refused(pair: tuple[Steps, Steps]) -> None:
    states = [pp.COMPLETE, pp.FAILED, pp.CANCELED]
    for round_, outputs in itertools.product(range(ROUNDS // 2), ([], [made()])):
        request = step(f"step {round_}", run=f"run {round_} {len(outputs)}", mode=pp.CachePolicy.OFF)
        execution_id = pair[0].begin(request).execution_id

        def finish(
            number: int,
            request: pp.BeginStepRequest = request,
            outputs: list[pp.StepOutput] = outputs,
        ) -> str:
            try:
                pair[number % 2].finish(end(request, state=states[number], outputs=outputs))
            except grpc.RpcError as error:
                return code_of(error)
            return "OK"

        codes = at_once(len(states), finish)

        assert sorted(codes) == ["FAILED_PRECONDITION", "FAILED_PRECONDITION", "OK"]
        assert pair[0].state(execution_id) == pp.State.Name(states[codes.index("OK")])
        assert len(pair[0].ends(execution_id).get("OUTPUT", ())) == len(outputs)


def test_an_end_that_was_acknowledged_stays_whoever_ends_its_lease(pair: tuple[Steps, Steps]) -> None:
    for round_ in range(2 * ROUNDS):
        request = step(f"step {round_}", lease_ms=1)
        begun = pair[0].begin(request)
        time.sleep(0.002)

        def work(number: int, request: pp.BeginStepRequest = request) -> object:
            steps = pair[number % 2]
            if number == 0:
                return steps.finish(end(request))
            if number < 4:
                return steps.end_expired()
            return steps.begin(step(request.step, run=f"run {number}"))

        at_once(RACERS, work)

        execution = pair[0].execution(begun.execution_id)
        assert execution.last_known_state == pb.Execution.COMPLETE
        assert "error" not in execution.properties
        assert pair[0].begin(step(request.step)).decision == pp.HIT


def test_a_lease_that_was_renewed_is_nobody_elses(pair: tuple[Steps, Steps]) -> None:
    for round_ in range(2 * ROUNDS):
        # It is over, but its holder is not.
        begun = pair[0].begin(step(f"step {round_}", lease_ms=20))
        time.sleep(0.022)

        def work(number: int, round_: int = round_, token: str = begun.lease.token) -> object:
            steps = pair[number % 2]
            if number == 0:
                return list(steps.renew(token).lost_tokens)
            if number < 4:
                return list(steps.end_expired().execution_ids)
            return steps.begin(step(f"step {round_}", run=f"run {number}")).decision

        lost, *others = at_once(RACERS, work)

        ended = [one for one in others[:3] if begun.execution_id in one]
        decisions = others[3:]
        if lost:
            assert decisions.count(pp.RUN) == 1 or ended
        state = pair[0].state(begun.execution_id)
        # Where nobody ended it, it was renewed; whoever came later may have ended it when it was over again.
        if state == "RUNNING":
            assert not lost
            assert not ended
            assert pp.RUN not in decisions
        else:
            assert len(ended) + decisions.count(pp.RUN) >= 1


def test_raw_data_that_many_read_first_at_the_same_moment_is_one_artifact(pair: tuple[Steps, Steps]) -> None:
    def read(number: int, round_: int) -> tuple[int, ...]:
        inputs = [used(f"table {round_} {index}") for index in range(4)]
        if number % 2:
            inputs.reverse()
        answer = pair[number % 2].begin(
            step(f"step {number}", run=f"run {round_}", mode=pp.CachePolicy.OFF, inputs=inputs)
        )
        return tuple(sorted(answer.input_artifact_ids))

    for round_ in range(ROUNDS):
        assert len(set(at_once(RACERS, read, round_))) == 1


def test_a_run_that_many_begin_at_the_same_moment_is_one(pair: tuple[Steps, Steps]) -> None:
    def open_(number: int, round_: int) -> int:
        steps = pair[number % 2]
        names = {"pipeline": f"pipeline {round_}", "run": "monday"}
        if number % 4 < 2:
            return steps.call("StartRun", pp.StartRunRequest(**names, worker="host:1")).run_id
        return steps.begin(step(f"step {number}", mode=pp.CachePolicy.OFF, **names)).run_id

    for round_ in range(ROUNDS):
        assert len(set(at_once(RACERS, open_, round_))) == 1
    names = [one.name for one in pair[0].call("GetContexts", rpc.GetContextsRequest()).contexts]
    assert Counter(names) == Counter(
        ["churn", "churn/warm"]
        + [f"pipeline {round_}" for round_ in range(ROUNDS)]
        + [f"pipeline {round_}/monday" for round_ in range(ROUNDS)]
    )


def test_attempts_that_begin_at_the_same_moment_are_numbered_in_turn(pair: tuple[Steps, Steps]) -> None:
    def begin(number: int, round_: int) -> int:
        return pair[number % 2].begin(step(run=f"run {round_}", mode=pp.CachePolicy.OFF)).attempt

    for round_ in range(ROUNDS // 2):
        assert sorted(at_once(RACERS, begin, round_)) == list(range(1, RACERS + 1))


def test_types_that_many_declare_first_at_the_same_moment_are_one(serve: Serve, file_url: str) -> None:
    pair = [Steps(serve(file_url).client()) for _ in range(2)]

    def work(number: int) -> int:
        request = step(f"step {number}", lr=number)
        pair[number % 2].begin(request)
        outputs = [made(f"output {number}", type=f"Type {index}") for index in (number % 3,)]
        return pair[number % 2].finish(end(request, outputs=outputs)).execution_id

    assert len(set(at_once(RACERS, work))) == RACERS
    types = [
        one.name
        for kind in ("Artifact", "Execution", "Context")
        for one in everything_of(pair[0], kind)
        if not one.name.startswith("mlmd.")
    ]
    assert Counter(types) == Counter(
        ["Dataset", "Type 0", "Type 1", "Type 2", "headwater.Step", "headwater.Pipeline", "headwater.Run"]
    )


def everything_of(steps: Steps, kind: str) -> list[pb.ArtifactType | pb.ExecutionType | pb.ContextType]:
    answer = steps.call(f"Get{kind}Types", getattr(rpc, f"Get{kind}TypesRequest")())
    ((_, types),) = answer.ListFields()
    return list(types)


def test_leases_that_ended_are_ended_once_by_many(pair: tuple[Steps, Steps]) -> None:
    ids = [pair[0].begin(step(lr=number, lease_ms=1)).execution_id for number in range(30)]
    run_ids = [pair[0].start(f"run {number}", worker="host:1", lease_ms=1).run_id for number in range(10)]
    time.sleep(0.01)

    answers = at_once(RACERS, lambda number: pair[number % 2].end_expired())

    assert sorted(one for answer in answers for one in answer.execution_ids) == ids
    assert sorted({one for answer in answers for one in answer.run_ids}) == run_ids
    assert sum(len(answer.run_ids) for answer in answers) == len(run_ids)
    before = everything(pair[1].call)
    pair[0].end_expired()
    assert everything(pair[1].call) == before


# At most so many statements has an attempt of any request here.
MOST_STATEMENTS = 80


@pytest.mark.backends("postgresql", "mysql")
@pytest.mark.parametrize("is_careful", [False, True], ids=["at once", "step by step"])
@pytest.mark.parametrize("is_dead", [False, True], ids=["free", "with a dead lease"])
def test_a_step_that_another_begins_and_ends_between_two_statements_of_a_request(
    is_careful: bool, is_dead: bool, backend: str, store_url: str, steps: Steps
) -> None:
    steps.computed("warm")
    with faulty_database(backend, store_url) as faulty:
        ours = Steps(EmbeddedTransport(faulty).call)
        ours.begin(step("warm"))
        for moment in range(is_careful, MOST_STATEMENTS):
            name = f"moment {moment}"
            dead = steps.begin(step(name, run="dead", lease_ms=1)) if is_dead else None
            time.sleep(0.002)
            done = threading.Event()
            decisions: list[int] = []

            def somebody_else(
                name: str = name, done: threading.Event = done, decisions: list[int] = decisions
            ) -> None:
                def work() -> None:
                    request = step(name, run="tuesday")
                    decisions.append(steps.begin(request).decision)
                    if decisions == [pp.RUN]:
                        steps.finish(end(request))
                    done.set()

                threading.Thread(target=work).start()
                done.wait(0.3)  # Unless it waits for us, it is first.

            first = {0: FAULTS[backend][0]} if is_careful else {}
            faulty.plan = plan = Plan({**first, moment: somebody_else})
            request = step(name)
            decisions.append(ours.begin(request).decision)
            if plan.faults:
                return  # There is no such moment.
            assert done.wait(30)
            assert sorted(decisions) in ([pp.HIT, pp.RUN], [pp.RUN, pp.WAIT]), moment
            if dead is not None:
                assert steps.state(dead.execution_id) == "FAILED"
    raise AssertionError("a request of so many statements?")


Action = Callable[[Steps, pp.BeginStepRequest, pp.BeginStepResponse], bool]
"""What is said of an attempt, and whether it was accepted."""


def complete(steps: Steps, request: pp.BeginStepRequest, begun: pp.BeginStepResponse) -> bool:
    try:
        return bool(steps.finish(end(request, outputs=[])).execution_id)
    except (grpc.RpcError, FailedPrecondition):
        return False


def fail(steps: Steps, request: pp.BeginStepRequest, begun: pp.BeginStepResponse) -> bool:
    try:
        return bool(steps.finish(end(request, state=pp.FAILED)).execution_id)
    except (grpc.RpcError, FailedPrecondition):
        return False


def end_expired(steps: Steps, request: pp.BeginStepRequest, begun: pp.BeginStepResponse) -> bool:
    return begun.execution_id in steps.end_expired().execution_ids


def renew(steps: Steps, request: pp.BeginStepRequest, begun: pp.BeginStepResponse) -> bool:
    return bool(steps.renew(begun.lease.token).leases)


@pytest.mark.backends("postgresql", "mysql")
@pytest.mark.parametrize("is_careful", [False, True], ids=["at once", "step by step"])
@pytest.mark.parametrize(
    "actions",
    [
        (complete, end_expired),
        (end_expired, complete),
        (complete, fail),
        (fail, complete),
        (end_expired, renew),
        (renew, end_expired),
    ],
    ids=lambda actions: " and ".join(action.__name__ for action in actions),
)
def test_what_is_said_of_an_attempt_between_two_statements_of_something_else_that_is(
    is_careful: bool, actions: tuple[Action, Action], backend: str, store_url: str, steps: Steps
) -> None:
    mine, theirs = actions
    with faulty_database(backend, store_url) as faulty:
        ours = Steps(EmbeddedTransport(faulty).call)
        ours.computed("warm")
        for moment in range(is_careful, MOST_STATEMENTS):
            request = step(f"moment {moment}", lease_ms=200)
            begun = steps.begin(request)
            while time.time() * 1000 <= begun.lease.expires_ms:
                time.sleep(0.01)
            done = threading.Event()
            said: dict[str, bool] = {}

            def somebody_else(
                request: pp.BeginStepRequest = request,
                begun: pp.BeginStepResponse = begun,
                said: dict[str, bool] = said,
                done: threading.Event = done,
            ) -> None:
                def work() -> None:
                    said[theirs.__name__] = theirs(steps, request, begun)
                    done.set()

                threading.Thread(target=work).start()
                done.wait(0.1)  # Unless it waits for us, it is first.

            first = {0: FAULTS[backend][0]} if is_careful else {}
            faulty.plan = plan = Plan({**first, moment: somebody_else})
            said[mine.__name__] = mine(ours, request, begun)
            if plan.faults:
                return  # There is no such moment.
            assert done.wait(30)
            state = steps.state(steps.begin(request).execution_id)
            if "renew" in said:
                assert (state, said["end_expired"]) == (
                    ("RUNNING", False) if said["renew"] else ("FAILED", True)
                ), moment
            elif "fail" in said:
                assert sorted(said.values()) == [False, True], moment
                assert state == ("COMPLETE" if said["complete"] else "FAILED"), moment
            else:
                assert (state, said["complete"]) == ("COMPLETE", True), moment
    raise AssertionError("a request of so many statements?")
