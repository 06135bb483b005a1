"""A small project of Kedro in a directory of its own, run by Kedro's own command."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import headwater

FILES = {
    "pyproject.toml": """
[tool.kedro]
package_name = "shop"
project_name = "shop"
kedro_init_version = "1.0.0"
source_dir = "src"
""",
    "src/shop/__init__.py": "",
    "src/shop/settings.py": "",
    "src/shop/helpers.py": "def doubled(number):\n    return number * 2\n",
    "src/shop/nodes.py": """
from shop.helpers import doubled

def clean(raw):
    return [line for line in raw.split() if line]

def split(rows, size):
    return rows[:size], rows[size:]

def train(train_rows, rate):
    return {"weight": doubled(sum(map(int, train_rows))) * rate}

def judge(model, test_rows):
    return f"{model['weight']} of {len(test_rows)}"
""",
    "src/shop/pipeline_registry.py": """
from kedro.pipeline import Pipeline, node
from shop import nodes

def register_pipelines():
    return {"__default__": Pipeline([
        node(nodes.clean, "raw", "rows", name="clean"),
        node(nodes.split, ["rows", "params:size"], ["train_rows", "test_rows"], name="split"),
        node(nodes.train, ["train_rows", "params:rate"], "model", name="train"),
        node(nodes.judge, ["model", "test_rows"], "report", name="judge"),
    ])}
""",
    "conf/base/parameters.yml": "size: 2\nrate: 3\n",
    "conf/base/catalog.yml": """
raw: {type: text.TextDataset, filepath: data/raw.txt}
rows: {type: json.JSONDataset, filepath: data/rows.json}
model: {type: json.JSONDataset, filepath: data/model.json, versioned: true}
report: {type: text.TextDataset, filepath: data/report.txt}
""",
    "conf/local/.gitkeep": "",
    "data/raw.txt": "1 2 3 4",
}


class Project:
    def __init__(self, path: Path) -> None:
        self.path = path
        for name, text in FILES.items():
            self.write(name, text)

    def write(self, name: str, text: str) -> None:
        place = self.path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def run(self, *options: str, fails: bool = False, **env: str) -> str:
        """What `kedro run` prints."""
        done = subprocess.run(
            [sys.executable, "-m", "kedro", "run", *options],
            check=False,
            cwd=self.path,
            env={**os.environ, "DO_NOT_TRACK": "1", "XDG_STATE_HOME": str(self.path / "state"), **env},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert bool(done.returncode) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    def states(self) -> dict[str, list[str]]:
        """Of the latest run, by node the states of its attempts."""
        found: dict[str, list[str]] = {}
        for step in self.steps():
            found.setdefault(step.step, []).append(step.state)
        return found

    def steps(self):
        with headwater.connect(f"sqlite:///{self.path}/.headwater/headwater.db") as store:
            return list(store.steps(next(iter(store.runs())).run_id))

    def latest(self):
        with headwater.connect(f"sqlite:///{self.path}/.headwater/headwater.db") as store:
            return next(iter(store.runs()))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "shop")
