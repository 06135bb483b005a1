"""A failed run goes on where it failed, from Python and from the shell."""

from examples.readmes import User, promised

import headwater


def test_every_command_of_the_readme_prints_what_it_says(user: User) -> None:
    for command, output in promised("resume"):
        assert user.runs(command).stdout == output, command


def test_what_is_done_is_computed_once_in_three_goes(user: User) -> None:
    for command, _ in promised("resume"):
        user.runs(command)

    with headwater.connect(f"sqlite:///{user.directory / 'orders.db'}") as client:
        (resumed,) = client.runs("orders")
        steps = list(client.steps(resumed))

        assert resumed.state == "COMPLETE"
        assert [(step.step, step.state) for step in steps] == [
            *[("stock", "COMPLETE"), ("collect", "COMPLETE"), ("convert", "FAILED")],
            *[("stock", "CACHED"), ("collect", "CACHED"), ("convert", "FAILED")],
            *[("stock", "CACHED"), ("collect", "CACHED"), ("convert", "COMPLETE"), ("report", "COMPLETE")],
        ]
        errors = [step.error.splitlines()[-1] for step in steps if step.state == "FAILED"]
        assert errors == ["ValueError: there is no rate for CHF", "ValueError: there is no rate for NOK"]


def test_the_failure_is_the_programs_own(user: User) -> None:
    failed = user.runs("python orders.py --run monday")

    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-1] == "ValueError: there is no rate for CHF"
