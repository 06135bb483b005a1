"""Train two classifiers on real data, choose the better one, and trace it back.

It runs three times: the first time everything is computed, the second time nothing, and the third time,
with another depth of the forest, what depends on that.

python examples/training/pipeline.py            # records in demo.db, files in demo-files/
python examples/training/pipeline.py --target 127.0.0.1:8080
"""

import argparse
import json
import pickle
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import headwater
from headwater.client import File, Output, Store, current_step, step
from headwater.errors import NotFound

PIPELINE = "breast-cancer"
PARAMETERS = {"test_size": 0.3, "seed": 0, "C": 0.5, "n_estimators": 300, "max_depth": 6}


# The steps: plain functions that read files and return the files that they wrote.


@step(outputs={"table": "Dataset"})
def ingest() -> File:
    table = load_breast_cancer(as_frame=True).frame
    table.to_csv(place("table.csv"), index=False)
    return File(place("table.csv"), preview=True)


@step(outputs={"report": "Report"})
def validate(table: Output) -> Path:
    rows = pd.read_csv(table)
    report = {
        "missing": int(rows.isna().sum().sum()),
        "duplicates": int(rows.duplicated().sum()),
        "classes": {str(key): int(count) for key, count in rows["target"].value_counts().items()},
    }
    if report["missing"]:
        raise ValueError(f"{report['missing']} values are missing")
    return write_json(report, "report.json")


@step(outputs={"train": "Dataset", "test": "Dataset"})
def split(table: Output, report: Output, *, test_size: float, seed: int) -> tuple[Path, Path]:
    train, test = train_test_split(pd.read_csv(table), test_size=test_size, random_state=seed)
    train.to_csv(place("train.csv"), index=False)
    test.to_csv(place("test.csv"), index=False)
    return place("train.csv"), place("test.csv")


@step("train-linear", outputs={"model": "Model"})
def train_linear(train: Output, *, C: float, seed: int) -> File:  # noqa: N803  # scikit-learn's name
    return fitted(LogisticRegression(C=C, max_iter=500, random_state=seed), train)


@step("train-forest", outputs={"model": "Model"})
def train_forest(train: Output, *, n_estimators: int, max_depth: int, seed: int) -> File:
    forest = RandomForestClassifier(n_estimators=n_estimators, max_depth=max_depth, random_state=seed)
    return fitted(forest, train)


def evaluate(model: Output, test: Output) -> File:
    rows = pd.read_csv(test)
    features, labels = rows.drop(columns="target"), rows["target"]
    classifier = pickle.loads(model.path.read_bytes())
    scores = {
        "accuracy": float(accuracy_score(labels, classifier.predict(features))),
        "auc": float(roc_auc_score(labels, classifier.predict_proba(features)[:, 1])),
    }
    for name, score in scores.items():
        current_step().metric(name, score)
    return File(write_json(scores, "scores.json"), metrics=scores)


@step(outputs={"model": "Model"})
def choose(models: Mapping[str, Output], scores: Mapping[str, Output], *, criterion: str) -> File:
    best = max(scores, key=lambda name: read_json(scores[name])[criterion])
    chosen = place("model.pickle")
    chosen.write_bytes(models[best].path.read_bytes())
    return File(chosen, properties={"chosen": best, "by": criterion})


# The pipeline


def pipeline(
    *, test_size: float, seed: int, n_estimators: int, max_depth: int, **linear: float
) -> tuple[Output, dict[str, Output]]:
    """Run all steps in the current run: the chosen model, and the scores of both."""
    table = ingest()
    train, test = split(table, validate(table), test_size=test_size, seed=seed)
    models = {
        "linear": train_linear(train, seed=seed, **linear),
        "forest": train_forest(train, n_estimators=n_estimators, max_depth=max_depth, seed=seed),
    }
    scores = {}
    for name, model in models.items():
        # One function, two steps: each needs a name of its own.
        scored = step(f"evaluate-{name}", outputs={"scores": "Metrics"})(evaluate)
        scores[name] = scored(model, test)
    return choose(models, scores, criterion="auc"), scores


def place(name: str) -> Path:
    """Where the current step writes ``name``: in a directory of its fingerprint.

    So the files of one parameter's value are not overwritten by those of another.
    """
    this = current_step()
    directory = this.run.directory / this.name / this.fingerprint.removeprefix("hw1:")[:12]
    directory.mkdir(parents=True, exist_ok=True)
    return directory / name


def fitted(estimator: object, train: Output) -> File:
    rows = pd.read_csv(train)
    model = make_pipeline(StandardScaler(), estimator).fit(rows.drop(columns="target"), rows["target"])
    place("model.pickle").write_bytes(pickle.dumps(model))
    return File(place("model.pickle"), properties={"algorithm": type(estimator).__name__})


def write_json(content: object, name: str) -> Path:
    place(name).write_text(json.dumps(content, indent=2))
    return place(name)


def read_json(file: Output) -> dict[str, float]:
    return json.loads(file.path.read_text())


# The demo


def record(store: Store, files: Path, title: str, **changed: float) -> tuple[Output, int, float]:
    """Run the pipeline, with its parameters but for those ``changed``; print what became of each step.

    The chosen model, how many steps ran, and how many seconds all of it took.
    """
    parameters = {**PARAMETERS, **changed}
    start = time.perf_counter()
    with store.run(PIPELINE, params=parameters, directory=files) as run:
        model, scores = pipeline(**parameters)
    seconds = time.perf_counter() - start
    steps = list(store.steps(run))
    ran = sum(step.state != "CACHED" for step in steps)
    print(f"\n{title}: run {run.name}, {ran} steps ran, {len(steps) - ran} hits, in {seconds:.2f} s")
    for attempt in steps:
        print(f"  {attempt.step:<16} {'hit' if attempt.state == 'CACHED' else 'ran':<4} {attempt.why}")
    best = model.artifact().properties["chosen"]
    for name, file in scores.items():
        told = "   ".join(f"{metric} {score:.4f}" for metric, score in read_json(file).items())
        print(f"  {'*' if name == best else ' '} {name:<8} {told}")
    return model, ran, seconds


def depths_tried(store: Store) -> set[int]:
    """The depths of the forest in the runs that there are."""
    try:
        return {int(run.parameters["max_depth"]) for run in store.runs(PIPELINE)}
    except NotFound:
        return set()


def shell(*arguments: str) -> int:
    """Run the ``headwater`` command, as a user would."""
    print(f"\n$ headwater {' '.join(arguments)}", flush=True)
    return subprocess.run([sys.executable, "-m", "headwater.cli", *arguments], check=False).returncode


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--target", default="sqlite:///demo.db", help="a database URL, or HOST:PORT of a server"
    )
    parser.add_argument("--files", type=Path, default=Path("demo-files"), help="where the files of runs go")
    parser.add_argument("--picture", type=Path, default=Path("demo.svg"), help="the picture of the lineage")
    arguments = parser.parse_args()
    target = ("--target", arguments.target)

    with headwater.connect(arguments.target) as store:
        tried = depths_tried(store)
        _, ran, first_s = record(store, arguments.files, "1. the pipeline")
        if not ran:
            print("  nothing had to run: an earlier demo has done all of it")
        _, _, second_s = record(store, arguments.files, "2. the same again")
        if ran:
            print(f"  {second_s:.2f} s rather than {first_s:.2f} s")
        depth = max({*tried, int(PARAMETERS["max_depth"])}) + 1
        model, _, _ = record(store, arguments.files, f"3. with max_depth={depth}", max_depth=depth)

    print("\nWhy did the forest run?")
    shell("cache", "explain", f"{PIPELINE}/train-forest", *target)
    print("\nWhere did the chosen model come from?")
    chosen = str(model.artifact_id)
    shell("lineage", "up", chosen, *target)
    if shell("export", "svg", chosen, "--direction", "up", "--output", str(arguments.picture), *target) == 0:
        print(f"\nthe picture is in {arguments.picture.absolute()}")
    else:
        print("\nthe picture needs graphviz' dot program; everything else is recorded all the same")
    print("\nrun it again: all hits from the beginning. Then ask for the runs:")
    print(f"headwater run list {PIPELINE} {' '.join(target)}")


if __name__ == "__main__":
    main()
