"""examples/kedro, copied and run: what is skipped, what runs, and where the model comes from."""

import shutil
from pathlib import Path

import pytest

import headwater

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "kedro"
CACHED = "--runner=headwater_kedro.CachedRunner"
NODES = ["mill.clean", "town.clean", "mill.smooth", "town.smooth", "pair_days", "fit", "judge", "publish"]
OF_MODEL = ["pair_days", "fit", "judge"]


@pytest.fixture
def rivers(tmp_path, project_at):
    """The example as it is in a checkout, after its first run."""
    made = shutil.ignore_patterns(".headwater", "__pycache__", "0[2-8]_*")
    shutil.copytree(EXAMPLE, tmp_path / "rivers", ignore=made)
    rivers = project_at(tmp_path / "rivers")
    rivers.run(CACHED)
    return rivers


def what_ran(project):
    """Names of the nodes whose functions were called."""
    return [name for name, states in project.states().items() if "COMPLETE" in states]


def test_the_first_run_runs_and_records_each_node(rivers):
    assert what_ran(rivers) == NODES
    assert rivers.latest().state == "COMPLETE"


def test_the_second_run_is_all_hits_but_for_the_node_without_outputs(rivers):
    rivers.run(CACHED)

    assert what_ran(rivers) == ["publish"]


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        ("lag_days=2", [*OF_MODEL, "publish"]),
        ("mill.window_days=5", ["mill.smooth", *OF_MODEL, "publish"]),
        # What is above was no level of the river before either, so what is made of the levels is the same.
        ("town.highest_cm=800", ["town.clean", "publish"]),
    ],
    ids=["lag", "one gauge", "without effect"],
)
def test_a_changed_parameter_runs_what_depends_on_it(rivers, parameter, expected):
    rivers.run(CACHED, "--params", parameter)

    assert what_ran(rivers) == expected


def test_a_comment_is_no_change_and_another_formula_is_one(rivers):
    module = "src/rivers/pipelines/gauges.py"
    line = "    days = sorted(levels)\n"
    rivers.write(module, rivers.read(module).replace(line, f"    # In their order.\n{line}"))
    rivers.run(CACHED)
    after_comment = what_ran(rivers)
    rivers.write(module, rivers.read(module).replace("window_days + 1)", "window_days)"))
    rivers.run(CACHED)

    assert after_comment == ["publish"]
    assert what_ran(rivers) == ["mill.smooth", "town.smooth", *OF_MODEL, "publish"]


def test_scores_that_were_removed_are_made_again_with_the_days_that_were_in_memory(rivers):
    scores = rivers.path / "data" / "08_reporting" / "scores.json"
    before = scores.read_bytes()
    scores.unlink()
    rivers.run(CACHED)

    assert what_ran(rivers) == ["pair_days", "judge", "publish"]
    assert rivers.states()["pair_days"] == ["CACHED", "COMPLETE"]
    assert scores.read_bytes() == before


def test_each_model_is_traced_to_the_files_as_they_were(rivers, digest):
    mill, town = (rivers.path / "data" / "01_raw" / f"{gauge}.csv" for gauge in ("mill", "town"))
    at_first = {digest(mill), digest(town)}
    mill.write_text(mill.read_text() + "2026-04-20,300\n")
    rivers.run(CACHED)

    with headwater.connect(f"sqlite:///{rivers.path}/.headwater/headwater.db") as store:
        models = [
            artifact
            for artifact in store.list_artifacts(type="Dataset")
            if artifact.custom_properties["dataset"].string_value == "model"
        ]
        raw = [
            {
                row["digest"]
                for row in store.artifact(model.id).upstream().rows()
                if (row["uri"] or "").endswith(".csv")
            }
            for model in models
        ]
    assert raw == [at_first, {digest(mill), digest(town)}]
