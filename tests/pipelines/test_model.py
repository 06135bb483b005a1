"""What a generic client of ML Metadata finds of pipelines, compared whole; and its own engine too."""

import json
from pathlib import Path

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from pipelines.asking import Clock, Steps, end, end_as_hit, everything, made, packed_struct, step, used
from pipelines.test_start_run import FACTS
from support import Call, mlmd_engine, needs_mlmd

from headwater.client.values import to_value
from headwater.embedded import EmbeddedTransport
from headwater.storage.opening import open_database
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc
from headwater.v1 import pipelines_pb2 as pp

ARTIFACT_PROPERTIES = {
    "digest": pb.STRING,
    "size_bytes": pb.INT,
    "stamp": pb.STRING,
    "description": pb.STRING,
    "made_by": pb.STRING,
    "preview": pb.PROTO,
    "manifest": pb.PROTO,
    "metrics": pb.STRUCT,
}


def a_small_pipeline(steps: Steps, clock: Clock) -> dict[str, pp.BeginStepResponse | pp.FinishStepResponse]:
    """A run with a step that completes, one that fails and is tried again, and a second run that hits."""
    steps.start(**FACTS)
    prepare = step(
        "prepare",
        inputs=[used("table", size_bytes=3, type="Table")],
        code=pp.CodeVersion(commit="abc", is_dirty=True),
        environment=pp.Environment(python="3.11.7"),
        description="makes features",
        tags={"team": "red"},
        custom_properties={"note": to_value(1)},
    )
    answers: dict[str, pp.BeginStepResponse | pp.FinishStepResponse] = {"prepare": steps.begin(prepare)}
    clock.now_ms += 1_000
    answers["prepared"] = steps.finish(
        end(
            prepare,
            outputs=[
                made(
                    "features",
                    size_bytes=7,
                    stamp="etag",
                    description="the features",
                    preview=to_value({"columns": ["a"], "rows": 1}),
                    manifest=to_value({"files": []}),
                    metrics={"rows": 1.0},
                    custom_properties={"split": to_value("train")},
                )
            ],
            usage={"cpu_seconds": 1.5},
            metrics=[pp.Metric(name="rows", value=1)],
        )
    )
    train = step("train", inputs=[used("features", uri="file:///out/features", digest="sha256:02")])
    steps.begin(train)
    steps.finish(end(train, state=pp.FAILED, error="ValueError: no"))
    again = step("train", inputs=train.inputs)
    steps.begin(again)
    answers["trained"] = steps.finish(end(again, outputs=[made("model", type="Model", digest="sha256:03")]))
    steps.finish_run(state=pp.COMPLETE)
    steps.start("tuesday")
    cached = step("prepare", run="tuesday", inputs=prepare.inputs)
    hit = steps.begin(cached)
    answers["cached"] = steps.finish(end_as_hit(cached, hit))
    return answers


def without_ids_of_types(node: Message) -> Message:
    copy = type(node)()
    copy.CopyFrom(node)
    copy.ClearField("type_id")
    return copy


def test_types_are_declared_with_all_their_properties(timed: Steps, clock: Clock) -> None:
    a_small_pipeline(timed, clock)

    def listed(name: str, request: Message) -> dict[str, tuple[dict[str, int], int]]:
        (_, types), *_ = timed.call(name, request).ListFields()
        return {
            one.name: (dict(one.properties), getattr(one, "base_type", 0))
            for one in types
            if not one.name.startswith("mlmd.")
        }

    assert listed("GetContextTypes", rpc.GetContextTypesRequest()) == {
        "headwater.Pipeline": ({}, 0),
        "headwater.Run": (
            {
                **dict.fromkeys(["pipeline", "run", "state", "error", "owner", "trigger"], pb.STRING),
                **dict.fromkeys(["description", "commit"], pb.STRING),
                **dict.fromkeys(["start_ms", "end_ms"], pb.INT),
                **dict.fromkeys(["code", "environment"], pb.STRUCT),
                **dict.fromkeys(["steps", "whole_error"], pb.PROTO),
            },
            0,
        ),
    }
    assert listed("GetExecutionTypes", rpc.GetExecutionTypesRequest()) == {
        "headwater.Step": (
            {
                **dict.fromkeys(["step", "fingerprint", "worker", "why", "error", "description"], pb.STRING),
                **dict.fromkeys(["attempt", "start_ms", "end_ms", "cached_execution_id"], pb.INT),
                **dict.fromkeys(["usage", "code", "environment"], pb.STRUCT),
                **dict.fromkeys(["components", "whole_error"], pb.PROTO),
            },
            0,
        )
    }
    assert listed("GetArtifactTypes", rpc.GetArtifactTypesRequest()) == {
        "Dataset": (ARTIFACT_PROPERTIES, pb.ArtifactType.DATASET),
        "Model": (ARTIFACT_PROPERTIES, pb.ArtifactType.MODEL),
        "Table": (ARTIFACT_PROPERTIES, 0),
    }


def test_an_attempt_is_an_execution(timed: Steps, clock: Clock) -> None:
    began_ms = clock.now_ms
    answers = a_small_pipeline(timed, clock)
    begun = answers["prepare"]

    execution = timed.execution(begun.execution_id)

    assert without_ids_of_types(execution) == pb.Execution(
        id=begun.execution_id,
        type="headwater.Step",
        name="churn/monday/prepare",
        external_id=execution.external_id,
        last_known_state=pb.Execution.COMPLETE,
        create_time_since_epoch=began_ms,
        last_update_time_since_epoch=began_ms + 1_000,
        properties={
            "step": to_value("prepare"),
            "attempt": to_value(1),
            "fingerprint": to_value(begun.fingerprint),
            "components": packed_struct(
                {
                    "step": "prepare",
                    "code": "sha256:c0de",
                    "parameter:lr": "0.1",
                    "input:table": "sha256:01",
                }
            ),
            "worker": to_value("host:1"),
            "why": to_value("not completed before in this pipeline"),
            "start_ms": to_value(began_ms),
            "end_ms": to_value(began_ms + 1_000),
            "usage": to_value({"cpu_seconds": 1.5}),
            "description": to_value("makes features"),
            "code": to_value({"commit": "abc", "is_dirty": True}),
            "environment": to_value({"python": "3.11.7"}),
        },
        custom_properties={
            "parameter.lr": to_value(0.1),
            "tag.team": to_value("red"),
            "note": to_value(1),
            "metric.rows": to_value(1.0),
        },
    )


def test_inputs_and_outputs_are_artifacts(timed: Steps, clock: Clock) -> None:
    began_ms = clock.now_ms
    answers = a_small_pipeline(timed, clock)
    (raw_id,), (features_id,) = answers["prepare"].input_artifact_ids, answers["prepared"].artifact_ids

    raw, features = timed.artifact(raw_id), timed.artifact(features_id)

    assert without_ids_of_types(raw) == pb.Artifact(
        id=raw_id,
        type="Table",
        uri="file:///data/table",
        external_id=raw.external_id,
        state=pb.Artifact.LIVE,
        create_time_since_epoch=began_ms,
        last_update_time_since_epoch=began_ms,
        properties={"digest": to_value("sha256:01"), "size_bytes": to_value(3)},
    )
    assert raw.external_id.startswith("raw:")
    assert without_ids_of_types(features) == pb.Artifact(
        id=features_id,
        type="Dataset",
        name="churn/monday/prepare/features",
        uri="file:///out/features",
        state=pb.Artifact.LIVE,
        create_time_since_epoch=began_ms + 1_000,
        last_update_time_since_epoch=began_ms + 1_000,
        properties={
            "digest": to_value("sha256:02"),
            "size_bytes": to_value(7),
            "stamp": to_value("etag"),
            "description": to_value("the features"),
            "made_by": to_value(f"made:{answers['prepare'].fingerprint}#features"),
            "preview": packed_struct({"columns": ["a"], "rows": 1}),
            "manifest": packed_struct({"files": []}),
            "metrics": to_value({"rows": 1.0}),
        },
        custom_properties={"split": to_value("train")},
    )


def test_events_links_and_parents_tie_them(timed: Steps, clock: Clock) -> None:
    began_ms = clock.now_ms
    answers = a_small_pipeline(timed, clock)
    (raw_id,), (features_id,) = answers["prepare"].input_artifact_ids, answers["prepared"].artifact_ids
    (model_id,) = answers["trained"].artifact_ids
    ids = [answers[name].execution_id for name in ("prepared", "trained", "cached")]
    prepared, trained, cached = ids
    failed = trained - 1

    def event(execution_id: int, artifact_id: int, type_: str, name: str, time_ms: int) -> pb.Event:
        return pb.Event(
            execution_id=execution_id,
            artifact_id=artifact_id,
            type=type_,
            path=pb.Event.Path(steps=[pb.Event.Path.Step(key=name)]),
            milliseconds_since_epoch=time_ms,
        )

    events = timed.call(
        "GetEventsByExecutionIDs",
        rpc.GetEventsByExecutionIDsRequest(execution_ids=[prepared, failed, trained, cached]),
    ).events
    assert sorted(events, key=lambda one: (one.execution_id, one.type)) == [
        event(prepared, raw_id, "INPUT", "table", began_ms),
        event(prepared, features_id, "OUTPUT", "features", began_ms + 1_000),
        event(failed, features_id, "INPUT", "features", began_ms + 1_000),
        event(trained, features_id, "INPUT", "features", began_ms + 1_000),
        event(trained, model_id, "OUTPUT", "model", began_ms + 1_000),
        event(cached, raw_id, "INPUT", "table", began_ms + 1_000),
        event(cached, features_id, "OUTPUT", "features", began_ms + 1_000),
    ]

    def of_context(context_id: int) -> tuple[list[int], list[int]]:
        executions = timed.call(
            "GetExecutionsByContext", rpc.GetExecutionsByContextRequest(context_id=context_id)
        ).executions
        artifacts = timed.call(
            "GetArtifactsByContext", rpc.GetArtifactsByContextRequest(context_id=context_id)
        ).artifacts
        return sorted(one.id for one in executions), sorted(one.id for one in artifacts)

    pipeline, monday, tuesday = 1, answers["prepare"].run_id, answers["cached"].run_id
    assert of_context(pipeline) == ([prepared, failed, trained, cached], [raw_id, features_id, model_id])
    assert of_context(monday) == ([prepared, failed, trained], [raw_id, features_id, model_id])
    assert of_context(tuesday) == ([cached], [raw_id, features_id])


def test_a_generic_client_finds_attempts_by_what_they_were_given(timed: Steps, clock: Clock) -> None:
    answers = a_small_pipeline(timed, clock)

    def found(filter_query: str) -> list[int]:
        request = rpc.GetExecutionsRequest()
        request.options.filter_query = filter_query
        return sorted(one.id for one in timed.call("GetExecutions", request).executions)

    fingerprint = answers["prepare"].fingerprint
    both = [answers["prepared"].execution_id, answers["cached"].execution_id]
    assert found(f"properties.fingerprint.string_value = '{fingerprint}'") == both
    assert (
        found("custom_properties.`parameter.lr`.double_value > 0.05 AND last_known_state = CACHED")
        == both[1:]
    )
    assert found("custom_properties.`metric.rows`.double_value = 1.0") == both[:1]
    assert found("contexts_r.name = 'churn/tuesday'") == both[1:]


def test_raw_data_has_the_custom_properties_that_who_read_it_first_gave(steps: Steps) -> None:
    first, second = (
        steps.begin(step(name, inputs=[used(custom_properties={"rows": to_value(rows)})]))
        for name, rows in (("a", 7), ("b", 8))
    )

    (artifact_id,) = first.input_artifact_ids
    assert list(second.input_artifact_ids) == [artifact_id]
    assert dict(steps.artifact(artifact_id).custom_properties) == {"rows": to_value(7)}


def test_raw_data_that_many_read_is_one_artifact(steps: Steps) -> None:
    def read(name: str, run: str = "monday", **more: str) -> int:
        request = step(name, run=run, mode=pp.CachePolicy.OFF, inputs=[used("table", **more)])
        return steps.begin(request).input_artifact_ids[0]

    ids = {read(name, run) for name in ("a", "b") for run in ("monday", "tuesday")}
    other_content = read("c", digest="sha256:99")
    other_place = read("d", uri="file:///copy")
    no_digest = {read(name, digest="") for name in ("e", "f")}

    assert (len(ids), len(no_digest)) == (1, 1)
    assert len({*ids, *no_digest, other_content, other_place}) == 4


@pytest.mark.backends("sqlite")
@needs_mlmd
def test_the_engine_of_ml_metadata_reads_the_same_file(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "store.db"
    database = open_database(f"sqlite:///{path}", clock=clock)
    ours = EmbeddedTransport(database)
    steps = Steps(ours.call)
    answers = a_small_pipeline(steps, clock)
    # Types of ML Metadata itself are as good as any.
    simple = step("simple", run="tuesday", inputs=[])
    steps.begin(simple)
    steps.finish(end(simple, outputs=[made(type="mlmd.Dataset")]))
    expected = [comparable(one) for one in everything(ours.call)]

    with mlmd_engine(path) as theirs:
        assert [comparable(one) for one in everything(theirs)] == expected
        lineage = rpc.GetLineageSubgraphRequest()
        options = lineage.lineage_subgraph_query_options
        options.starting_artifacts.filter_query = f"id = {answers['trained'].artifact_ids[0]}"
        options.direction = pb.LineageSubgraphQueryOptions.UPSTREAM
        graph = theirs("GetLineageSubgraph", lineage).lineage_subgraph
        assert {one.id for one in graph.executions} == {
            answers["trained"].execution_id,
            answers["prepared"].execution_id,
            answers["cached"].execution_id,
        }
        put_something(theirs)

    # And what it wrote meanwhile is in nobody's way.
    assert steps.begin(step("prepare", run="friday", inputs=[used("table")])).decision == pp.HIT
    database.close()


def put_something(call: Call) -> None:
    type_id = call(
        "PutArtifactType", rpc.PutArtifactTypeRequest(artifact_type=pb.ArtifactType(name="Other"))
    ).type_id
    call("PutArtifacts", rpc.PutArtifactsRequest(artifacts=[pb.Artifact(type_id=type_id, uri="elsewhere")]))


def comparable(message: Message) -> object:
    """Without the order of what has none."""
    content = json.loads(json_format.MessageToJson(message))
    for field, nodes in content.items():
        content[field] = sorted(nodes, key=lambda node: json.dumps(node, sort_keys=True))
    return content
