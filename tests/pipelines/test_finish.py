"""FinishStep: what becomes of an attempt, and of what it made."""

import math
import random

import pytest
from google.protobuf import wrappers_pb2
from pipelines.asking import Clock, Steps, end, end_as_hit, made, step, used

from headwater.errors import AlreadyExists, FailedPrecondition, InvalidRequest, NotFound
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc
from headwater.v1 import pipelines_pb2 as pp


def test_each_computation_makes_new_artifacts(steps: Steps) -> None:
    first, second = step(), step(mode=pp.CachePolicy.WRITE)
    ids = []
    for request in (first, second):
        steps.begin(request)
        ids += steps.finish(end(request)).artifact_ids

    assert len(set(ids)) == 2
    assert [steps.artifact(one).name for one in ids] == [
        "churn/monday/train/model",
        "churn/monday/train#2/model",
    ]


def test_the_answer_names_outputs_in_the_order_of_the_request_and_inputs_by_name(steps: Steps) -> None:
    request = step(inputs=[used("b"), used("a")])
    begun = steps.begin(request)

    answer = steps.finish(end(request, outputs=[made("z"), made("y")]))

    b, a = begun.input_artifact_ids
    assert answer == pp.FinishStepResponse(
        execution_id=begun.execution_id,
        artifact_ids=answer.artifact_ids,
        run_id=begun.run_id,
        input_artifact_ids=[a, b],
    )
    z, y = answer.artifact_ids
    assert steps.ends(begun.execution_id)["OUTPUT"] == [(("y",), y), (("z",), z)]


def test_an_output_that_is_read_later_is_joined_by_place_and_digest(steps: Steps) -> None:
    maker = step("prepare")
    steps.begin(maker)
    (artifact_id,) = steps.finish(end(maker, outputs=[made("frame", digest="sha256:f")])).artifact_ids

    same, altered = (
        steps.begin(step("train", lr=lr, inputs=[used("frame", uri="file:///out/frame", digest=digest)]))
        for lr, digest in ((1, "sha256:f"), (2, "sha256:other"))
    )

    assert list(same.input_artifact_ids) == [artifact_id]
    assert list(altered.input_artifact_ids) != [artifact_id]


def test_of_equal_outputs_at_one_place_the_newest_is_read(steps: Steps) -> None:
    for mode in (pp.CachePolicy.READ_AND_WRITE, pp.CachePolicy.WRITE):
        maker = step("prepare", mode=mode)
        steps.begin(maker)
        newest = steps.finish(end(maker, outputs=[made("frame")])).artifact_ids[0]

    reader = steps.begin(step(inputs=[used("frame", uri="file:///out/frame", digest="sha256:02")]))

    assert list(reader.input_artifact_ids) == [newest]


def test_a_failure_keeps_its_error_and_what_it_left(timed: Steps, clock: Clock) -> None:
    request = step()
    begun = timed.begin(request)
    clock.now_ms += 1_500

    timed.finish(end(request, state=pp.FAILED, error="ValueError: no rows", outputs=[made("log")]))

    failed = timed.execution(begun.execution_id)
    assert failed.last_known_state == pb.Execution.FAILED
    assert failed.properties["error"].string_value == "ValueError: no rows"
    assert failed.properties["end_ms"].int_value - failed.properties["start_ms"].int_value == 1_500
    assert [names for names, _ in timed.ends(begun.execution_id)["OUTPUT"]] == [("log",)]


# On PostgreSQL the index on texts holds about 2,700 bytes after compression, as that of ML Metadata.
def whole_error(execution: pb.Execution) -> str:
    whole = wrappers_pb2.StringValue()
    assert execution.properties["whole_error"].proto_value.Unpack(whole)
    return whole.value


def test_an_error_that_cannot_be_compressed_is_kept(steps: Steps) -> None:
    request = step()
    begun = steps.begin(request)
    error = "".join(random.Random(1).choices("0123456789abcdef ", k=64 * 1024))

    steps.finish(end(request, state=pp.FAILED, error=error))

    assert whole_error(steps.execution(begun.execution_id)) == error


@pytest.mark.parametrize("letter", ["x", "é", "\U0001f30a"])
def test_of_a_very_long_error_the_beginning_and_the_end_are_kept(letter: str, steps: Steps) -> None:
    request = step()
    begun = steps.begin(request)
    error = "first line\n" + letter * 200_000 + "\nlast line"

    steps.finish(end(request, state=pp.FAILED, error=error))

    execution = steps.execution(begun.execution_id)
    short, kept = execution.properties["error"].string_value, whole_error(execution)
    assert len(short.encode()) <= 2_000
    assert short.endswith("\nlast line")
    assert len(kept.encode()) <= 64 * 1024
    assert len(kept.encode()) > 64 * 1024 - 20
    assert kept.startswith("first line\n" + letter)
    assert kept.endswith(letter + "\nlast line")
    assert "\n[...]\n" in kept


def test_what_was_used_and_measured_is_kept(steps: Steps) -> None:
    request = step()
    begun = steps.begin(request)

    steps.finish(
        end(
            request,
            usage={"cpu_seconds": 1.5},
            metrics=[
                pp.Metric(name="auc", value=0.5),
                pp.Metric(name="auc", value=0.9),
                pp.Metric(name="loss", value=2, step=0),
                pp.Metric(name="loss", value=1, step=1),
                pp.Metric(name="worst", value=math.inf),
                pp.Metric(name="m" * 250, value=3),
            ],
            custom_properties={"note": pb.Value(string_value="good")},
        )
    )

    execution = steps.execution(begun.execution_id)
    assert dict(execution.properties["usage"].struct_value) == {"cpu_seconds": 1.5}
    assert execution.custom_properties["metric.auc"].double_value == 0.9
    assert set(execution.custom_properties) == {"metric.auc", "note", "parameter.lr"}
    found = steps.call("GetMetrics", pp.GetMetricsRequest(execution_ids=[begun.execution_id]))
    assert {one.name: [point.value for point in one.points] for one in found.series} == {
        "auc": [0.9],
        "loss": [2, 1],
        "m" * 250: [3],
        "worst": [math.inf],
    }


def test_times_of_the_caller_are_kept_and_a_step_never_ends_before_it_begins(steps: Steps) -> None:
    request = step(start_ms=2_000)
    begun = steps.begin(request)

    steps.finish(end(request, end_ms=1_000))

    properties = steps.execution(begun.execution_id).properties
    assert (properties["start_ms"].int_value, properties["end_ms"].int_value) == (2_000, 2_000)


# Without begin, and begun by the finish


def test_a_finish_of_what_was_never_begun_is_refused(steps: Steps) -> None:
    with pytest.raises(NotFound) as refused:
        steps.finish(end("nobody"))

    assert str(refused.value) == (
        "no step was begun with the key 'nobody'; call BeginStep first, "
        "or record it afterwards with FinishStep's begin"
    )
    assert steps.executions() == []


def test_a_step_that_is_recorded_afterwards_is_as_one_that_was_begun(steps: Steps) -> None:
    before, after = (step(run=run, start_ms=1_000, inputs=[used("b"), used("a")]) for run in ("m", "t"))
    finish = {"usage": {"s": 1.0}, "metrics": [pp.Metric(name="auc", value=0.9)], "end_ms": 3_000}
    one_id = steps.begin(before).execution_id
    one = steps.finish(end(before, **finish))
    other = steps.finish(end(after, begin=after, **finish))

    assert list(one.input_artifact_ids) == list(other.input_artifact_ids)
    one_execution, other_execution = (steps.execution(each) for each in (one_id, other.execution_id))
    assert other_execution.properties["why"].string_value == "recorded afterwards"
    for execution in (one_execution, other_execution):
        del execution.properties["why"]
        for field in ("id", "name", "external_id", "create_time_since_epoch", "last_update_time_since_epoch"):
            execution.ClearField(field)
    assert one_execution == other_execution
    inputs = steps.ends(one_id)["INPUT"]
    assert steps.ends(other.execution_id) == {
        "INPUT": inputs,
        "OUTPUT": [(("model",), other.artifact_ids[0])],
    }


def test_what_is_recorded_afterwards_can_be_hit_and_holds_no_lease(steps: Steps) -> None:
    request = step()
    recorded = steps.finish(end(request, begin=request))
    assert not recorded.lease_was_lost

    answer = steps.begin(step())

    assert (answer.decision, answer.execution_id) == (pp.HIT, recorded.execution_id)


def test_a_failure_that_is_recorded_afterwards_is_not_hit(steps: Steps) -> None:
    request = step()
    recorded = steps.finish(end(request, begin=request, state=pp.FAILED, error="broken"))

    assert steps.execution(recorded.execution_id).properties["error"].string_value == "broken"
    assert steps.begin(step()).decision == pp.RUN


def test_a_finish_that_brings_its_begin_gives_back_the_lease_of_one_that_was_begun(steps: Steps) -> None:
    request = step()
    begun = steps.begin(request)

    answer = steps.finish(end(request, begin=request, state=pp.FAILED))

    assert (answer.execution_id, answer.lease_was_lost) == (begun.execution_id, False)
    assert steps.begin(step()).decision == pp.RUN
    assert list(steps.renew(begun.lease.token).lost_tokens) == [begun.lease.token]


def test_a_finish_that_brings_another_begin_is_refused(steps: Steps) -> None:
    request = step()
    steps.begin(request)
    other = step("evaluate", key=request.key)

    with pytest.raises(InvalidRequest) as refused:
        steps.finish(end(request, begin=other))

    assert str(refused.value) == (
        f"the key {request.key!r} is that of another attempt, at step 'train'; "
        "take a new one for each attempt"
    )


# Hits that are taken


def test_a_hit_that_is_taken_has_the_events_of_the_original_and_the_facts_of_its_own(steps: Steps) -> None:
    original = step(inputs=[used("a"), used("b", uri="file:///data/a")])
    first = steps.begin(original)
    made_ids = steps.finish(end(original, outputs=[made("y"), made("x")])).artifact_ids
    request = step(run="tuesday", inputs=original.inputs, tags={"team": "red"}, worker="host:2")

    answer = steps.finish(end_as_hit(request, steps.begin(request)))

    assert answer == pp.FinishStepResponse(
        execution_id=answer.execution_id,
        artifact_ids=reversed(made_ids),
        run_id=answer.run_id,
        input_artifact_ids=first.input_artifact_ids,
    )
    cached = steps.execution(answer.execution_id)
    assert cached.name == "churn/tuesday/train"
    assert cached.last_known_state == pb.Execution.CACHED
    assert cached.custom_properties["tag.team"].string_value == "red"
    assert cached.properties["worker"].string_value == "host:2"
    assert cached.properties["cached_execution_id"].int_value == first.execution_id
    assert cached.properties["why"].string_value == f"reuses execution {first.execution_id}"
    assert steps.ends(cached.id) == steps.ends(first.execution_id)


def test_a_hit_that_was_invalidated_before_it_was_taken_may_still_be_taken(steps: Steps) -> None:
    steps.computed()
    request = step(run="tuesday")
    hit = steps.begin(request)
    steps.begin(step(refused=[pp.RefusedHit(execution_id=hit.execution_id, reason="gone")]))

    taken = steps.finish(end_as_hit(request, hit))

    assert steps.state(taken.execution_id) == "CACHED"


@pytest.mark.parametrize(
    ("original", "why"),
    [
        ({"state": pp.FAILED}, "it is FAILED"),
        ({"state": pp.CANCELED}, "it is CANCELED"),
        ({"state": pp.RUNNING}, "it is RUNNING"),
        ({"state": pp.CACHED}, "it is CACHED"),
        ({"lr": 0.7}, "its fingerprint differs"),
        ({"mode": pp.CachePolicy.OFF}, "it left nothing that can be reused"),
        ({"outputs": [made(digest="")]}, "it left nothing that can be reused"),
    ],
    ids=str,
)
def test_what_cannot_be_reused_cannot_be_recorded_as_reused(
    original: dict[str, object], why: str, steps: Steps
) -> None:
    given = dict(original)
    state, outputs = given.pop("state", pp.COMPLETE), given.pop("outputs", None)
    if state == pp.CACHED:
        steps.computed()
    first = step(**given)
    begun = steps.begin(first)
    execution_id = begun.execution_id
    if state == pp.CACHED:
        execution_id = steps.finish(end_as_hit(first, begun)).execution_id
    elif state != pp.RUNNING:
        steps.finish(end(first, state=state, outputs=outputs))
    request = step(run="tuesday")

    with pytest.raises(FailedPrecondition) as refused:
        steps.finish(end_as_hit(request, pp.BeginStepResponse(execution_id=execution_id)))

    assert str(refused.value) == (
        f"execution {execution_id} is not one that step 'train' can reuse: {why}; ask BeginStep again"
    )


def test_what_is_not_there_cannot_be_reused(steps: Steps) -> None:
    request = step()

    with pytest.raises(NotFound) as refused:
        steps.finish(end_as_hit(request, pp.BeginStepResponse(execution_id=77)))

    assert str(refused.value) == "there is no attempt at a step with execution id 77"


def test_an_attempt_that_runs_cannot_end_as_a_hit(steps: Steps) -> None:
    steps.computed(lr=0.1)
    request = step(mode=pp.CachePolicy.OFF)
    steps.begin(request)

    with pytest.raises(InvalidRequest) as refused:
        steps.finish(end_as_hit(request, pp.BeginStepResponse(execution_id=1)))

    assert str(refused.value) == (
        f"step 'train' with the key {request.key!r} was begun as one that runs, so it cannot end as CACHED"
    )


# Unfit


@pytest.mark.parametrize("is_begun", [True, False], ids=["begun before", "recorded afterwards"])
def test_an_attempt_that_ends_unfit_is_not_hit_and_the_next_is_told_why(is_begun: bool, steps: Steps) -> None:
    request = step()
    if is_begun:
        steps.begin(request)
    finish = end(request, begin=request, unfit="its inputs were replaced")
    first = steps.finish(finish)
    assert steps.finish(finish) == first

    answer = steps.begin(step(run="tuesday"))

    assert answer.decision == pp.RUN
    assert answer.miss == pp.Miss(
        why=pp.Miss.INVALIDATED,
        text="done before, but its inputs were replaced",
        nearest_execution_id=first.execution_id,
    )
    with pytest.raises(FailedPrecondition, match="was finished before"):
        steps.finish(end(request))


def test_of_a_failure_it_is_not_said_that_it_was_done_but_is_unfit(steps: Steps) -> None:
    request = step()
    steps.begin(request)
    steps.finish(end(request, state=pp.FAILED, unfit="its inputs were replaced"))

    assert steps.begin(step()).miss.why == pp.Miss.NEVER_COMPLETED


def test_an_attempt_that_is_amended_to_be_unfit_is_hit_no_more(steps: Steps) -> None:
    request = step()
    steps.begin(request)
    steps.finish(end(request))

    steps.finish(end(request, unfit="its inputs were replaced", amends=True))

    answer = steps.begin(step(run="tuesday"))
    assert (answer.decision, answer.miss.text) == (pp.RUN, "done before, but its inputs were replaced")


# Amends


def test_the_state_of_an_attempt_is_corrected_by_hand(steps: Steps) -> None:
    execution_id = steps.computed()
    key = steps.execution(execution_id).external_id

    answer = steps.finish(end(key, state=pp.FAILED, error="the numbers are wrong", amends=True))

    assert answer.execution_id == execution_id
    execution = steps.execution(execution_id)
    assert execution.last_known_state == pb.Execution.FAILED
    assert execution.properties["error"].string_value == "the numbers are wrong"
    assert steps.begin(step()).decision == pp.RUN


def test_an_attempt_that_is_amended_to_complete_loses_its_error_and_is_no_hit(steps: Steps) -> None:
    request = step()
    begun = steps.begin(request)
    steps.finish(end(request, state=pp.FAILED, error="wrong"))

    steps.finish(end(request, outputs=[], amends=True))

    execution = steps.execution(begun.execution_id)
    assert execution.last_known_state == pb.Execution.COMPLETE
    assert "error" not in execution.properties
    assert steps.begin(step()).decision == pp.RUN


def test_what_ran_is_not_amended_to_a_hit_nor_a_hit_to_what_ran(steps: Steps) -> None:
    ran = steps.computed()
    key = steps.execution(ran).external_id
    request = step()
    hit = steps.begin(request)
    steps.finish(end_as_hit(request, hit))

    with pytest.raises(InvalidRequest, match="what ran cannot become CACHED, nor a hit anything else"):
        steps.finish(end(key, state=pp.CACHED, cached_execution_id=ran, amends=True))
    with pytest.raises(InvalidRequest, match="what ran cannot become CACHED, nor a hit anything else"):
        steps.finish(end(request, state=pp.FAILED, amends=True))


def test_a_type_of_the_user_that_declares_our_property_otherwise_is_named(steps: Steps) -> None:
    mine = pb.ArtifactType(name="Scan", properties={"digest": pb.INT})
    steps.call("PutArtifactType", rpc.PutArtifactTypeRequest(artifact_type=mine))
    request = step()
    steps.begin(request)

    with pytest.raises(
        AlreadyExists, match="type 'Scan' is stored with property 'digest' as INT, not STRING"
    ):
        steps.finish(end(request, outputs=[made(type="Scan")]))


def test_a_type_of_the_user_gains_our_properties(steps: Steps) -> None:
    mine = pb.ArtifactType(name="Scan", properties={"rows": pb.INT})
    type_id = steps.call("PutArtifactType", rpc.PutArtifactTypeRequest(artifact_type=mine)).type_id
    request = step()
    steps.begin(request)

    (artifact_id,) = steps.finish(end(request, outputs=[made(type="Scan")])).artifact_ids

    artifact = steps.artifact(artifact_id)
    assert artifact.type_id == type_id
    assert artifact.properties["digest"].string_value == "sha256:02"


def test_artifacts_of_a_hit_come_in_the_order_of_their_names(steps: Steps) -> None:
    outputs = [
        pp.StepOutput(name=name, uri=f"file:///{name}", digest="sha256:a") for name in ("train", "test")
    ]
    original = steps.computed(outputs=outputs)
    request = step(run="tuesday")
    offered = steps.begin(request)

    taken = steps.finish(
        pp.FinishStepRequest(key=request.key, state=pp.CACHED, begin=request, cached_execution_id=original)
    )

    assert [one.name for one in offered.outputs] == ["test", "train"]
    assert list(taken.artifact_ids) == [one.artifact_id for one in offered.outputs]
