"""The demo computes everything once, then nothing, then what depends on the parameter that changed."""

import re
from collections.abc import Iterator

import pytest
from examples.readmes import User

import headwater
from headwater.client import Store

pytest.importorskip("sklearn", reason="scikit-learn is not installed: run 'make demo' once")

STEPS = [
    *["ingest", "validate", "split", "train-linear", "train-forest"],
    *["evaluate-linear", "evaluate-forest", "choose"],
]
DEPENDS_ON_DEPTH = ["train-forest", "evaluate-forest", "choose"]


def run_demo(user: User) -> str:
    finished = user.runs("python pipeline.py")
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> User:
    """Who has run nothing yet; the tests below share this user, because a demo takes its time."""
    return User("training", tmp_path_factory.mktemp("training"))


@pytest.fixture(scope="module")
def first(user: User) -> str:
    """What the first demo printed."""
    return run_demo(user)


@pytest.fixture(scope="module")
def second(user: User, first: str) -> str:
    """What the second demo printed."""
    return run_demo(user)


@pytest.fixture
def client(user: User) -> Iterator[Store]:
    with headwater.connect(f"sqlite:///{user.directory / 'demo.db'}") as client:
        yield client


def states(ran: list[str]) -> dict[str, str]:
    return {step: "COMPLETE" if step in ran else "CACHED" for step in STEPS}


def steps_by_run(client: Store) -> list[dict[str, str]]:
    """For each run, the earliest first, the state of each step."""
    runs = list(client.runs("breast-cancer", descending=False))
    return [{step.step: step.state for step in client.steps(run)} for run in runs]


def test_all_steps_run_then_none_then_those_that_depend_on_the_depth(first: str, client: Store) -> None:
    assert steps_by_run(client)[:3] == [states(STEPS), states([]), states(DEPENDS_ON_DEPTH)]
    counts = re.findall(r"(\d+) steps ran, (\d+) hits, in \d+\.\d\d s", first)
    assert counts == [("8", "0"), ("0", "8"), ("3", "5")]
    assert re.search(r"^  \d\.\d\d s rather than \d+\.\d\d s$", first, re.MULTILINE)
    assert "earlier demo" not in first


def test_cache_explain_names_the_parameter(first: str, client: Store) -> None:
    assert "ran because  parameter:max_depth changed from 6 to 7" in first
    (changed,) = client.runs("breast-cancer", where="params.max_depth = 7")
    explained = client.explain(run=changed, step="train-forest")
    differences = [(one.component, one.old, one.new) for one in explained.miss.differences]
    assert differences == [("parameter:max_depth", "6", "7")]


def test_the_chosen_model_leads_back_to_the_table_and_its_scores_are_recorded(
    first: str, client: Store
) -> None:
    run = next(client.runs("breast-cancer", where="params.max_depth = 7"))
    (chosen,) = (step for step in client.steps(run) if step.step == "choose")
    (model,) = chosen.outputs
    lineage = client.lineage(artifact_id=model.artifact_id, direction="upstream")

    made_by = {step.properties["step"].string_value for step in lineage.executions.values()}
    assert made_by == set(STEPS)
    scores = {
        artifact.name.split("/")[2].removeprefix("evaluate-"): {
            name: value.number_value
            for name, value in artifact.properties["metrics"].struct_value.fields.items()
        }
        for artifact in lineage.artifacts.values()
        if artifact.type == "Metrics"
    }
    assert scores.keys() == {"linear", "forest"}
    best = max(scores, key=lambda name: scores[name]["auc"])
    assert lineage.artifacts[model.artifact_id].custom_properties["chosen"].string_value == best
    assert f"* {best}" in first.partition("3. with")[2]
    recorded = {series.name: series.points[-1].value for series in client.metrics(run)}
    assert recorded == pytest.approx(scores["forest"]), "the other is a hit, and its numbers are its own"


def test_a_second_demo_hits_from_the_beginning_and_tries_another_depth(second: str, client: Store) -> None:
    assert steps_by_run(client)[3:6] == [states([]), states([]), states(DEPENDS_ON_DEPTH)]
    assert "nothing had to run: an earlier demo has done all of it" in second
    assert "with max_depth=8" in second


def test_a_file_that_was_overwritten_is_made_again(user: User, second: str, client: Store) -> None:
    models = (user.directory / "demo-files" / "train-forest").glob("*/model.pickle")
    of_depth_six = min(models, key=lambda path: path.stat().st_mtime_ns)
    of_depth_six.write_bytes(b"something else")

    run_demo(user)

    # It comes out as it was, so what depends on it is a hit.
    assert steps_by_run(client)[6] == states(["train-forest"])
