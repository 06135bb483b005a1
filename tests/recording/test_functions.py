"""Functions as steps: skipped when they were done, with what they returned."""

import functools
import pickle
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from recording.seeing import attempts, ends, executions

from headwater.client.recording import File, Output, current_step, step
from headwater.errors import FailedPrecondition, InvalidRequest
from headwater.storage.values import struct_in

CALLS: list[str] = []


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    CALLS.clear()


@dataclass
class Table:
    """What is not plain."""

    rows: int


class Opaque:
    """What has no canonical form."""

    def __init__(self, rows: int) -> None:
        self.rows = rows


def clean(table, out, threshold=0.5):
    CALLS.append("clean")
    Path(out).write_text(f"{Path(table).read_text()}{threshold}")
    return Path(out)


def train(table, lr):
    CALLS.append("train")
    return {"auc": lr, "rows": len(Path(table).read_text())}


def pipeline(run, raw: Path, out: Path, *, threshold=0.5, lr=0.1):
    table = run.step(clean)(File(raw), str(out), threshold)
    return run.step(train)(table, lr=lr)


def test_the_second_run_is_all_hits_with_the_same_result(client, raw, tmp_path):
    found = []
    for _ in range(2):
        with client.run("churn") as run:
            found.append(pipeline(run, raw, tmp_path / "clean.csv"))

    assert found[0] == found[1] == {"auc": 0.1, "rows": 25}
    assert CALLS == ["clean", "train"]
    assert [state for _, state in attempts(client)] == ["COMPLETE"] * 2 + ["CACHED"] * 2


def test_a_changed_parameter_runs_its_step_and_what_is_downstream(client, raw, tmp_path):
    out = tmp_path / "clean.csv"
    for options in ({}, {"lr": 0.2}, {"threshold": 0.7}):
        CALLS.append("run")
        with client.run("churn") as run:
            pipeline(run, raw, out, **options)

    assert CALLS == ["run", "clean", "train", "run", "train", "run", "clean", "train"]
    assert "parameter:lr" in executions(client, "train")[1].properties["why"].string_value


def test_outputs_tie_steps_together(client, raw, tmp_path):
    with client.run("churn") as run:
        pipeline(run, raw, tmp_path / "clean.csv")

    (cleaned,), (trained,) = executions(client, "clean"), executions(client, "train")
    assert ends(client, cleaned.id)["OUTPUT"]["output"] == ends(client, trained.id)["INPUT"]["table"]
    assert "parameter.table" not in trained.custom_properties
    assert trained.custom_properties["parameter.lr"].double_value == 0.1


def test_a_default_that_is_given_is_the_same_call(client, raw, tmp_path):
    with client.run("churn") as run:
        run.step(clean)(File(raw), str(tmp_path / "c"))
        run.step(clean)(table=File(raw), out=str(tmp_path / "c"), threshold=0.5)

    assert CALLS == ["clean"]


@pytest.mark.parametrize(
    "result",
    [
        3, 2.5, "text", True, [], [1, 2], {}, {"a": [1, None]}, "é\n\0", 10**30, float("inf"),
        (1, 2), ("a", [1]), (None, 1), [None], {"x": 1, "y": (1, 2)[0]},
    ],
    ids=repr,
)  # fmt: skip
def test_plain_results_come_back_exactly(client, result):
    def make():
        CALLS.append("make")
        return result

    found = []
    for _ in range(2):
        with client.run("churn") as run:
            found.append(run.step("make")(make)())

    assert CALLS == ["make"]
    assert found == [result, result]
    assert [type(one) for one in found] == [type(result)] * 2


def test_none_is_nothing_to_reuse(client):
    def act():
        CALLS.append("act")

    with client.run("churn") as run:
        assert [run.call(act), run.call(act)] == [None, None]
    assert CALLS == ["act", "act"]


@pytest.mark.parametrize("kind", [tuple, list, dict])
def test_several_results_come_back_in_their_shape(client, tmp_path, kind):
    def make():
        CALLS.append("make")
        (tmp_path / "a").write_text("a")
        items = [tmp_path / "a", 3]
        return dict(zip("ab", items, strict=True)) if kind is dict else kind(items)

    found = []
    for _ in range(2):
        with client.run("churn") as run:
            found.append(run.step("make")(make)())

    assert CALLS == ["make"]
    for one in found:
        assert type(one) is kind
        first, second = one.values() if kind is dict else one
        assert (first.path, second) == (tmp_path / "a", 3)


def test_declared_names_are_given_to_the_results_in_order(client, tmp_path):
    with client.run("churn") as run:

        @run.step(outputs={"model": "Model", "auc": ""})
        def fit():
            (tmp_path / "m").write_text("m")
            return tmp_path / "m", 0.9

        model, auc = fit()

    assert (model.name, model.type, auc) == ("model", "Model", 0.9)
    assert list(ends(client, executions(client, "fit")[0].id)["OUTPUT"]) == ["model", "auc"]


@pytest.mark.parametrize("result", [(1, 2, 3), {"model": 1, "other": 2}, 5, None, (1,)], ids=repr)
def test_results_that_do_not_fit_what_is_declared_fail_the_step(client, result):
    with client.run("churn") as run, pytest.raises(InvalidRequest):
        run.step("fit", outputs=["model", "auc"])(lambda: result)()

    assert attempts(client) == [("fit", "FAILED")]


def test_a_body_may_declare_outputs_beside_its_result(client, tmp_path):
    def fit():
        CALLS.append("fit")
        (tmp_path / "m").write_text("m")
        current_step().output("model", tmp_path / "m", type="Model")
        return 0.9

    with client.run("churn") as run:
        assert [run.call(fit), run.call(fit)] == [0.9, 0.9]
    assert CALLS == ["fit"]


def test_an_object_in_memory_is_passed_on_as_itself(client):
    def load():
        return Opaque(3)

    def count(table):
        return table.rows

    with client.run("churn") as run:
        table = run.call(load)
        assert isinstance(table, Output)
        assert table.value.rows == 3
        assert run.call(count, table) == 3

    (counted,) = executions(client, "count")
    (loaded,) = executions(client, "load")
    components = struct_in(counted.properties["components"])
    assert components["input:table"] == f"made:{loaded.properties['fingerprint'].string_value}#output"
    assert ends(client, counted.id)["INPUT"]["table"] == ends(client, loaded.id)["OUTPUT"]["output"]


def test_an_object_in_memory_is_made_again_and_what_reads_it_is_not(client):
    def load(rows):
        CALLS.append("load")
        return Opaque(rows)

    def count(table):
        CALLS.append("count")
        return table.rows

    for rows in (3, 3, 4):
        with client.run("churn") as run:
            assert run.call(count, run.call(load, rows)) == rows

    assert CALLS == ["load", "count", "load", "load", "count"]


def test_a_lazy_object_is_made_only_if_somebody_needs_it(client):
    def load(rows):
        CALLS.append("load")
        return Opaque(rows)

    def count(table):
        CALLS.append("count")
        return table.rows

    def double(table):
        CALLS.append("double")
        return table.rows * 2

    for names in ([count], [count], [count, double]):
        CALLS.append("run")
        with client.run("churn") as run:
            table = run.step("load", lazy=True)(load)(3)
            for function in names:
                run.call(function, table)

    assert CALLS == ["run", "load", "count", "run", "run", "load", "double"]


def test_an_object_that_persists_comes_back_from_its_file(client, tmp_path):
    def load():
        CALLS.append("load")
        return Table(3)

    for _ in range(2):
        with client.run("churn", directory=tmp_path / "objects", persist=True) as run:
            table = run.call(load)
            assert table.value == Table(3)
            assert table.path.is_relative_to(tmp_path / "objects")

    assert CALLS == ["load"]


def test_an_object_that_persists_is_not_read_from_elsewhere(client, tmp_path):
    def load():
        CALLS.append("load")
        return Table(3)

    for directory in ("a", "b"):
        with client.run("churn", directory=tmp_path / directory, persist=True) as run:
            assert run.call(load).value == Table(3)

    assert CALLS == ["load", "load"]


def test_what_persists_needs_a_directory(client):
    with client.run("churn", persist=True) as run, pytest.raises(FailedPrecondition, match="directory"):
        run.step("load")(lambda: Table(3))()


def test_what_cannot_be_pickled_fails_the_step(client, tmp_path):
    with (
        client.run("churn", directory=tmp_path, persist=True) as run,
        pytest.raises(InvalidRequest, match="cannot be pickled"),
    ):
        run.step("load")(lambda: Opaque(lambda: 3))()

    assert [path for path in tmp_path.rglob("*") if path.is_file() and "objects" in str(path)] == []


def test_an_argument_without_canonical_form_is_named_before_the_call(client):
    def count(table):
        CALLS.append("count")

    with client.run("churn") as run:
        with pytest.raises(InvalidRequest, match="parameter 'table' is of type"):
            run.call(count, Opaque(3))
        run.step("count", exclude="table")(count)(Opaque(3))
        run.step("count", cache="off")(count)(Opaque(3))

    assert CALLS == ["count", "count"]


@pytest.mark.parametrize("by", ["function", "code"])
def test_a_step_whose_code_holds_what_nobody_can_look_at_runs_always_and_says_so(by, client):
    held = (number for number in range(3))

    def count(number):
        CALLS.append("count")
        return (held, number)[1]

    why = (
        f"no fingerprint: held of {__name__}.{count.__qualname__} holds an object of type "
        "'builtins.generator', which cannot be pickled (TypeError: cannot pickle 'generator' object), so "
        "nobody knows whether it changed"
    )
    for _ in range(2):
        with client.run("churn") as run:
            if by == "function":
                assert run.step(count)(3) == 3
                continue
            step = run.step("count", code=count, params={"number": 3})
            found = step.look_up()
            assert (found.is_hit, found.fingerprint, found.why) == (False, "", why)
            with step:
                assert step.must_run
                step.output("number", value=count(3))

    assert CALLS == ["count"] * 2
    assert [one.properties["why"].string_value for one in executions(client, "count")] == [why] * 2
    assert client.explain(executions(client, "count")[1].id).miss.text == why


def test_a_step_that_is_bound_to_another_table_runs_again(client):
    def shown(table, number):
        CALLS.append("shown")
        return f"{table['a'].tolist()} {number}"

    for content in ([1], [1], [2]):
        with client.run("churn") as run:
            step = run.step("shown")(functools.partial(shown, pd.DataFrame({"a": content})))
            assert step(number=1) == f"{content} 1"

    assert CALLS == ["shown"] * 2


def test_declared_arguments_are_inputs(client, raw):
    with client.run("churn") as run:

        @run.step(inputs=["table"])
        def count(table, lr):
            return len(Path(table).read_text())

        count(str(raw), 0.1)

    (execution,) = executions(client, "count")
    assert list(ends(client, execution.id)["INPUT"]) == ["table"]
    assert "parameter.table" not in execution.custom_properties


def test_an_input_that_is_no_argument_is_named(client):
    with client.run("churn") as run, pytest.raises(InvalidRequest, match="inputs names 'tabel'"):
        run.step("count", inputs=["tabel"])(lambda table: 1)("x")


def test_further_inputs_and_parameters_count_too(client, raw):
    def count():
        CALLS.append("count")
        return 1

    def once(run, seed):
        return run.step("count", inputs={"schema": raw}, params={"seed": seed})(count)()

    with client.run("churn") as run:
        once(run, 1)
        once(run, 1)
        once(run, 2)
        raw.write_text("other")
        once(run, 2)

    assert CALLS == ["count"] * 3


def test_outputs_inside_lists_and_mappings_are_inputs(client, tmp_path):
    def part(number):
        path = tmp_path / f"part-{number}"
        path.write_text(str(number))
        return path

    def merge(parts, named, *rest, **more):
        return sum(int(Path(one).read_text()) for one in [*parts, named["x"], *rest, more["last"]])

    with client.run("churn") as run:
        parts = [run.call(part, number) for number in range(5)]
        assert run.call(merge, parts[:2], {"x": parts[2], "y": 1}, parts[3], last=parts[4]) == 10

    (execution,) = executions(client, "merge")
    assert sorted(ends(client, execution.id)["INPUT"]) == [
        "last",
        "named[x]",
        "parts[0]",
        "parts[1]",
        "rest[0]",
    ]


def test_an_error_of_the_function_comes_out_as_it_is(client):
    error = KeyError("x")

    def fail():
        raise error

    with client.run("churn") as run, pytest.raises(KeyError) as raised:
        run.call(fail)

    assert raised.value is error
    assert raised.traceback[-1].name == "fail"
    assert attempts(client) == [("fail", "FAILED")]


def test_arguments_that_do_not_fit_raise_as_ever(client):
    with client.run("churn") as run, pytest.raises(TypeError, match="missing a required argument"):
        run.call(train)

    assert attempts(client) == []


def test_an_edit_of_the_function_runs_it_again(client, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    import importlib
    import sys

    found = []
    for body in ("return 1", "return 1  # as before", "return 2"):
        (tmp_path / "edited.py").write_text(f"def make():\n    {body}\n")
        sys.modules.pop("edited", None)
        importlib.invalidate_caches()
        sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
        module = importlib.import_module("edited")
        sys.dont_write_bytecode = before
        with client.run("churn") as run:
            run.call(module.make)
        found.append(attempts(client)[-1][1])

    assert found == ["COMPLETE", "CACHED", "COMPLETE"]


@step
def doubled(number):
    """Twice as much."""
    CALLS.append("doubled")
    return number * 2


def test_a_function_of_a_module_belongs_to_the_run_that_is_current(client):
    assert doubled(1) == 2
    with client.run("churn", cache="off") as run:
        assert [doubled(2), doubled(2)] == [4, 4]
        assert executions(client, "doubled")[0].name == f"churn/{run.name}/doubled"
    with client.run("churn"):
        assert [doubled(2), doubled(2)] == [4, 4]

    assert CALLS == ["doubled"] * 4


def test_a_function_stays_what_it_is(client):
    assert (doubled.__name__, doubled.__doc__) == ("doubled", "Twice as much.")
    assert pickle.loads(pickle.dumps(doubled)) is doubled


def scaled(number, factor):
    CALLS.append("scaled")
    return number * factor


def test_methods_and_partials_are_functions_too(client):
    class Trainer:
        def fit(self, lr):
            CALLS.append("fit")
            return lr

    with client.run("churn") as run:
        for _ in range(2):
            assert run.step("fit", exclude="self")(Trainer.fit)(Trainer(), 0.1) == 0.1
            assert run.call(functools.partial(scaled, factor=3), 2) == 6
            assert run.call(max, 1, 2) == 2
    assert CALLS == ["fit", "scaled"]
    assert [state for _, state in attempts(client)] == ["COMPLETE"] * 3 + ["CACHED"] * 3


def test_a_function_without_a_name_needs_one(client):
    with client.run("churn") as run, pytest.raises(InvalidRequest, match="has no name of its own"):
        run.call(lambda: 1)


def test_a_step_inside_a_step_is_a_step_of_its_own(client):
    def outer():
        return doubled(2)

    with client.run("churn") as run:
        assert run.call(outer) == 4
    assert attempts(client) == [("outer", "COMPLETE"), ("doubled", "COMPLETE")]


def test_another_steps_output_is_not_returned_as_ones_own(client, tmp_path):
    (tmp_path / "a").write_text("a")

    def first():
        return tmp_path / "a"

    def second(given):
        return given

    with client.run("churn") as run:
        given = run.call(first)
        with pytest.raises(InvalidRequest, match="output of another step"):
            run.call(second, given)
