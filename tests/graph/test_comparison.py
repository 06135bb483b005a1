"""Comparison: where the pasts of two nodes differ, step by step."""

import itertools
from collections.abc import Mapping

import pytest
from graph.graphs import put_edges, put_nodes
from support import Call

from headwater.errors import InvalidRequest, NotFound
from headwater.v1 import lineage_pb2 as rpc
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as store_rpc
from headwater.v1 import pipelines_pb2 as pipelines

StepDifference = rpc.CompareLineagesResponse.StepDifference
ComponentDifference = pipelines.ComponentDifference


class Recorded:
    """A pipeline of prepare, train and evaluate, each of which makes one artifact, told through its RPCs."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._keys = itertools.count(1)

    def step(
        self,
        run: str,
        step: str,
        inputs: Mapping[str, int | str],
        *,
        code: str = "v1",
        parameters: Mapping[str, str] | None = None,
        content: str = "",
    ) -> tuple[int, int]:
        """Execution and artifact id of a step that ran, or was hit. ``content`` tells outputs apart."""
        key = f"key-{next(self._keys)}"
        begin = pipelines.BeginStepRequest(
            pipeline="churn",
            run=run,
            step=step,
            key=key,
            worker="here",
            components={
                "code": code,
                **{f"parameter:{name}": value for name, value in (parameters or {}).items()},
            },
            inputs=[
                pipelines.StepInput(name=name, artifact_id=given, digest=f"sha256:{given:064x}")
                if isinstance(given, int)
                else pipelines.StepInput(name=name, uri=f"file:///{name}", digest=given)
                for name, given in inputs.items()
            ],
        )
        answer = self._call("BeginStep", begin)
        if answer.decision == pipelines.HIT:
            finish = pipelines.FinishStepRequest(
                key=key, state=pipelines.CACHED, begin=begin, cached_execution_id=answer.execution_id
            )
        else:
            output = pipelines.StepOutput(
                name="out", type="Dataset", uri=f"file:///{run}/{step}", digest=f"sha256:{key}{content}"
            )
            finish = pipelines.FinishStepRequest(key=key, state=pipelines.COMPLETE, outputs=[output])
        finished = self._call("FinishStep", finish)
        return finished.execution_id, finished.artifact_ids[0]

    def run(
        self, run: str, *, data: str = "sha256:d1", rate: str = "0.1", code: str = "v1"
    ) -> dict[str, tuple[int, int]]:
        """The steps of one run by name."""
        prepared = self.step(run, "prepare", {"raw": data})
        trained = self.step(run, "train", {"examples": prepared[1]}, parameters={"rate": rate})
        evaluated = self.step(run, "evaluate", {"model": trained[1]}, code=code)
        return {"prepare": prepared, "train": trained, "evaluate": evaluated}


@pytest.fixture
def recorded(call: Call) -> Recorded:
    return Recorded(call)


def test_a_changed_parameter_is_the_nearest_cause_and_what_follows_from_it_differs_in_its_inputs_only(
    call: Call, recorded: Recorded
) -> None:
    monday, tuesday = recorded.run("monday"), recorded.run("tuesday", rate="0.2")
    request = rpc.CompareLineagesRequest(
        a_artifact_id=monday["evaluate"][1], b_artifact_id=tuesday["evaluate"][1]
    )

    compared = call("CompareLineages", request)

    assert compared == rpc.CompareLineagesResponse(
        steps=[
            StepDifference(
                step="evaluate",
                hops=1,
                a_execution_id=monday["evaluate"][0],
                b_execution_id=tuesday["evaluate"][0],
                differences=[
                    ComponentDifference(
                        component="input:model",
                        old=f"sha256:{monday['train'][1]:064x}",
                        new=f"sha256:{tuesday['train'][1]:064x}",
                    )
                ],
                only_inputs=True,
            ),
            StepDifference(
                step="train",
                hops=3,
                a_execution_id=monday["train"][0],
                b_execution_id=tuesday["train"][0],
                differences=[ComponentDifference(component="parameter:rate", old="0.1", new="0.2")],
            ),
        ],
        # The hit of tuesday is no step of its own: it made nothing.
        equal_steps=1,
    )


def test_differences_of_one_step_come_in_the_order_of_causes(call: Call, recorded: Recorded) -> None:
    a = recorded.step(
        "monday", "train", {"examples": "sha256:1"}, code="v1", parameters={"rate": "0.1", "old": "1"}
    )
    b = recorded.step("tuesday", "train", {"examples": "sha256:2"}, code="v2", parameters={"rate": "0.2"})

    (step,) = call(
        "CompareLineages", rpc.CompareLineagesRequest(a_execution_id=a[0], b_artifact_id=b[1])
    ).steps

    assert [(d.component, d.old, d.new) for d in step.differences] == [
        ("code", "v1", "v2"),
        ("parameter:old", "1", ""),
        ("parameter:rate", "0.1", "0.2"),
        ("input:examples", "sha256:1", "sha256:2"),
    ]
    assert not step.differences[1].HasField("new")
    assert (step.hops, step.only_inputs) == (0, False)


def test_a_step_that_only_one_of_the_two_has_is_named(call: Call, recorded: Recorded) -> None:
    short = recorded.step("monday", "train", {"examples": "sha256:1"})
    cleaned = recorded.step("tuesday", "clean", {"examples": "sha256:1"})
    long = recorded.step("tuesday", "train", {"examples": cleaned[1]})

    steps = call(
        "CompareLineages", rpc.CompareLineagesRequest(a_artifact_id=short[1], b_artifact_id=long[1])
    ).steps

    assert [(step.step, step.hops, step.a_execution_id, step.b_execution_id) for step in steps] == [
        ("train", 1, short[0], long[0]),
        ("clean", 3, 0, cleaned[0]),
    ]
    assert steps[1] == StepDifference(step="clean", hops=3, b_execution_id=cleaned[0])


def test_a_node_is_what_it_is(call: Call, recorded: Recorded) -> None:
    model = recorded.run("monday")["evaluate"][1]

    assert call(
        "CompareLineages", rpc.CompareLineagesRequest(a_artifact_id=model, b_artifact_id=model)
    ) == rpc.CompareLineagesResponse(equal_steps=3)


def test_only_so_many_hops_are_compared(call: Call, recorded: Recorded) -> None:
    monday, tuesday = recorded.run("monday"), recorded.run("tuesday", data="sha256:d2", rate="0.2")
    request = rpc.CompareLineagesRequest(
        a_artifact_id=monday["train"][1], b_artifact_id=tuesday["train"][1], max_hops=1
    )

    assert [step.step for step in call("CompareLineages", request).steps] == ["train"]
    request.ClearField("max_hops")
    assert [step.step for step in call("CompareLineages", request).steps] == ["train", "prepare"]


def test_executions_of_other_types_are_compared_by_their_properties(call: Call) -> None:
    types = store_rpc.PutTypesRequest()
    types.artifact_types.add(name="A")
    types.execution_types.add(name="Train", properties={"rate": pb.DOUBLE, "image": pb.STRING})
    made = call("PutTypes", types)
    artifact = pb.Artifact(type_id=made.artifact_type_ids[0])
    call("PutArtifacts", store_rpc.PutArtifactsRequest(artifacts=[artifact] * 3))
    train = made.execution_type_ids[0]
    executions = [
        pb.Execution(
            type_id=train,
            properties={"rate": pb.Value(double_value=rate), "image": pb.Value(string_value="train:1")},
            custom_properties={"host": pb.Value(string_value=host)},
        )
        for rate, host in ((0.1, "x"), (0.2, "x"))
    ]
    call("PutExecutions", store_rpc.PutExecutionsRequest(executions=executions))
    put_edges(call, [(1, 1, pb.Event.OUTPUT), (2, 2, pb.Event.OUTPUT)])

    compared = call("CompareLineages", rpc.CompareLineagesRequest(a_artifact_id=1, b_artifact_id=2))

    assert compared == rpc.CompareLineagesResponse(
        steps=[
            StepDifference(
                step="Train",
                hops=1,
                a_execution_id=1,
                b_execution_id=2,
                differences=[ComponentDifference(component="rate", old="0.1", new="0.2")],
            )
        ]
    )


def test_a_lineage_that_goes_in_circles_is_compared_all_the_same(call: Call) -> None:
    put_nodes(call, 2, 2)
    put_edges(call, [(1, 1, pb.Event.INPUT), (1, 1, pb.Event.OUTPUT), (2, 2, pb.Event.OUTPUT)])

    compared = call("CompareLineages", rpc.CompareLineagesRequest(a_artifact_id=1, b_artifact_id=2))

    assert compared == rpc.CompareLineagesResponse(equal_steps=1)


def test_a_request_that_cannot_be_carried_out_is_refused(call: Call) -> None:
    put_nodes(call, 1, 0)

    with pytest.raises(InvalidRequest, match="give either b_artifact_id or b_execution_id"):
        call("CompareLineages", rpc.CompareLineagesRequest(a_artifact_id=1))
    with pytest.raises(NotFound, match="there is no artifact 2"):
        call("CompareLineages", rpc.CompareLineagesRequest(a_artifact_id=1, b_artifact_id=2))
