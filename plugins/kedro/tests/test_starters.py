"""Real projects that others wrote, as they are: two starters of Kedro's, and the demo project of kedro-viz.

Their code is not ours to hold, so it comes from the directory that ``HEADWATER_KEDRO_STARTERS`` names, where
``spaceflights-pandas/``, ``astro-airflow-iris/`` and ``demo-project/`` are projects or starters. Without it
Kedro's own tools are asked, which fetch from GitHub. What is not to be had is skipped by its name, also where
``HEADWATER_REQUIRE_ALL`` lets nothing else be skipped, because a place without the internet cannot have it.
Where the variable is set, nothing is skipped for want of a project or a package.
"""

import fcntl
import functools
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import kedro
import pytest

import headwater

STARTERS = "HEADWATER_KEDRO_STARTERS"
NEEDED = ("pandas", "sklearn", "openpyxl", "pyarrow", "plotly", "matplotlib", "seaborn", "PIL")
CACHED = "--runner=headwater_kedro.CachedRunner"
HIT, RAN, MADE_AGAIN = ["CACHED"], ["COMPLETE"], ["CACHED", "COMPLETE"]

FLIGHTS, IRIS, DEMO = "spaceflights-pandas", "astro-airflow-iris", "demo-project"
NODES = {
    FLIGHTS: (
        "preprocess_companies_node",
        "preprocess_shuttles_node",
        "create_model_input_table_node",
        "split_data_node",
        "train_model_node",
        "evaluate_model_node",
        "compare_passenger_capacity_exp__8f718582",
        "compare_passenger_capacity_go__54607f37",
        "create_confusion_matrix__e13870c6",
    ),
    IRIS: ("split", "train", "predict", "report"),
    DEMO: (
        "ingestion.apply_types_to_companies",
        "ingestion.apply_types_to_reviews",
        "ingestion.apply_types_to_shuttles",
        "ingestion.company_agg",
        "ingestion.combine_step",
        "ingestion.<lambda>__2de1c226",
        "feature_engineering.create_derived_features__f9089920",
        "feature_engineering.create_feature_importance__173f2884",
        "feature_engineering.create_static_features__dd7d7ef1",
        "feature_engineering.joiner__4cc9d815",
        "split_data__3c1a939c",
        "train_evaluation.linear_regression.train_model__199807b9",
        "train_evaluation.linear_regression.evaluate_model__1c49c35c",
        "train_evaluation.random_forest.train_model__86546ff0",
        "train_evaluation.random_forest.evaluate_model__cefff325",
        "reporting.create_feature_importance_plot__e7a53e99",
        "reporting.create_matplotlib_chart__15c38707",
        "reporting.get_top_shuttles_data__3cb3499e",
        "reporting.make_cancel_policy_bar_chart__7c6d9304",
        "reporting.make_price_analysis_image__4f97d161",
        "reporting.make_price_histogram__e0da8d32",
    ),
}
DERIVED = "feature_engineering.create_derived_features__f9089920"
STATIC = "feature_engineering.create_static_features__dd7d7ef1"
JOINER = "feature_engineering.joiner__4cc9d815"
SPLIT = "split_data__3c1a939c"
LINEAR = "train_evaluation.linear_regression.train_model__199807b9"
JUDGE_LINEAR = "train_evaluation.linear_regression.evaluate_model__1c49c35c"
FOREST = "train_evaluation.random_forest.train_model__86546ff0"
JUDGE_FOREST = "train_evaluation.random_forest.evaluate_model__cefff325"

# A node without outputs runs always, and all that it needs is in memory.
ALL_HIT = {name: dict.fromkeys(nodes, HIT) for name, nodes in NODES.items()}
ALL_HIT[IRIS] = {**dict.fromkeys(NODES[IRIS], MADE_AGAIN), "report": RAN}


# Where the projects come from


class _NotToBeHad(Exception):
    pass


def _call(*command: str) -> None:
    try:
        subprocess.run(
            command,
            check=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "DO_NOT_TRACK": "1", "GIT_TERMINAL_PROMPT": "0"},
        )
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout).strip().splitlines() or ["nothing was said"]
        raise _NotToBeHad(f"{' '.join(command[:4])}: {said[-1]}") from error
    except (subprocess.TimeoutExpired, OSError) as error:
        raise _NotToBeHad(str(error)) from error


def _new_project(starter: str, name: str, place: Path) -> None:
    """As a user has it made by Kedro."""
    answers = place.with_suffix(".yml")
    package = name.replace("-", "_")
    answers.write_text(
        f"output_dir: {place.parent}\nrepo_name: {name}\nproject_name: {name}\npython_package: {package}\n"
    )
    _call(sys.executable, "-m", "kedro", "new", f"--starter={starter}", f"--config={answers}")


def _clone_demo(place: Path) -> None:
    clone = place.with_suffix(".clone")
    url = "https://github.com/kedro-org/kedro-viz"
    _call("git", "clone", "--depth=1", "--filter=blob:none", "--sparse", url, str(clone))
    _call("git", "-C", str(clone), "sparse-checkout", "set", DEMO)
    shutil.copytree(clone / DEMO, place)


def _have(name: str, place: Path) -> None:
    """Have the project ``name`` at ``place``, as its authors published it."""
    directory = os.environ.get(STARTERS)
    if directory:
        given = Path(directory) / name
        if not given.is_dir():
            raise _NotToBeHad(f"there is no {given}")
        if (given / "cookiecutter.json").exists():
            _new_project(str(given), name, place)
        else:
            shutil.copytree(given, place)
    elif name == DEMO:
        _clone_demo(place)
    else:
        _new_project(name, name, place)
    # Kedro refuses a project of another version than its own, until its user says that it is for this one.
    settings = place / "pyproject.toml"
    version = f'kedro_init_version = "{kedro.__version__}"'
    settings.write_text(re.sub(r'kedro_init_version = ".*"', version, settings.read_text()))


@pytest.fixture(scope="session")
def published(tmp_path_factory, project_at):
    """Where a project lies as it is published, and where after a first run. Made once for all workers."""
    base = tmp_path_factory.getbasetemp()
    base = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "starters"
    base.mkdir(exist_ok=True)

    @functools.cache
    def published(name: str) -> tuple[Path, Path]:
        place, after_run = base / name, base / f"{name}-run" / name
        missing, lock = base / f"{name}.missing", base / f"{name}.lock"
        with lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not after_run.exists() and not missing.exists():
                packages = [one for one in NEEDED if importlib.util.find_spec(one) is None]
                try:
                    if packages:
                        raise _NotToBeHad(f"it needs {', '.join(packages)}")
                    _have(name, place)
                except _NotToBeHad as error:
                    missing.write_text(str(error))
                else:
                    shutil.copytree(place, base / "begun" / name)
                    project_at(base / "begun" / name).run(CACHED, MPLBACKEND="Agg")
                    after_run.parent.mkdir()
                    (base / "begun" / name).rename(after_run)
        if missing.exists():
            text = f"{name} is not to be had ({missing.read_text()})"
            if STARTERS in os.environ:
                pytest.fail(text)
            pytest.skip(f"{text}; set {STARTERS} to a directory that holds it")
        return place, after_run

    return published


@pytest.fixture
def copied(tmp_path: Path, published, project_at, monkeypatch):
    """Makes a copy of a project, as published, or after its first run with ``has_run``."""
    # Charts of the demo project would look for a display.
    monkeypatch.setenv("MPLBACKEND", "Agg")

    def copied(name: str, *, has_run: bool):
        if name == DEMO and importlib.util.find_spec("kedro.pipeline.preview_contract") is None:
            pytest.skip(
                f"{DEMO} imports kedro.pipeline.preview_contract, which Kedro {kedro.__version__} lacks"
            )
        place = published(name)[has_run]
        shutil.copytree(place, tmp_path / name)
        return project_at(tmp_path / name)

    return copied


@pytest.fixture
def fresh(copied):
    return lambda name: copied(name, has_run=False)


@pytest.fixture
def done(copied):
    return lambda name: copied(name, has_run=True)


# What is compared


def _label(name: str) -> str:
    return name.partition("@")[0]


GRAPH = """
import json, sys
from kedro.framework.project import pipelines

with KedroSession.create(project_path=project) as session:
    catalog = session.load_context().catalog
nodes = pipelines["__default__"].nodes

def parts(path, value):
    if not isinstance(value, dict):
        return [(path, value)]
    return [one for key in value for one in parts(f"{path}.{key}" if path else key, value[key])]

json.dump({
    node.name: {
        "namespace": node.namespace,
        "tags": sorted(node.tags),
        "inputs": sorted(name.partition("@")[0] for name in node.inputs
                         if name != "parameters" and not name.startswith("params:")),
        "outputs": sorted(name.partition("@")[0] for name in node.outputs),
        "parameters": {path: value for name in node.inputs
                       if name == "parameters" or name.startswith("params:")
                       for path, value in parts(name.partition(":")[2], catalog.load(name))},
    }
    for node in nodes
}, open(sys.argv[1], "w"))
"""


def _graph_of_kedro(project) -> dict[str, dict]:
    """The default pipeline, by name of a node, told by Kedro itself."""
    project.script(GRAPH, "graph.json")
    return json.loads(project.read("graph.json"))


def _plain(value: object) -> object:
    """A parameter as it was, of which the store has lists as JSON."""
    return json.loads(value) if isinstance(value, str) and value[:1] == "[" else value


def _graph_of_record(project) -> dict[str, dict]:
    """The latest run in the same words."""
    return {
        step.step: {
            "namespace": step.tags.get("namespace"),
            "tags": sorted(step.tags.keys() - {"namespace"}),
            "inputs": sorted(_label(one.name) for one in step.inputs),
            "outputs": sorted(_label(one.name) for one in step.outputs),
            "parameters": {name: _plain(value) for name, value in step.parameters.items()},
        }
        for step in project.steps()
    }


def _edges_of_kedro(graph: dict[str, dict]) -> set[tuple[str, str, str]]:
    makers = {name: node for node, told in graph.items() for name in told["outputs"]}
    return {
        (makers[name], name, node)
        for node, told in graph.items()
        for name in told["inputs"]
        if name in makers
    }


def _edges_of_record(project) -> set[tuple[str, str, str]]:
    """Who read the very artifact that another node made."""
    steps = project.steps()
    makers = {one.artifact_id: (step.step, _label(one.name)) for step in steps for one in step.outputs}
    return {
        (*makers[one.artifact_id], step.step)
        for step in steps
        for one in step.inputs
        if one.artifact_id in makers
    }


def _digest(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def _data(project) -> dict[str, str]:
    """The digest of each file of data, by its path."""
    data = project.path / "data"
    return {str(path.relative_to(data)): _digest(path) for path in data.rglob("*") if path.is_file()}


def _newest(project, pattern: str) -> Path:
    """The file that a load reads now; of a versioned dataset that of the newest version."""
    return max(path for path in (project.path / "data").glob(pattern) if path.is_file())


@dataclass(frozen=True)
class Case:
    """A project, what is changed in it, and what a run does then. All other nodes are hits."""

    project: str
    file: str
    change: tuple[str, str]
    ran: tuple[str, ...]
    made_again: tuple[str, ...] = ()

    @property
    def states(self) -> dict[str, list[str]]:
        """The states of all nodes."""
        changed = {**dict.fromkeys(self.ran, RAN), **dict.fromkeys(self.made_again, MADE_AGAIN)}
        return {**ALL_HIT[self.project], **changed}

    def apply(self, project) -> str:
        """Change the file; the text that it had."""
        old, new = self.change
        text = project.read(self.file)
        assert old in text
        project.write(self.file, text.replace(old, new))
        return text


def each(cases: "dict[str, Case]") -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases.values(), ids=cases)


# The tests

ALL = pytest.mark.parametrize("name", [FLIGHTS, IRIS, DEMO])


@pytest.mark.parametrize(
    ("name", "runner"),
    [
        *[(name, "SequentialRunner") for name in (FLIGHTS, IRIS, DEMO)],
        *[(name, "ThreadRunner") for name in (FLIGHTS, IRIS, DEMO)],
        # The demo project has a lambda, which Kedro does not send to another process.
        *[(name, "ParallelRunner") for name in (FLIGHTS, IRIS)],
    ],
)
def test_a_run_is_recorded_as_the_graph_that_kedro_has(fresh, name, runner):
    project = fresh(name)
    project.run(f"--runner={runner}")
    graph = _graph_of_kedro(project)

    assert sorted(graph) == sorted(NODES[name])
    assert _graph_of_record(project) == graph
    assert _edges_of_record(project) == _edges_of_kedro(graph)
    assert project.states() == dict.fromkeys(NODES[name], RAN)
    assert project.latest().state == "COMPLETE"


@ALL
def test_what_a_run_read_and_left_has_the_digest_of_its_file(done, name):
    project = done(name)
    by_digest = {(Path(place).name, digest) for place, digest in _data(project).items()}
    recorded = {
        (one.uri.rpartition("/")[2], one.digest)
        for step in project.steps()
        for one in (*step.inputs, *step.outputs)
        if one.uri.startswith("file:")
    }

    assert recorded
    assert recorded <= by_digest


@pytest.mark.parametrize(
    ("name", "runner"),
    [
        *[(name, "CachedRunner") for name in (FLIGHTS, IRIS, DEMO)],
        *[(name, "CachedThreadRunner") for name in (FLIGHTS, IRIS, DEMO)],
        *[(name, "CachedParallelRunner") for name in (FLIGHTS, IRIS)],
    ],
)
def test_a_second_run_hits_everything_and_touches_no_data(done, name, runner):
    project = done(name)
    before = _data(project)
    project.run(f"--runner=headwater_kedro.{runner}")

    assert project.states() == ALL_HIT[name]
    assert _data(project) == before


SCIENCE = "conf/base/parameters_data_science.yml"
MODELLING = "conf/base/parameters/modelling.yml"
PARAMETERS = {
    "seed-of-the-split": Case(
        FLIGHTS,
        SCIENCE,
        ("random_state: 3", "random_state: 4"),
        ran=("split_data_node", "train_model_node", "evaluate_model_node"),
    ),
    "rate-of-learning": Case(
        IRIS,
        "conf/base/parameters.yml",
        ("example_learning_rate: 0.01", "example_learning_rate: 0.02"),
        ran=("train", "predict", "report"),
        made_again=("split",),
    ),
    "seed-of-both-models": Case(
        DEMO,
        MODELLING,
        ("random_state: 3", "random_state: 4"),
        ran=(SPLIT, LINEAR, JUDGE_LINEAR, FOREST, JUDGE_FOREST),
    ),
    "option-of-one-model": Case(
        DEMO,
        MODELLING,
        ("n_estimators: 100", "n_estimators: 10"),
        ran=(FOREST, JUDGE_FOREST),
        made_again=(SPLIT,),
    ),
    # The project forgets to keep the columns that it derives, so the table is what it was: cut off early.
    "name-of-a-column-that-is-forgotten": Case(
        DEMO,
        "conf/base/parameters/feature_engineering.yml",
        ("conjunction: by", "conjunction: times"),
        ran=(DERIVED, JOINER),
        made_again=(STATIC,),
    ),
}


@each(PARAMETERS)
@pytest.mark.parametrize("runner", ["CachedRunner", "CachedThreadRunner"])
def test_a_parameter_that_changed_runs_exactly_what_it_decides(done, case, runner):
    project = done(case.project)
    case.apply(project)
    project.run(f"--runner=headwater_kedro.{runner}")

    assert project.states() == case.states


def test_a_parameter_that_changed_runs_exactly_what_it_decides_in_other_processes(done):
    case = PARAMETERS["seed-of-the-split"]
    project = done(case.project)
    project.run("--runner=headwater_kedro.CachedParallelRunner", "--params=model_options.random_state=4")

    assert project.states() == case.states


# Here no text is changed, but a file of data is.
OUTPUTS = {
    "parquet": Case(
        FLIGHTS,
        "02_intermediate/preprocessed_shuttles.parquet",
        ("", ""),
        ran=("preprocess_shuttles_node",),
    ),
    "table": Case(
        FLIGHTS, "03_primary/model_input_table.parquet", ("", ""), ran=("create_model_input_table_node",)
    ),
    "model": Case(
        FLIGHTS,
        "06_models/regressor.pickle/*/regressor.pickle",
        ("", ""),
        ran=("train_model_node",),
        made_again=("split_data_node",),
    ),
    "chart": Case(
        FLIGHTS,
        "08_reporting/dummy_confusion_matrix.png/*/*",
        ("", ""),
        ran=("create_confusion_matrix__e13870c6",),
    ),
    "transcoded": Case(
        DEMO, "02_intermediate/typed_shuttles.pq", ("", ""), ran=("ingestion.apply_types_to_shuttles",)
    ),
    "one-of-two-outputs": Case(
        DEMO,
        "03_primary/prm_spine_table.pq",
        ("", ""),
        ran=("ingestion.combine_step",),
        made_again=("ingestion.company_agg",),
    ),
    "of-a-class-of-the-project": Case(
        DEMO,
        "08_reporting/cancellation_policy_grid.png",
        ("", ""),
        ran=("reporting.make_price_analysis_image__4f97d161",),
    ),
    # It is random, so what is made of it is another one.
    "random": Case(
        DEMO,
        "04_feature/feature_importance_output.csv",
        ("", ""),
        ran=(
            "feature_engineering.create_feature_importance__173f2884",
            "reporting.create_feature_importance_plot__e7a53e99",
        ),
    ),
    "one-model-of-two": Case(
        DEMO,
        "06_models/linear_regression.pkl/*/*.pkl",
        ("", ""),
        ran=(LINEAR,),
        made_again=(SPLIT,),
    ),
}


@each(OUTPUTS)
@pytest.mark.parametrize("change", ["deleted", "altered"])
def test_the_producer_of_an_output_that_is_not_what_it_was_runs(done, case, change):
    project = done(case.project)
    file = _newest(project, case.file)
    if change == "deleted":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes() + b"\n")
    project.run(CACHED)

    assert project.states() == case.states


FLIGHTS_NODES = "src/spaceflights_pandas/pipelines"
IRIS_NODES = "src/astro_airflow_iris/pipelines/data_science/nodes.py"
DEMO_NODES = "src/demo_project/pipelines"
CODE = {
    "node": Case(
        FLIGHTS,
        f"{FLIGHTS_NODES}/data_science/nodes.py",
        ("LinearRegression()", "LinearRegression(positive=True)"),
        ran=("train_model_node", "evaluate_model_node"),
        made_again=("split_data_node",),
    ),
    "helper-of-two-with-the-same-result": Case(
        FLIGHTS,
        f"{FLIGHTS_NODES}/data_processing/nodes.py",
        ('x == "t"', 'x.eq("t")'),
        ran=("preprocess_companies_node", "preprocess_shuttles_node"),
    ),
    "helper-of-one": Case(
        FLIGHTS,
        f"{FLIGHTS_NODES}/data_processing/nodes.py",
        ("/ 100", "/ 50"),
        ran=(
            "preprocess_companies_node",
            "create_model_input_table_node",
            "split_data_node",
            "train_model_node",
            "evaluate_model_node",
        ),
    ),
    "comment": Case(
        FLIGHTS,
        f"{FLIGHTS_NODES}/data_processing/nodes.py",
        ('    return x == "t"', '    # True or false.\n    return x == "t"'),
        ran=(),
    ),
    "helper-of-some": Case(
        IRIS,
        IRIS_NODES,
        ("1 / (1 + np.exp(-z))", "1.0 / (1.0 + np.exp(-z))"),
        ran=("train", "predict", "report"),
        made_again=("split",),
    ),
    # The forest is random, and the line is the same again.
    "function-of-two-nodes": Case(
        DEMO,
        f"{DEMO_NODES}/modelling/nodes.py",
        ("regressor_instance.fit(X_train, y_train)", "regressor_instance.fit(X=X_train, y=y_train)"),
        ran=(LINEAR, FOREST, JUDGE_FOREST),
        made_again=(SPLIT,),
    ),
    "helper-of-helpers": Case(
        DEMO,
        f"{DEMO_NODES}/feature_engineering/nodes.py",
        ("[x for x in data.columns if x", "[x for x in list(data.columns) if x"),
        ran=(DERIVED, STATIC, JOINER),
    ),
    "class-of-another-module": Case(
        DEMO,
        f"{DEMO_NODES}/reporting/image_utils.py",
        ("self.border = 50", "self.border = 51"),
        ran=("reporting.make_price_analysis_image__4f97d161",),
    ),
    "lambda": Case(
        DEMO,
        f"{DEMO_NODES}/data_ingestion/pipeline.py",
        ("lambda x: x,", "lambda x: x.copy(),"),
        ran=("ingestion.<lambda>__2de1c226",),
    ),
    "class-of-a-dataset": Case(
        DEMO,
        "src/demo_project/extras/datasets/image_dataset.py",
        ("data.save(f)", 'data.save(f, format="png")'),
        ran=("reporting.make_price_analysis_image__4f97d161",),
    ),
    "options-of-a-dataset": Case(
        DEMO,
        "conf/base/catalog_08_reporting.yml",
        ("log_y: true", "log_y: false"),
        ran=("reporting.make_cancel_policy_bar_chart__7c6d9304",),
    ),
}


@each(CODE)
def test_code_that_changed_runs_exactly_what_uses_it(done, case):
    project = done(case.project)
    case.apply(project)
    project.run(CACHED)

    assert project.states() == case.states


REVERTED = {
    "versioned": (
        Case(FLIGHTS, SCIENCE, ("test_size: 0.2", "test_size: 0.3"), ran=()),
        ("06_models/regressor.pickle/*/regressor.pickle",),
    ),
    "unversioned": (
        Case(
            DEMO,
            "conf/base/parameters/data_ingestion.yml",
            ("- reviews_per_month", "- reviews_per_month\n        - number_of_reviews"),
            ran=(),
        ),
        (
            "02_intermediate/typed_reviews.pq",
            "03_primary/prm_shuttle_company_reviews.pq",
        ),
    ),
}


@pytest.mark.parametrize(("case", "outputs"), REVERTED.values(), ids=REVERTED)
def test_a_parameter_that_is_changed_back_gives_what_it_gave(done, case, outputs):
    project = done(case.project)
    first = [_digest(_newest(project, output)) for output in outputs]
    text = case.apply(project)
    project.run(CACHED)
    second = [_digest(_newest(project, output)) for output in outputs]
    project.write(case.file, text)
    project.run(CACHED)
    third = [_digest(_newest(project, output)) for output in outputs]
    project.run(CACHED)

    assert not set(first) & set(second)
    assert third == first
    assert project.states() == case.states


FAILURES = {
    FLIGHTS: Case(
        FLIGHTS,
        f"{FLIGHTS_NODES}/data_science/nodes.py",
        ("    regressor = LinearRegression()", "    raise RuntimeError('not today')"),
        ran=("train_model_node", "evaluate_model_node"),
        made_again=("split_data_node",),
    ),
    IRIS: Case(
        IRIS,
        IRIS_NODES,
        ("    result = _sigmoid(np.dot(X, model))", "    raise RuntimeError('not today')"),
        ran=("predict", "report"),
        made_again=("split", "train"),
    ),
    DEMO: Case(
        DEMO,
        f"{DEMO_NODES}/modelling/nodes.py",
        ("    y_pred = regressor.predict(X_test)", "    raise RuntimeError('not today')"),
        ran=(JUDGE_LINEAR, JUDGE_FOREST),
        made_again=(SPLIT,),
    ),
}


@each(FAILURES)
def test_a_run_that_failed_in_the_middle_goes_on_from_there(fresh, case):
    project = fresh(case.project)
    text = case.apply(project)
    project.run(CACHED, fails=True)
    failed, state = project.states(), project.latest().state
    project.write(case.file, text)
    project.run(CACHED)

    done = dict.fromkeys(set(NODES[case.project]) - set(case.ran), RAN)
    assert failed == {**done, case.ran[0]: ["FAILED"]}
    assert state == "FAILED"
    assert project.states() == case.states


RAW = {"companies.csv", "reviews.csv", "shuttles.xlsx"}
MODELS = {
    FLIGHTS: ({"train_model_node": RAW}, "companies.csv", "reviews.csv"),
    IRIS: ({"train": {"iris.csv"}}, "iris.csv", "iris.csv"),
    DEMO: ({LINEAR: RAW, FOREST: RAW}, "companies.csv", "reviews.csv"),
}


def _raw_files_of(project, artifact_id: int) -> set[tuple[str, str]]:
    """URI and digest of all that the artifact was made from and that no node made."""
    with headwater.connect(f"sqlite:///{project.path}/.headwater/headwater.db") as store:
        found = store.lineage(artifact_id=artifact_id)
    return {
        (artifact.uri, artifact.properties["digest"].string_value)
        for id_, artifact in found.artifacts.items()
        if found.producer_of(id_) is None
    }


@ALL
def test_each_model_traces_to_exactly_its_own_raw_files(fresh, name):
    nodes, first, second = MODELS[name]
    project = fresh(name)
    raw = project.path / "data/01_raw"
    told: list[tuple[int, set[tuple[str, str]]]] = []

    def run(*options: str) -> None:
        project.run(*options)
        for step in project.steps():
            if step.step in nodes:
                model = next(one for one in step.outputs if not one.name.endswith("experiment_params"))
                files = {((raw / one).as_uri(), _digest(raw / one)) for one in nodes[step.step]}
                told.append((model.artifact_id, files))

    run()
    # Other bytes, and the same table: all that is made of it has the content that it had.
    (raw / first).write_bytes((raw / first).read_bytes() + b"\n")
    run()
    # Another table; what does not depend on it is reused.
    lines = (raw / second).read_bytes().splitlines(keepends=True)
    (raw / second).write_bytes(b"".join(lines[: len(lines) // 2]))
    run(CACHED)

    assert len({artifact_id for artifact_id, _ in told}) == 3 * len(nodes)
    for artifact_id, files in told:
        assert _raw_files_of(project, artifact_id) == files


def test_what_was_made_again_is_what_its_reader_read(done):
    case = PARAMETERS["rate-of-learning"]
    project = done(case.project)
    case.apply(project)
    project.run(CACHED)
    steps = project.steps()
    splits = {step.execution_id: {one.artifact_id for one in step.outputs} for step in steps}
    (again,) = [step for step in steps if step.step == "split" and step.state == "COMPLETE"]
    (train,) = [step for step in steps if step.step == "train"]

    # The split is random, so the one of the first run is not what this model was made from.
    assert {one.artifact_id for one in train.inputs} <= splits[again.execution_id]


def test_nodes_of_one_run_meet_in_one_artifact_also_where_an_older_one_is_reused(fresh):
    project = fresh(FLIGHTS)
    raw = project.path / "data/01_raw"
    companies, reviews = raw / "companies.csv", raw / "reviews.csv"
    text = companies.read_bytes()
    project.run()
    # Twice the same table, made from two files.
    companies.write_bytes(text + b"\n")
    project.run()
    companies.write_bytes(text)
    lines = reviews.read_bytes().splitlines(keepends=True)
    reviews.write_bytes(b"".join(lines[: len(lines) // 2]))
    project.run(CACHED)
    steps = {step.step: step for step in project.steps()}

    ran = ("create_model_input_table_node", "split_data_node", "train_model_node", "evaluate_model_node")
    assert project.states() == {**ALL_HIT[FLIGHTS], **dict.fromkeys(ran, RAN)}
    assert _edges_of_record(project) == _edges_of_kedro(_graph_of_kedro(project))
    files = {((raw / one).as_uri(), _digest(raw / one)) for one in RAW}
    assert _raw_files_of(project, steps["train_model_node"].outputs[0].artifact_id) == files


def test_a_model_that_a_moved_project_makes_of_what_it_had_traces_to_the_raw_files(done):
    case = PARAMETERS["seed-of-the-split"]
    project = done(case.project)
    case.apply(project)
    project.run(CACHED)
    (train,) = [step for step in project.steps() if step.step == "train_model_node"]

    assert project.states() == case.states
    assert _edges_of_record(project) == _edges_of_kedro(_graph_of_kedro(project))
    raw = project.path / "data/01_raw"
    found = _raw_files_of(project, train.outputs[0].artifact_id)
    assert {(Path(uri).name, digest) for uri, digest in found} == {(one, _digest(raw / one)) for one in RAW}
