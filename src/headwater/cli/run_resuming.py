"""What resuming a run would do, and the user's own command that does it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from headwater.cli import run_words, tables, target
from headwater.cli.settings import Setting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headwater.client.run_info import StepPlan

RESUME_VARIABLE = "HEADWATER_RESUME"
"""Names the run that ``client.run`` goes on with, as PIPELINE/RUN."""

_NAMES = {"DONE": "hit", "TO_RUN": "run", "BLOCKED": "blocked"}


def plan_name(plan: str) -> str:
    """What is done with a step, in the words of people: hit, run, blocked."""
    return _NAMES.get(plan, plan.lower())


def looked_at(steps: Sequence[StepPlan]) -> list[StepPlan]:
    """The plan after a look from this machine at the outputs of what is done, where they are.

    A step whose output is gone or altered has to run. Reads contents whose digests are not known yet.
    """
    from headwater.client.content import Expected, check_all
    from headwater.client.recording.places import memo

    found = []
    for step in run_words.with_bar(steps, "looking at outputs", len(steps), least=20):
        # What was only in memory has no place to be looked at.
        outputs = [output for output in step.outputs if output.uri]
        expected = [
            Expected(output.uri, output.digest or None, output.size_bytes, output.stamp or None)
            for output in outputs
        ]
        problems = [
            f"output {output.name!r}: {problem.text}"
            for output, problem in zip(outputs, check_all(expected, memo=memo()), strict=True)
            if problem is not None
        ]
        found.append(replace(step, plan="TO_RUN", why=f"it is done, but {problems[0]}") if problems else step)
    memo().flush()
    return found


def print_plan(steps: Sequence[StepPlan]) -> None:
    """A table of steps, and how many are which."""
    tables.print_table(
        ("step", "plan", "why"),
        [(step.step, plan_name(step.plan), step.why) for step in steps],
        folded=("step", "why"),
    )
    counts = Counter(plan_name(step.plan) for step in steps)
    click.echo()
    told = [f"{counts[name]:,} {name}" for name in _NAMES.values() if counts[name]]
    click.echo(", ".join(told) or "no steps")


def print_plan_on_stderr(steps: Sequence[StepPlan]) -> None:
    """The same for a command whose stdout belongs to somebody else."""
    with contextlib.redirect_stdout(sys.stderr):
        print_plan(steps)


def environment(context: click.Context, *, run: str) -> dict[str, str]:
    """This process's environment, with the run to be resumed and the settings that lead to its store."""
    found = dict(os.environ)
    for option in context.command.params:
        name = str(option.name)
        if isinstance(option, Setting) and context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            found[str(option.envvar)] = str(context.params[name])
    found["HEADWATER_TARGET"] = target.chosen_target(context.params["target"], context.params["database_url"])
    found[RESUME_VARIABLE] = run
    return found


def run_command(command: Sequence[str], variables: dict[str, str]) -> int:
    """Run the user's command in the foreground; its exit code, 128 and more if a signal ended it.

    Raises:
        click.ClickException: there is no such program.
    """
    program = shutil.which(command[0], path=variables.get("PATH"))
    if program is None:
        raise click.ClickException(f"there is no program {command[0]!r}; give it as in a shell, after --")
    with subprocess.Popen([program, *command[1:]], env=variables) as process:
        while True:
            try:
                code = process.wait()
                break
            except KeyboardInterrupt:
                # It has got the same signal, and ends in its own way.
                continue
    return code if code >= 0 else 128 - code
