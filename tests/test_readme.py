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

from headwater.embedded import open_transport

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^ *```(\w+)\n(.*?)^ *```", README, re.MULTILINE | re.DOTALL)


def dedented(block: str) -> str:
    """A block of a list, which is indented with it."""
    return "".join(line.removeprefix("  ") + "\n" for line in block.splitlines())


def said(code: str) -> list[str]:
    """What a block says that it prints."""
    return [line.removeprefix("# ") for line in code.splitlines() if line.startswith("# ")]


PYTHON = [code for language, code in BLOCKS if language == "python"]
# One program in several blocks: the first pipeline, and what is asked and done with it after that.
STORY = [code for code in PYTHON if not code.startswith("  ")]
# Blocks that stand for themselves.
ALONE = [dedented(code) for code in PYTHON if code.startswith("  ")]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A directory where the blocks of the story were run, and what they printed."""
    directory = tmp_path_factory.mktemp("readme")
    # Decorators need a file to read the source from.
    (directory / "pipeline.py").write_text("\n".join(STORY), encoding="utf-8")
    finished = run_in(directory, "pipeline.py")
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == ""
    return directory, finished.stdout.splitlines()


def run_in(directory: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run Python in a directory, with a spool and a memo of digests of its own."""
    state = dict.fromkeys(("XDG_STATE_HOME", "LOCALAPPDATA", "HEADWATER_SPOOL_DIR"), str(directory / "state"))
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=directory,
        env={**os.environ, **state, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_first_pipeline_has_under_15_lines() -> None:
    code = [line for line in STORY[0].splitlines() if line and not line.startswith("# ")]

    assert len(code) < 15


def test_the_blocks_print_what_the_readme_says(story: tuple[Path, list[str]]) -> None:
    _, printed = story

    assert printed == [line for block in STORY for line in said(block)]
    assert all(said(block) for block in STORY)


@pytest.mark.parametrize("block", ALONE, ids=["stand-in", "messages"])
def test_what_users_of_ml_metadata_are_shown_works(tmp_path: Path, block: str) -> None:
    (tmp_path / "program.py").write_text(block, encoding="utf-8")

    finished = run_in(tmp_path, "program.py")

    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.splitlines() == said(block)


COMMANDS = [
    line.removeprefix("$ ")
    for language, code in BLOCKS
    if language == "console"
    for line in code.splitlines()
    if line.startswith("$ ")
]


TEAMS_DATABASE = "postgresql://user:password@db.example/metadata"


@pytest.fixture
def new_database() -> Iterator[str]:
    """What stands for the database of the README's examples before there is anything in it."""
    require("postgresql")
    with empty_database("postgresql") as url:
        yield url


@pytest.fixture
def teams_database(new_database: str) -> str:
    """The same once it is a store."""
    open_transport(new_database).close()
    return new_database


# What a command of the story is to find, where that is more than nothing.
FINDS = {
    "lineage up": "rate=0.2",
    "lineage diff": "parameter:rate  0.1 → 0.2",
    "lineage impact": "Model",
    "cache explain": "parameter:rate changed from 0.1 to 0.2",
    "cache stats": "train",
    "cache invalidate": "train",
    "run plan": "it is complete",
    "run resume": "there is nothing to resume",
    "run list": "0.25",
    "run show": "team=fares",
    "run watch": "COMPLETE",
}


@pytest.mark.parametrize("command", [command for command in COMMANDS if " serve" not in command])
def test_the_command_runs(
    story: tuple[Path, list[str]], command: str, request: pytest.FixtureRequest
) -> None:
    directory, _ = story
    if TEAMS_DATABASE in command:
        database = request.getfixturevalue("new_database" if " db copy " in command else "teams_database")
        command = command.replace(TEAMS_DATABASE, database)
    program, *arguments = shlex.split(command, comments=True)
    assert program == "headwater"

    finished = run_in(directory, "-m", "headwater.cli", *arguments)

    if "svg" in arguments and finished.returncode == 1:
        assert "dot" in finished.stderr, "without graphviz' program the message names it"
        return
    assert finished.returncode == 0, finished.stderr
    assert FINDS.get(" ".join(arguments[:2]), "") in finished.stdout + finished.stderr
    if "svg" in arguments:
        assert "train" in (directory / "tips.svg").read_text(encoding="utf-8")


def test_files_that_the_readme_links_exist() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)

    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_target_that_the_readme_names_is_in_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)", README, re.MULTILINE))

    assert {"demo", "test", "check", "help"} <= named
    assert [target for target in named if f"\n{target}:" not in makefile] == []
