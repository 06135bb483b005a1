"""Every block of the README runs and prints what it says."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from databases import empty_database, require

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^ *```(\w+)\n(.*?)^ *```", README, re.MULTILINE | re.DOTALL)


def python(code: str, directory: Path) -> str:
    finished = subprocess.run(
        [sys.executable, "-c", code], cwd=directory, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def first_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory where the first block was run."""
    directory = tmp_path_factory.mktemp("readme")
    python(next(code for language, code in BLOCKS if language == "python"), directory)
    return directory


def test_the_first_pipeline_is_short() -> None:
    first = next(code for language, code in BLOCKS if language == "python")

    assert len(first.splitlines()) <= 17


def test_the_question_prints_what_the_readme_says(first_pipeline: Path) -> None:
    first, question = [code for language, code in BLOCKS if language == "python"][:2]
    connect = 'import headwater\nstore = headwater.connect("sqlite:///first.db")\n'
    expected = "".join(line[2:] + "\n" for line in question.splitlines() if line.startswith("# "))

    assert python(connect + question, first_pipeline) == expected
    assert first.count("headwater.connect") == 1


def test_the_stand_in_opens_a_database(first_pipeline: Path) -> None:
    (block,) = (code for language, code in BLOCKS if language == "python" and "mlmd" in code)
    code = "\n".join(line.removeprefix("  ") for line in block.splitlines())

    assert python(code + "\nprint(store.get_artifacts())", first_pipeline) == "[]\n"


COMMANDS = [
    line.removeprefix("$ ")
    for language, code in BLOCKS
    if language == "console"
    for line in code.splitlines()
    if line.startswith("$ ")
]


TEAMS_DATABASE = "postgresql://user:password@db.example/metadata"


@pytest.fixture(scope="module")
def teams_database() -> Iterator[str]:
    """What stands for the database server of the README's examples."""
    require("postgresql")
    with empty_database("postgresql") as url:
        yield url


@pytest.mark.parametrize("command", [command for command in COMMANDS if " serve" not in command])
def test_the_command_runs(first_pipeline: Path, command: str, request: pytest.FixtureRequest) -> None:
    if TEAMS_DATABASE in command:
        command = command.replace(TEAMS_DATABASE, request.getfixturevalue("teams_database"))
    program, *arguments = shlex.split(command, comments=True)
    assert program == "headwater"

    finished = subprocess.run(
        [sys.executable, "-m", "headwater.cli", *arguments],
        cwd=first_pipeline,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NO_COLOR": "1"},
    )
    if "svg" in arguments and finished.returncode == 1:
        assert "dot" in finished.stderr, "without graphviz' program the message names it"
        return
    assert finished.returncode == 0, finished.stderr
    if arguments[0] == "db":
        return
    assert "tips" in finished.stdout + "".join(path.name for path in first_pipeline.glob("tips.*"))


def test_files_that_the_readme_links_exist() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)

    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_target_that_the_readme_names_is_in_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)", README, re.MULTILINE))

    assert {"demo", "test", "check", "help"} <= named
    assert [target for target in named if f"\n{target}:" not in makefile] == []
