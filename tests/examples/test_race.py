"""Of two processes that need the same step one computes it, and the other waits for what comes out."""

import re

from examples.readmes import User

import headwater


def test_one_process_computes_and_the_other_waits_for_it(user: User) -> None:
    finished = user.runs("python race.py")

    assert finished.returncode == 0, finished.stderr
    said = re.findall(r"^(red|blue|late)-\d+ \(process (\d+)\): (.*)$", finished.stdout, re.MULTILINE)
    process = {color: number for color, number, _ in said}
    (computes,) = (color for color, _, words in said if words == "computing")
    (waits,) = {"red", "blue"} - {computes}
    (waited,) = (words for color, _, words in said if color == waits and "being computed" in words)
    assert f":{process[computes]} (execution 1)" in waited
    results = {color: words.split()[3] for color, _, words in said if words.startswith("has pi")}
    assert results.keys() == {"red", "blue", "late"}
    assert len(set(results.values())) == 1


def test_the_step_is_complete_once_and_a_hit_twice(user: User) -> None:
    user.runs("python race.py")

    with headwater.connect(f"sqlite:///{user.directory / 'race.db'}") as client:
        runs = list(client.runs("race"))
        steps = [step for run in runs for step in client.steps(run)]

        assert sorted(step.state for step in steps) == ["CACHED", "CACHED", "COMPLETE"]
        assert {step.cached_execution_id for step in steps if step.state == "CACHED"} == {1}
        assert len({step.worker for step in steps}) == 3


def test_without_the_file_it_is_computed_once_more(user: User) -> None:
    user.runs("python race.py")
    for file in (user.directory / "race-files").iterdir():
        file.unlink()

    again = user.runs("python race.py")

    assert again.stdout.count("computing\n") == 1
    with headwater.connect(f"sqlite:///{user.directory / 'race.db'}") as client:
        (stats,) = client.cache_stats("race")
        assert (stats.completed, stats.hits, stats.invalidated) == (2, 4, 1)
