"""A small project of Kedro in a directory of its own, run by Kedro's own command."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
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

REGISTRY = """
import functools
from kedro.pipeline import Pipeline, node
from shop import nodes

def register_pipelines():
    return {{"__default__": Pipeline([{pipeline}])}}
"""

BOOTSTRAP = """
from pathlib import Path
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

project = Path.cwd()
bootstrap_project(project)
"""


class Project:
    def __init__(self, path: Path, files: Mapping[str, str] = FILES) -> None:
        self.path = path
        for name, text in files.items():
            self.write(name, text)

    def write(self, name: str, text: str) -> None:
        place = self.path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def read(self, name: str) -> str:
        return (self.path / name).read_text()

    def hold(self, nodes: str, pipeline: str, catalog: str, parameters: str = "{}") -> None:
        """Have another pipeline: a list of nodes, whose functions are those of `shop.nodes`."""
        self.write("src/shop/nodes.py", nodes)
        self.write("src/shop/pipeline_registry.py", REGISTRY.format(pipeline=pipeline))
        self.write("conf/base/catalog.yml", catalog)
        self.write("conf/base/parameters.yml", parameters)

    def run(self, *options: str, fails: bool = False, **env: str) -> str:
        """What `kedro run` prints."""
        return self._call(["-m", "kedro", "run", *options], fails, env)

    def script(self, text: str, *options: str, fails: bool = False, **env: str) -> str:
        """What a program prints that works with the project as Kedro's own commands do."""
        return self._call(["-c", BOOTSTRAP + text, *options], fails, env)

    def _call(self, command: list[str], fails: bool, env: dict[str, str]) -> str:
        done = subprocess.run(
            [sys.executable, *command],
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


@pytest.fixture(scope="session")
def new_project(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Project]:
    """Makes a project, for fixtures that several tests look at."""
    return lambda: Project(tmp_path_factory.mktemp("project") / "shop")


@pytest.fixture(scope="session")
def project_at() -> Callable[[Path], Project]:
    """A project that is there already."""
    return lambda path: Project(path, {})


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "shop")


@pytest.fixture(scope="session")
def digest() -> Callable[[Path], str]:
    """The digest of a file as the store has it."""
    return lambda path: f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
