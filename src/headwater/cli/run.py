"""``headwater run``: what runs there are, what became of one, how several differ, and going on with one."""

from __future__ import annotations

import sys
from itertools import islice
from typing import TYPE_CHECKING

import click

from headwater.cli import run_options
from headwater.cli.target import asks_store, json_option

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from headwater.client import Store
    from headwater.client.conditions import Condition, Field
    from headwater.client.run_info import RunInfo, StepInfo, StepPlan

_ROWS_IN_A_TABLE = 50
_PAGE_SIZE = 500


@click.group()
def run() -> None:
    """Runs of pipelines: their parameters, metrics and steps.

    RUN is PIPELINE/RUN, the id of a run, or PIPELINE for its latest run.
    """


@run.command(
    "list",
    epilog="""\b
Examples:
  headwater run list --target localhost:8080
  headwater run list churn --where "metrics.auc > 0.9" --where "params.lr = 0.1" --sort metrics.auc
  headwater run list churn --where "state = FAILED AND started >= 7d"
  headwater run list --columns run,params.lr,metrics.auc,tags.team --limit 0
  headwater run list churn --where "tags.team = 'growth'" --json
""",
)
@click.argument("pipeline", required=False)
@click.option(
    "--where",
    multiple=True,
    callback=run_options.conditions,
    metavar="CONDITION",
    help=(
        "Only runs that meet a condition, for example \"params.model = 'small'\"; several must all be met. "
        "Fields: params.NAME, metrics.NAME, tags.NAME, state, started, name, owner, trigger, commit."
    ),
)
@click.option(
    "--sort",
    callback=run_options.field,
    metavar="FIELD",
    default="started",
    show_default=True,
    help="What to order by, the largest or latest first.",
)
@click.option("--asc", is_flag=True, help="Order ascending.")
@click.option(
    "--columns",
    callback=run_options.columns,
    metavar="NAMES",
    help=(
        "What to show, with commas between: id, pipeline, run, state, started, ended, took, steps, owner, "
        "trigger, commit, description, error, and the fields of --where. [default: what tells the runs apart]"
    ),
)
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    metavar="COUNT",
    help=f"At most so many; 0 means all. [default: {_ROWS_IN_A_TABLE} in a table, all in JSON]",
)
@json_option
@asks_store
def list_runs(
    store: Store,
    *,
    as_json: bool,
    pipeline: str | None,
    where: list[Condition],
    sort: Field,
    asc: bool,
    columns: list[str] | None,
    limit: int | None,
) -> None:
    """List runs, of PIPELINE or of all."""
    from headwater.cli import run_columns, run_words, tables

    shown: Iterator[RunInfo]
    most = (None if as_json else _ROWS_IN_A_TABLE) if limit is None else limit or None
    found = store.runs(
        pipeline,
        where=where,
        order_by=sort,
        descending=not asc,
        limit=None if most is None else most + 1,
    )
    shown = islice(found, most)
    if not (as_json and sys.stdout.isatty()):  # Where the runs themselves are seen as they come.
        shown = run_words.with_bar(shown, "reading runs", most)
    if as_json:
        tables.print_json_list(run.to_dict() for run in shown)
    else:
        runs = list(shown)
        left_out: list[str] = []
        if columns is None:
            fields = [condition.field for condition in where]
            columns, left_out = run_columns.chosen(runs, [*fields, sort])
        run_columns.print_runs(runs, columns)
        if left_out:
            click.echo(f"not shown: {', '.join(left_out)}; choose with --columns", err=True)
    if next(found, None) is not None:
        click.echo(f"there are more than these {most}; --limit 0 lists all", err=True)


@run.command(
    epilog="""\b
Examples:
  headwater run show churn/2026-11-23
  headwater run show churn
  headwater run show 42 --json
"""
)
@click.argument("run", metavar="RUN")
@json_option
@asks_store
def show(store: Store, as_json: bool, run: str) -> None:
    """Show a run: parameters, metrics, and each step with why it ran.

    RUN is PIPELINE/RUN, the id of a run, or PIPELINE for its latest run.
    """
    from headwater.cli import tables
    from headwater.cli.run_names import find_run
    from headwater.cli.run_showing import print_run

    found = find_run(store, run)
    steps = _steps(store, found)
    if as_json:
        tables.print_json({**found.to_dict(), "attempts": [step.to_dict() for step in steps]})
    else:
        print_run(found, steps)


@run.command(
    epilog="""\b
Examples:
  headwater run watch churn/2026-11-23
  headwater run watch churn --interval-s 5 && deploy
  headwater run watch churn --json | jq .
"""
)
@click.argument("run", metavar="RUN")
@click.option(
    "--interval-s",
    type=click.FloatRange(min=0.05),
    default=1.0,
    show_default=True,
    metavar="S",
    help="How often the store is asked, in seconds.",
)
@json_option
@asks_store
@click.pass_context
def watch(ctx: click.Context, store: Store, as_json: bool, run: str, interval_s: float) -> None:
    """Follow a run until it ends: its steps, who is at them since when, and its metrics.

    RUN is PIPELINE/RUN, the id of a run, or PIPELINE for its latest run. Where stdout is no terminal there is
    a line for each change, with --json an object for each. Exit code 1 if the run did not end well.
    """
    from headwater.cli.run_names import find_run
    from headwater.cli.run_screen import Screen
    from headwater.cli.run_watching import JsonLines, Lines, follow

    found = find_run(store, run)
    if as_json:
        ended = follow(store, found, JsonLines(), interval_s=interval_s)
    elif sys.stdout.isatty():
        with Screen() as screen:
            ended = follow(store, found, screen, interval_s=interval_s)
    else:
        ended = follow(store, found, Lines(), interval_s=interval_s)
    if ended.state != "COMPLETE":
        ctx.exit(1)


@run.command(
    epilog="""\b
Examples:
  headwater run diff churn/monday churn/tuesday
  headwater run diff 41 42 43 --json
"""
)
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN [RUN]...")
@json_option
@asks_store
def diff(store: Store, as_json: bool, runs: tuple[str, ...]) -> None:
    """Put two or more runs side by side, and show only what differs.

    RUN is PIPELINE/RUN, the id of a run, or PIPELINE for its latest run. Compared are parameters, metrics,
    environment, code, tags, the state of each step, and what the fingerprint of each step was made of.
    """
    from headwater.cli import tables
    from headwater.cli.run_comparing import print_differences
    from headwater.cli.run_names import find_run
    from headwater.client.run_comparison import compare

    if len(runs) < 2:
        raise click.UsageError("give at least two runs to be compared")
    found = [find_run(store, named) for named in runs]
    attempts = [_steps(store, one) for one in found]
    differences = compare(found, attempts)
    if as_json:
        tables.print_json(differences.to_dict())
    else:
        print_differences(
            differences, list(dict.fromkeys(step.step for of_run in attempts for step in of_run))
        )


@run.command(
    epilog="""\b
Examples:
  headwater run plan churn/2026-11-23
  headwater run plan churn --check
  headwater run plan churn --json
"""
)
@click.argument("run", metavar="RUN")
@click.option(
    "--check/--no-check",
    default=False,
    show_default=True,
    help="Look from this machine whether the outputs of what is done are there and unaltered.",
)
@json_option
@asks_store
def plan(store: Store, as_json: bool, run: str, check: bool) -> None:
    """Show what resuming a run would do: for each step hit, run or blocked, and why.

    RUN is PIPELINE/RUN, the id of a run, or PIPELINE for its latest run. Nothing is changed.
    """
    from headwater.cli import tables
    from headwater.cli.run_names import find_run
    from headwater.cli.run_resuming import looked_at, print_plan

    steps: Sequence[StepPlan] = store.plan_resume(find_run(store, run)).steps
    if check:
        steps = looked_at(steps)
    if as_json:
        tables.print_json([step.to_dict() for step in steps])
    else:
        print_plan(steps)


@run.command(
    epilog="""\b
Examples:
  headwater run resume churn/2026-11-23 -- python churn.py
  headwater run resume churn --yes -- python -m shop.churn --lr 0.1
""",
)
@click.argument("run", metavar="RUN")
@click.argument("command", nargs=-1, required=True, metavar="-- COMMAND...")
@click.option(
    "--check/--no-check",
    default=True,
    show_default=True,
    help="Look from this machine whether the outputs of what is done are there and unaltered.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@asks_store
@click.pass_context
def resume(
    ctx: click.Context, store: Store, run: str, command: tuple[str, ...], *, check: bool, yes: bool
) -> None:
    """Go on with a run that did not end well: show the plan, ask, and start COMMAND.

    RUN is PIPELINE/RUN, the id of a run, or PIPELINE for its latest run. COMMAND is the program that made it;
    it finds HEADWATER_RESUME=PIPELINE/RUN in its environment, whereupon client.run(...) goes on with that
    run: what is done stays done, what failed or was never started runs. HEADWATER_TARGET says where the
    store is. The exit code is that of COMMAND.
    """
    from headwater.cli import run_resuming, run_words
    from headwater.cli.run_names import find_run

    found = find_run(store, run)
    steps: Sequence[StepPlan] = store.plan_resume(found).steps
    if check:
        steps = run_resuming.looked_at(steps)
    name = f"{found.pipeline}/{found.run}"
    if found.state == "COMPLETE" and all(step.plan == "DONE" for step in steps):
        click.echo(f"{name} is complete; there is nothing to resume", err=True)
        return
    run_resuming.print_plan_on_stderr(steps)
    if found.state == "RUNNING":
        click.echo(f"{name} has not ended; if a process is at work on it, wait for that", err=True)
    run_words.ask(f"Resume {name}?", yes=yes)
    variables = run_resuming.environment(ctx, run=name)
    # A database in this process would only be in the way of the command.
    store.close()
    ctx.exit(run_resuming.run_command(command, variables))


def _steps(store: Store, run: RunInfo) -> list[StepInfo]:
    """All attempts of a run, with a bar where there are many."""
    from headwater.cli.run_words import with_bar

    found = store.steps(run, page_size=_PAGE_SIZE)
    return list(with_bar(found, f"reading steps of {run.run}", sum(run.steps.values())))
