"""The demo records two runs that can be told apart, each model traced to its own data."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import headwater

pytest.importorskip("sklearn", reason="scikit-learn is not installed: run 'make demo' once")

PIPELINE = Path(__file__).resolve().parents[2] / "examples" / "training" / "pipeline.py"


def run_demo(directory: Path) -> str:
    finished = subprocess.run(
        [sys.executable, str(PIPELINE)],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_two_runs_are_recorded_and_traceable_apart(tmp_path: Path) -> None:
    printed = [run_demo(tmp_path), run_demo(tmp_path)]

    assert "recorded run 1" in printed[0]
    assert "recorded run 2" in printed[1]
    assert all("ingest" in text and "auc" in text for text in printed)
    with headwater.connect(f"sqlite:///{tmp_path / 'demo.db'}") as store:
        runs = list(store.list_contexts(type="Run"))
        assert len(runs) == 2
        for run in runs:
            (model,) = store.list_artifacts(filter=f"name = '{run.name}/model'")
            lineage = store.lineage(artifact_id=model.id)
            assert {context.name for context in lineage.contexts.values()} == {"breast-cancer", run.name}
            made_by = {
                execution.name.removeprefix(f"{run.name}/") for execution in lineage.executions.values()
            }
            steps = {"ingest", "validate", "split", "train-linear", "train-forest"}
            assert made_by == steps | {"evaluate-linear", "evaluate-forest", "choose"}
            chosen = model.custom_properties["chosen"].string_value
            aucs = {
                artifact.name.removeprefix(f"{run.name}/").removesuffix("-metrics"): artifact.properties[
                    "auc"
                ].double_value
                for artifact in store.list_artifacts(type="Metrics", context_id=run.id)
            }
            assert chosen == max(aucs, key=lambda candidate: aucs[candidate])
