"""Every block of the guide runs and prints what it says."""

import re
from pathlib import Path

import pytest

import headwater
from headwater.client import recording

GUIDE = (Path(__file__).parents[2] / "docs" / "recording.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)


def test_the_blocks_run_one_after_the_other_and_print_what_they_say(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("raw.csv").write_text("age,income\n41,10\n")
    # A module of its own file, as functions have when they are not typed in.
    names: dict[str, object] = {"__name__": "guide"}
    for number, block in enumerate(BLOCKS):
        expected = "".join(line[2:] + "\n" for line in block.splitlines() if line.startswith("# "))
        exec(compile(block, f"guide-{number}.py", "exec"), names)
        assert capsys.readouterr().out == expected
    names["client"].close()  # type: ignore[attr-defined]  # a store


def test_the_first_block_is_skipped_when_it_runs_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("raw.csv").write_text("age,income\n41,10\n")
    Path("guide_first.py").write_text(BLOCKS[0])
    for _ in range(2):
        names: dict[str, object] = {"__name__": "guide_first"}
        exec(compile(BLOCKS[0], "guide_first.py", "exec"), names)
    client = names["client"]
    states = [one.last_known_state for one in client.list_executions(type="headwater.Step")]  # type: ignore[attr-defined]  # a store
    client.close()  # type: ignore[attr-defined]  # a store

    assert states == [3, 3, 5, 5]


@pytest.mark.parametrize("name", ["File", "current_step", "step"])
def test_the_names_of_the_guide_are_public(name):
    assert getattr(headwater, name) is getattr(recording, name)


@pytest.mark.parametrize(
    "option", ["cache", "force", "max_age", "salt", "environment", "wait_timeout", "never_waits"]
)
def test_every_option_of_the_cache_is_described(option):
    assert f"`{option}" in GUIDE
