"""A step in a with statement, and begun and finished by hand."""

import logging
import math
import pickle
from pathlib import Path

import pytest
from recording.seeing import attempts, ends, executions

from headwater.client.recording import File, current_run, current_step
from headwater.errors import FailedPrecondition, InvalidRequest
from headwater.storage.values import struct_in


def train(run, raw: Path, out: Path, *, text="model", **options):
    """A step with an input, a parameter and an output; whether its body did its work."""
    with run.step("train", inputs={"table": raw}, params={"lr": 0.1}, **{"version": "1", **options}) as step:
        if step.must_run:
            out.write_text(text)
            step.output("model", out, type="Model")
    return step


def test_a_step_that_was_done_is_a_hit_with_the_outputs_of_then(client, raw, tmp_path):
    out = tmp_path / "model.bin"
    with client.run("churn") as run:
        first = train(run, raw, out)
    with client.run("churn") as run:
        second = train(run, raw, out)

    assert (first.is_hit, second.is_hit) == (False, True)
    assert first.outputs["model"].artifact_id == second.outputs["model"].artifact_id
    assert second.outputs["model"].path == out
    assert attempts(client) == [("train", "COMPLETE"), ("train", "CACHED")]
    original, hit = executions(client, "train")
    assert ends(client, original.id) == ends(client, hit.id)
    assert hit.properties["cached_execution_id"].int_value == original.id


def test_what_is_recorded_of_a_step(client, raw, tmp_path):
    out = tmp_path / "model.bin"
    with (
        client.run("churn", name="monday") as run,
        run.step(
            "train",
            inputs={"table": raw},
            params={"lr": 0.1, "layers": [3, 4], "nested": {"a": 1}},
            version="1",
            description="fits",
            tags={"team": "ml"},
        ) as step,
    ):
        out.write_text("model")
        step.output("model", out, type="Model", properties={"framework": "sklearn"})
        step.metric("auc", 0.91)
        step.metric("loss", 0.5, step=0)
        step.note(host_group="gpu")

    (execution,) = executions(client, "train")
    custom = execution.custom_properties
    assert execution.name == "churn/monday/train"
    assert execution.external_id == step.key
    assert custom["parameter.lr"].double_value == 0.1
    assert custom["parameter.layers"].string_value == "[3,4]"
    assert custom["parameter.nested"].struct_value["a"] == 1
    assert custom["tag.team"].string_value == "ml"
    assert custom["metric.auc"].double_value == 0.91
    assert custom["host_group"].string_value == "gpu"
    assert execution.properties["description"].string_value == "fits"
    assert execution.properties["fingerprint"].string_value == step.fingerprint
    assert execution.properties["usage"].struct_value["wall_seconds"] > 0
    assert execution.properties["end_ms"].int_value >= execution.properties["start_ms"].int_value
    model = client.get_artifact(step.outputs["model"].artifact_id)
    assert (model.name, model.uri) == ("churn/monday/train/model", out.as_uri())
    assert model.properties["size_bytes"].int_value == 5
    assert model.custom_properties["framework"].string_value == "sklearn"


@pytest.mark.parametrize(
    "change",
    [{"version": "2"}, {"params": {"lr": 0.2}}, {"salt": "again"}, {"outputs": {"model": "Model"}}],
    ids=lambda change: next(iter(change)),
)
def test_what_decides_about_the_outcome_makes_it_run_again(client, raw, tmp_path, change):
    def once(run, **options):
        options = {"version": "1", "params": {"lr": 0.1}, **options}
        with run.step("train", inputs={"table": raw}, **options) as step:
            if step.must_run:
                (tmp_path / "model").write_text("m")
                step.output("model", tmp_path / "model", type="Model")
        return step.is_hit

    with client.run("churn") as run:
        assert [once(run), once(run), once(run, **change)] == [False, True, False]


def test_another_content_of_an_input_makes_it_run_again(client, raw, tmp_path):
    out = tmp_path / "model.bin"
    with client.run("churn") as run:
        train(run, raw, out)
        raw.write_text("age,income\n50,20\n")

        step = train(run, raw, out)

    assert step.must_run
    assert "input:table" in step.why


@pytest.mark.parametrize("harm", ["removed", "changed", "grown"])
def test_a_hit_whose_output_is_not_what_it_was_runs_again(client, raw, tmp_path, harm):
    out = tmp_path / "model.bin"
    with client.run("churn") as run:
        train(run, raw, out)
        if harm == "removed":
            out.unlink()
        else:
            out.write_text({"changed": "MODEL", "grown": "model and more"}[harm])

        again = train(run, raw, out)
        afterwards = train(run, raw, out)

    assert (again.is_hit, afterwards.is_hit) == (False, True)
    assert "output 'model'" in again.why


def test_a_step_without_version_and_code_always_runs(client, raw, tmp_path):
    with client.run("churn") as run:
        steps = [train(run, raw, tmp_path / "model", version=None) for _ in range(2)]

    assert [step.is_hit for step in steps] == [False, False]
    assert [step.fingerprint for step in steps] == ["", ""]


def helper() -> int:
    return 1


def test_functions_can_stand_for_the_code_of_a_block(client, raw, tmp_path):
    with client.run("churn") as run:
        options = {"version": None, "code": [helper, train]}
        steps = [train(run, raw, tmp_path / "model", **options) for _ in range(2)]

    assert [step.is_hit for step in steps] == [False, True]


@pytest.mark.parametrize(
    ("cache", "expected"),
    [
        ("on", [False, True, True]),
        ("off", [False, False, False]),
        ("read", [False, False, False]),
        ("write", [False, False, False]),
    ],
)
def test_the_policy_of_a_step_decides(client, raw, tmp_path, cache, expected):
    with client.run("churn") as run:
        found = [train(run, raw, tmp_path / "model", cache=cache).is_hit for _ in range(3)]

    assert found == expected


def test_what_was_only_written_others_may_hit(client, raw, tmp_path):
    with client.run("churn", cache="write") as run:
        train(run, raw, tmp_path / "model")
    with client.run("churn", cache="read") as run:
        assert train(run, raw, tmp_path / "model").is_hit


def test_force_runs_whatever_was_done(client, raw, tmp_path):
    with client.run("churn") as run:
        found = [train(run, raw, tmp_path / "model", force=force).is_hit for force in (False, True, False)]

    assert found == [False, False, True]


def test_an_old_execution_is_not_hit_beyond_the_age_that_is_allowed(client, raw, tmp_path):
    with client.run("churn") as run:
        train(run, raw, tmp_path / "model")

        assert train(run, raw, tmp_path / "model", max_age=3600).is_hit
        found = train(run, raw, tmp_path / "model", max_age=0.001)
    assert "longer ago than" in found.why


def test_an_exception_fails_the_step_and_comes_out_as_it_is(client):
    error = ZeroDivisionError("no data")
    with (
        pytest.raises(ZeroDivisionError) as raised,
        client.run("churn") as run,
        run.step("train", version="1"),
    ):
        raise error

    assert raised.value is error
    assert attempts(client) == [("train", "FAILED")]
    (execution,) = executions(client, "train")
    text = execution.properties["error"].string_value
    assert text.endswith("ZeroDivisionError: no data\n")
    assert "test_an_exception_fails_the_step" in text


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_who_is_interrupted_has_not_failed(client, error):
    with pytest.raises(error), client.run("churn", name="r") as run, run.step("train"):
        raise error

    assert attempts(client) == [("train", "CANCELED")]
    assert (
        client.list_contexts(type="headwater.Run").__next__().properties["state"].string_value == "CANCELED"
    )


def test_a_failed_step_is_never_hit(client, raw, tmp_path):
    with client.run("churn") as run:
        with pytest.raises(ValueError), run.step("train", version="1") as step:
            step.output("model", raw)
            raise ValueError
        with run.step("train", version="1") as step:
            assert step.must_run


def test_the_error_of_a_failure_is_bounded(client):
    with client.run("churn") as run, pytest.raises(ValueError), run.step("train"):
        raise ValueError("x" * 1_000_000)

    text = executions(client, "train")[0].properties["error"].string_value
    assert len(text) < 64 * 1024
    assert "[...]" in text


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("never")


def test_an_error_that_cannot_be_printed_is_recorded_by_its_class(client):
    with client.run("churn") as run, pytest.raises(Unprintable), run.step("train"):
        raise Unprintable

    assert "Unprintable" in executions(client, "train")[0].properties["error"].string_value


def test_an_output_that_is_not_there_fails_the_step_and_says_so(client, tmp_path):
    with (
        client.run("churn") as run,
        pytest.raises(InvalidRequest, match="output 'model' is not there: nothing is at file://"),
        run.step("train", version="1") as step,
    ):
        step.output("model", tmp_path / "missing.bin")

    assert attempts(client) == [("train", "FAILED")]
    assert "'model' is not there" in executions(client, "train")[0].properties["error"].string_value


def test_a_declared_output_that_is_not_made_fails_the_step(client):
    with (
        client.run("churn") as run,
        pytest.raises(InvalidRequest, match="declares output 'model'"),
        run.step("train", version="1", outputs=["model"]),
    ):
        pass

    assert attempts(client) == [("train", "FAILED")]


def test_an_input_that_is_not_there_is_refused_before_the_body(client, tmp_path):
    with (
        client.run("churn") as run,
        pytest.raises(InvalidRequest, match="input 'table' is not there"),
        run.step("train", inputs={"table": tmp_path / "missing.csv"}),
    ):
        raise AssertionError("the body ran")

    assert attempts(client) == []


def test_a_parameter_without_canonical_form_is_named_before_the_body(client):
    with client.run("churn") as run:
        with (
            pytest.raises(InvalidRequest, match=r"parameter 'model.callback' is a function"),
            run.step("train", params={"model": {"callback": print}}, version="1"),
        ):
            raise AssertionError("the body ran")
        with run.step("train", params={"callback": print}, exclude="callback", version="1"):
            pass


def test_a_step_that_made_nothing_runs_again(client):
    with client.run("churn") as run:
        for _ in range(2):
            with run.step("upload", version="1") as step:
                assert step.must_run


def test_a_body_that_works_on_although_it_is_a_hit_is_recorded_as_run(client, raw, tmp_path):
    def once(run):
        with run.step("train", inputs={"table": raw}, version="1") as step:
            (tmp_path / "model").write_text("m")
            step.output("model", tmp_path / "model")

    with client.run("churn") as run:
        once(run)
        once(run)

    assert attempts(client) == [("train", "COMPLETE"), ("train", "COMPLETE")]


def test_plain_values_are_in_the_record_and_come_back_exactly(client):
    value = {"auc": 0.1 + 0.2, "folds": [1, 2.0, None, True], "nan": math.inf}
    with client.run("churn") as run:
        for _ in range(2):
            with run.step("evaluate", version="1") as step:
                if step.must_run:
                    step.output("report", value=value)

    assert step.is_hit
    assert step.outputs["report"].value == value
    assert [type(one) for one in step.outputs["report"].value["folds"]] == [int, float, type(None), bool]


def test_an_output_is_an_input_of_the_next_step(client, raw, tmp_path):
    with client.run("churn") as run:
        model = train(run, raw, tmp_path / "model").outputs["model"]
        with run.step("evaluate", inputs={"model": model}, version="1") as step:
            step.evaluation("report", {"auc": 0.9}, model=model)

    (evaluate,) = executions(client, "evaluate")
    assert ends(client, evaluate.id)["INPUT"] == {"model": model.artifact_id}
    report = client.get_artifact(step.outputs["report"].artifact_id)
    assert report.properties["metrics"].struct_value["auc"] == 0.9
    assert report.custom_properties["model_digest"].string_value == model.digest
    assert report.custom_properties["model_artifact_id"].int_value == model.artifact_id


def test_several_inputs_of_one_name_are_told_apart(client, raw, tmp_path):
    other = tmp_path / "other.csv"
    other.write_text("x\n")
    with client.run("churn") as run, run.step("merge", inputs={"tables": [raw, other]}, version="1"):
        pass

    (merge,) = executions(client, "merge")
    assert list(ends(client, merge.id)["INPUT"]) == ["tables[0]", "tables[1]"]


def test_a_version_stands_for_content_that_is_not_read(client, tmp_path):
    def once(run, version):
        table = File("s3://lake/table", version=version, type="Table")
        with run.step("train", inputs={"table": table}, version="1") as step:
            if step.must_run:
                step.output("n", value=1)
        return step.is_hit

    with client.run("churn") as run:
        assert [once(run, "v1"), once(run, "v1"), once(run, "v2")] == [False, True, False]


def test_a_preview_leaves_out_what_is_redacted(client, tmp_path):
    out = tmp_path / "people.csv"
    with client.run("churn") as run, run.step("clean") as step:
        out.write_text("age,mail\n41,a@b.example\n")
        step.output("people", out, preview=True, redact=["mail"])

    preview = struct_in(client.get_artifact(step.outputs["people"].artifact_id).properties["preview"])
    assert [column["name"] for column in preview["columns"]] == ["age", "mail"]
    assert list(preview["rows"][0])[1] == "(redacted)"


def test_a_manifest_lists_the_files_of_a_package(client, tmp_path):
    package = tmp_path / "model"
    package.mkdir()
    (package / "weights.bin").write_text("w")
    (package / "config.json").write_text("{}")
    with client.run("churn") as run, run.step("train") as step:
        step.output("model", package, type="Model", manifest=True)

    model = client.get_artifact(step.outputs["model"].artifact_id)
    files = struct_in(model.properties["manifest"])["files"]
    assert [one["path"] for one in files] == ["config.json", "weights.bin"]
    assert model.properties["digest"].string_value.startswith("sha256-tree:")


def test_many_points_of_a_series_are_recorded(client):
    with client.run("churn") as run, run.step("train") as step:
        for epoch in range(12_000):
            step.metric("loss", 1 / (epoch + 1), step=epoch)

    from headwater.v1 import pipelines_pb2 as pp

    request = pp.GetMetricsRequest(execution_ids=[step.execution_id])
    try:
        answer = client._ask(request, pp.GetMetricsResponse)
    except Exception:
        pytest.skip("GetMetrics is not there yet")
    assert [(one.name, one.count) for one in answer.series] == [("loss", 12_000)]


@pytest.mark.parametrize(
    ("name", "value", "step"),
    [("", 1.0, None), ("auc", "high", None), ("auc", 1.0, -1), ("auc", None, None), (3, 1.0, None)],
)
def test_what_is_no_metric_is_refused(client, name, value, step):
    with client.run("churn") as run, run.step("train") as train, pytest.raises(InvalidRequest):
        train.metric(name, value, step=step)


# Wrong use


def test_an_output_of_the_same_name_is_refused(client, raw):
    with client.run("churn") as run, run.step("train") as step:
        step.output("model", raw)
        with pytest.raises(InvalidRequest, match="has an output 'model' already"):
            step.output("model", raw)


def test_an_output_needs_a_place_or_a_value(client, raw):
    with client.run("churn") as run, run.step("train") as step:
        with pytest.raises(InvalidRequest, match="either a place or a value"):
            step.output("model")
        with pytest.raises(InvalidRequest, match="either a place or a value"):
            step.output("model", raw, value=1)


def test_a_type_other_than_declared_is_refused(client, raw):
    with (
        client.run("churn") as run,
        pytest.raises(InvalidRequest, match="declared as 'Model'"),
        run.step("train", outputs={"model": "Model"}) as step,
    ):
        step.output("model", raw, type="Data")


def test_a_step_is_finished_once(client):
    with client.run("churn") as run:
        step = run.step("train").begin()
        step.finish()
        with pytest.raises(FailedPrecondition, match="step 'train' is finished"):
            step.finish()


def test_a_step_that_is_not_begun_cannot_be_finished(client, raw):
    with client.run("churn") as run:
        step = run.step("train")
        with pytest.raises(FailedPrecondition, match="step 'train' is not begun"):
            step.finish()
        with pytest.raises(FailedPrecondition, match="not begun"):
            step.output("model", raw)


def test_a_step_is_begun_once(client):
    with client.run("churn") as run:
        step = run.step("train").begin()
        with pytest.raises(FailedPrecondition, match="was begun before"):
            step.begin()
        step.finish(state="FAILED", error="by hand")

    assert attempts(client) == [("train", "FAILED")]
    assert executions(client, "train")[0].properties["error"].string_value == "by hand"


def test_a_state_that_is_no_end_is_refused(client):
    with (
        client.run("churn") as run,
        run.step("train") as step,
        pytest.raises(InvalidRequest, match="'DONE' is no end of a step"),
    ):
        step.finish(state="DONE")


@pytest.mark.parametrize("name", ["", None, 3, "x" * 201])
def test_a_name_that_cannot_be_one_is_refused(client, name):
    with client.run("churn") as run, pytest.raises(InvalidRequest, match="the name of step"):
        run.step("ok", outputs=["fine"])
        run.step(name or "").begin()
        with run.step(name):
            pass


@pytest.mark.parametrize("options", [{"cache": "maybe"}, {"max_age": 0}, {"environment": ["shoe_size"]}])
def test_an_option_that_cannot_be_is_refused(client, options):
    with client.run("churn") as run, pytest.raises(InvalidRequest), run.step("train", version="1", **options):
        pass


def test_a_step_after_its_run_is_refused(client):
    with client.run("churn") as run:
        pass
    with pytest.raises(FailedPrecondition, match="is over"), run.step("train"):
        pass


def test_a_step_left_open_fails_with_its_run(client, caplog):
    with caplog.at_level(logging.WARNING, "headwater"), client.run("churn") as run:
        run.step("train").begin()

    assert attempts(client) == [("train", "FAILED")]
    assert "begun and not finished" in caplog.text


def test_runs_and_steps_do_not_travel(client):
    with client.run("churn") as run, run.step("train") as step:
        for one in (run, step):
            with pytest.raises(TypeError, match="join"):
                pickle.dumps(one)


def test_outputs_travel_without_their_store(client, raw, tmp_path):
    with client.run("churn") as run:
        model = train(run, raw, tmp_path / "model").outputs["model"]
    there = pickle.loads(pickle.dumps(model))

    assert (there.name, there.uri, there.digest, there.artifact_id) == (
        model.name,
        model.uri,
        model.digest,
        model.artifact_id,
    )
    with pytest.raises(FailedPrecondition, match="another process"):
        there.artifact()


def test_the_current_run_and_step_are_known_inside_and_not_outside(client):
    assert (current_run(), current_step()) == (None, None)
    with client.run("churn") as run:
        with run.step("outer") as outer:
            with run.step("inner") as inner:
                assert (current_run(), current_step()) == (run, inner)
            assert current_step() is outer
        assert current_step() is None
    assert (current_run(), current_step()) == (None, None)


def test_a_plain_value_is_an_input_by_its_content(client):
    def use(number):
        with client.run("churn") as run:
            with run.step("load", version=str(number)) as load:
                value = load.output("number", value=7) if load.must_run else load.outputs["number"]
            with run.step("use", inputs={"number": value}, version="1") as step:
                if step.must_run:
                    step.output("n", value=1)
        return step

    first, second = use(1), use(2)

    assert (first.is_hit, second.is_hit) == (False, True)
    loaded, used = executions(client, "load")[0], executions(client, "use")[0]
    assert ends(client, used.id)["INPUT"] == ends(client, loaded.id)["OUTPUT"]
