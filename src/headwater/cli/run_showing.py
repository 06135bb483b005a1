"""One run on the terminal: what it was given, what it came to, and what became of each step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from headwater.cli import run_words, tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from headwater.client.run_info import RunInfo, StepInfo

_LINES_OF_AN_ERROR = 12


def print_run(run: RunInfo, steps: Sequence[StepInfo]) -> None:
    """The run, then its parameters and metrics, then its attempts in the order in which they began."""
    tables.print_fields(
        {
            "run": f"{run.pipeline}/{run.run}",
            "id": run.run_id,
            "state": run.state,
            "started": tables.exact_time(run.start_ms) or None,
            "ended": tables.exact_time(run.end_ms) or None,
            "took": run_words.lasted(run.start_ms, run.end_ms) or None,
            "owner": run.owner or None,
            "trigger": run.trigger or None,
            "description": run.description or None,
            "tags": _pairs(run.tags) or None,
            "code": _pairs(run.code or {}) or None,
            "environment": _pairs(run.environment or {}) or None,
            "part of": ", ".join(f"run {parent}" for parent in run.parent_run_ids) or None,
        }
    )
    newest = {step.step: step for step in steps}
    if run.error and _end(run.error) not in [_end(step.error) for step in newest.values()]:
        print_error("error", run.error)
    print_section(
        "parameters",
        ("name", "value"),
        [(name, run_words.value(run.parameters[name])) for name in sorted(run.parameters)],
        folded=("value",),
    )
    print_section(
        "metrics",
        ("name", "value"),
        [(name, run_words.number(run.metrics[name])) for name in sorted(run.metrics)],
        numbers=("value",),
    )
    print_section(
        "steps",
        ("execution", "step", "attempt", "state", "took", "why"),
        [
            (step.execution_id, step.step, step.attempt, step.state, lasted(step), reason(step))
            for step in steps
        ],
        numbers=("execution", "attempt"),
        folded=("step", "why"),
        dropped=("execution",),
    )
    begun = {step.step for step in steps}
    waiting = [planned.step for planned in run.planned_steps if planned.step not in begun]
    if waiting:
        click.echo()
        click.echo(f"not begun: {', '.join(map(tables.text, waiting))}")
    for step in newest.values():
        if step.error:
            print_error(f"error of {tables.text(step.step)}", step.error)


def _end(error: str) -> str:
    """What was raised, however far it came."""
    return error.strip().rpartition("\n")[2]


def lasted(step: StepInfo, *, until_ms: int = 0) -> str:
    """How long an attempt took, or has been going on at ``until_ms``; what was reused took no time."""
    return "" if step.state == "CACHED" else run_words.lasted(step.start_ms, step.end_ms, until_ms=until_ms)


def reason(step: StepInfo) -> str:
    """Why an attempt ran, or what it took instead of running."""
    if step.state == "CACHED":
        return f"hit: outputs of execution {step.cached_execution_id}"
    if step.state == "RUNNING" and step.worker:
        return f"{step.worker} is at it since {tables.time(step.start_ms)}; {step.why}".removesuffix("; ")
    return step.why


def print_error(title: str, error: str) -> None:
    """The end of an error's text, which says what happened."""
    lines = error.strip().splitlines()
    click.echo()
    click.secho(title, bold=True, underline=True)
    if len(lines) > _LINES_OF_AN_ERROR:
        click.echo(f"({run_words.counted(len(lines) - _LINES_OF_AN_ERROR, 'line')} before these: see --json)")
    for line in lines[-_LINES_OF_AN_ERROR:]:
        click.echo(tables.text(line))


def print_section(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], **options: Any) -> None:
    """A table under a title; nothing where it has no rows."""
    rows = list(rows)
    if rows:
        click.echo()
        click.secho(title, bold=True, underline=True)
        tables.print_table(columns, rows, **options)


def _pairs(values: Mapping[str, Any]) -> str:
    told = {name: tables.text(value) for name, value in values.items()}
    return ", ".join(f"{name}={told[name]}" for name in sorted(told) if told[name])
