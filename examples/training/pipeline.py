"""Train two classifiers on real data, choose the better one, and trace it back.

python examples/training/pipeline.py            # records in demo.db, files in demo-files/
python examples/training/pipeline.py --target 127.0.0.1:8080
"""

import argparse
import json
import pickle
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import pandas as pd
from recorder import Run
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import headwater
from headwater.client import Store

CANDIDATES = {
    "linear": {"C": 0.5, "max_iter": 500},
    "forest": {"n_estimators": 60, "max_depth": 6},
}


def run_pipeline(store: Store, files: Path, *, seed: int) -> tuple[int, int]:
    """Run all steps; the artifact ids of the chosen model and of its metrics."""
    name = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%f")
    files = files / name
    files.mkdir(parents=True)
    run = Run(store, pipeline="breast-cancer", name=name)

    with run.step("ingest", source="sklearn.datasets.load_breast_cancer") as step:
        table = load_breast_cancer(as_frame=True).frame
        table.to_csv(files / "raw.csv", index=False)
        step.output("raw", "Data", files / "raw.csv", rows=len(table), columns=len(table.columns))
    raw = step.made["raw"]

    with run.step("validate", inputs={"raw": raw}) as step:
        table = pd.read_csv(files / "raw.csv")
        report = {
            "missing": int(table.isna().sum().sum()),
            "duplicates": int(table.duplicated().sum()),
            "classes": {str(key): int(count) for key, count in table["target"].value_counts().items()},
        }
        if report["missing"]:
            raise ValueError(f"{report['missing']} values are missing")
        write_json(files / "validation.json", report)
        step.output("validation", "Report", files / "validation.json", **report)
    validation = step.made["validation"]

    with run.step("split", inputs={"raw": raw, "validation": validation}, test_size=0.3, seed=seed) as step:
        parts = dict(
            zip(("train", "test"), train_test_split(table, test_size=0.3, random_state=seed), strict=True)
        )
        for part, rows in parts.items():
            rows.to_csv(files / f"{part}.csv", index=False)
            step.output(part, "Data", files / f"{part}.csv", rows=len(rows))
    train, test = step.made["train"], step.made["test"]

    models, metrics, scores = {}, {}, {}
    for candidate, parameters in CANDIDATES.items():
        with run.step(f"train-{candidate}", inputs={"train": train}, seed=seed, **parameters) as step:
            model = fit(candidate, pd.read_csv(files / "train.csv"), seed=seed, **parameters)
            path = files / f"{candidate}.pickle"
            path.write_bytes(pickle.dumps(model))
            step.output(candidate, "Model", path, algorithm=type(model[-1]).__name__)
        models[candidate] = step.made[candidate]

        with run.step(f"evaluate-{candidate}", inputs={"model": models[candidate], "test": test}) as step:
            scores[candidate] = evaluate(files / f"{candidate}.pickle", pd.read_csv(files / "test.csv"))
            path = write_json(files / f"{candidate}-metrics.json", scores[candidate])
            step.output(f"{candidate}-metrics", "Metrics", path, **scores[candidate])
        metrics[candidate] = step.made[f"{candidate}-metrics"]

    inputs = models | {f"{candidate}-metrics": metric for candidate, metric in metrics.items()}
    with run.step("choose", inputs=inputs, criterion="auc") as step:
        best = max(scores, key=lambda candidate: scores[candidate]["auc"])
        chosen = files / "model.pickle"
        chosen.write_bytes((files / f"{best}.pickle").read_bytes())
        step.output("model", "Model", chosen, chosen=best, because=f"auc {scores[best]['auc']:.4f}")
    return step.made["model"], metrics[best]


def fit(candidate: str, table: pd.DataFrame, *, seed: int, **parameters: float):
    if candidate == "linear":
        model = make_pipeline(StandardScaler(), LogisticRegression(random_state=seed, **parameters))
    else:
        model = make_pipeline(StandardScaler(), RandomForestClassifier(random_state=seed, **parameters))
    return model.fit(table.drop(columns="target"), table["target"])


def evaluate(model: Path, table: pd.DataFrame) -> dict[str, float]:
    fitted = pickle.loads(model.read_bytes())
    features, labels = table.drop(columns="target"), table["target"]
    return {
        "accuracy": float(accuracy_score(labels, fitted.predict(features))),
        "auc": float(roc_auc_score(labels, fitted.predict_proba(features)[:, 1])),
    }


def write_json(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content, indent=2))
    return path


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

    with headwater.connect(arguments.target) as store:
        runs_before = sum(1 for _ in store.list_contexts(type="Run"))
        chosen, metrics = run_pipeline(store, arguments.files, seed=runs_before)
        lineage = store.lineage(artifact_id=chosen)
        model = lineage.artifacts[chosen]
        print(f"recorded run {runs_before + 1} in {arguments.target}: the chosen model is artifact {chosen}")
        print(
            f"chosen: {model.custom_properties['chosen'].string_value}, by the highest auc on the test data"
        )
        for artifact in store.list_artifacts(
            type="Metrics", filter=f"contexts_r.name = '{model.name.split('/')[0]}'"
        ):
            mark = "*" if artifact.id == metrics else " "
            auc, accuracy = (artifact.properties[name].double_value for name in ("auc", "accuracy"))
            print(f"  {mark} {artifact.name.split('/')[1]:<16} auc {auc:.4f}   accuracy {accuracy:.4f}")

    shell("lineage", "up", str(chosen), "--target", arguments.target)
    if (
        shell("export", "svg", str(chosen), "--target", arguments.target, "--output", str(arguments.picture))
        == 0
    ):
        print(f"\nthe picture is in {arguments.picture.absolute()}")
    else:
        print("\nthe picture needs graphviz' dot program; everything else is recorded all the same")
    print("run `make demo` again for a second run, then: headwater context list --target", arguments.target)


if __name__ == "__main__":
    main()
