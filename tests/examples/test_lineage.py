"""The tour gets the answers that its README shows."""

import re

from examples.readmes import EXAMPLES, User, promised

import headwater


def test_every_command_of_the_readme_prints_what_it_says(user: User) -> None:
    for command, output in promised("lineage"):
        finished = user.runs(command)

        assert finished.returncode == 0, finished.stderr
        shown, _, picture = output.partition("9. As a picture:\n")
        printed, _, drawn = finished.stdout.partition("9. As a picture:\n")
        assert printed == shown, command
        assert drawn == picture or "needs the program dot" in drawn


def test_the_shell_commands_beneath_work(user: User) -> None:
    user.runs("python tour.py")
    text = (EXAMPLES / "lineage" / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^    (headwater .*)$", text, re.MULTILINE)

    assert len(commands) == 4
    for command in commands:
        finished = user.runs(command)
        if "svg" in command and finished.returncode:
            assert "needs the program dot" in finished.stderr
            continue
        assert finished.returncode == 0, finished.stderr
        assert "svg" in command or "Dataset" in finished.stdout


def test_a_second_tour_records_nothing(user: User) -> None:
    first = user.runs("python tour.py").stdout

    assert user.runs("python tour.py").stdout == first
    with headwater.connect(f"sqlite:///{user.directory / 'rents.db'}") as client:
        assert [run.run for run in client.runs("rents")] == ["tuesday", "monday"]


def test_the_questions_have_the_answers_of_what_was_recorded(user: User) -> None:
    user.runs("python tour.py")

    with headwater.connect(f"sqlite:///{user.directory / 'rents.db'}") as client:
        model = client.artifact("Model/rents/tuesday/train/model")
        differing = client.artifact("Model/rents/monday/train/model").diff(model)
        assert [step.step for step in differing.causes] == ["train", "clean"]
        made_by = [
            (row["step"], row["hops"]) for row in model.upstream().rows() if row["kind"] == "execution"
        ]
        assert made_by == [("train", 1), ("clean", 3)]
        impact = model.impact()
        assert {(count.type, count.count) for count in impact.artifacts} == {("Dataset", 1), ("Metrics", 1)}
        assert {count.step for count in impact.executions} == {"evaluate", "forecast"}
