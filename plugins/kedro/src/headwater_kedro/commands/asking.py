"""Commands about several runs at once: ``runs`` and ``diff``; and what waits, ``spool``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from kedro.framework.cli.utils import env_option

from headwater_kedro.commands.answering import answer_in, answer_options, json_option
from headwater_kedro.commands.project import Project

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kedro.framework.startup import ProjectMetadata

    from headwater.client import Store
    from headwater.client.run_info import RunInfo

_RUNS_SHOWN = 20


@click.command(
    epilog="""\b
Examples:
  kedro headwater runs
  kedro headwater runs --pipeline data_science --limit 0
  kedro headwater runs --json
"""
)
@click.option("--pipeline", "-p", metavar="NAME", help="Only runs of this pipeline, alone or with others.")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=_RUNS_SHOWN,
    show_default=True,
    metavar="COUNT",
    help="At most so many; 0 means all.",
)
@answer_options
@env_option
@click.pass_obj
def runs(
    metadata: ProjectMetadata,
    /,
    env: str,
    *,
    pipeline: str | None,
    limit: int,
    as_json: bool,
    output: Path | None,
) -> None:
    """List the runs of this project, newest first, with what became of their nodes.

    Of parameters those are shown that differ among them. Nodes that were made again count as run; 'kedro
    headwater show RUN' tells them apart.
    """
    project = Project(metadata.project_path, env)
    with answer_in(output), project.store() as store:
        from headwater.cli import run_columns, tables

        chosen = _pipelines_with(project, store, pipeline) if pipeline else None
        found = list(project.runs(store, chosen, limit=limit + 1 if limit else None))
        shown = found[: limit or None]
        if as_json:
            tables.print_json_list(run.to_dict() for run in shown)
        else:
            columns, left_out = run_columns.chosen(shown, [])
            _print_runs(shown, ["id", *columns])
            if left_out:
                click.echo(f"not shown: {', '.join(left_out)}; see --json", err=True)
        if len(found) > len(shown):
            click.echo(f"there are more than these {limit}; --limit 0 lists all", err=True)


def _print_runs(shown: Sequence[RunInfo], columns: Sequence[str]) -> None:
    """As headwater's own command does, but of nodes, in the words of the table after a run."""
    from headwater.cli import run_columns, tables

    rows = [
        [_nodes(run) if column == "steps" else run_columns.cell(run, column) for column in columns]
        for run in shown
    ]
    tables.print_table(
        ["nodes" if column == "steps" else column for column in columns],
        rows,
        numbers=["id", *(column for column in columns if column.startswith("metrics."))],
        folded=["run", "nodes", *(column for column in columns if "." in column)],
        dropped=["nodes", "took", "started"],
    )


def _nodes(run: RunInfo) -> str:
    from headwater_kedro.commands.showing import counted_outcomes
    from headwater_kedro.summary import FAILED, HIT, NOT_REACHED, RUN

    words = {"COMPLETE": RUN, "CACHED": HIT, "FAILED": FAILED, "CANCELED": FAILED}
    outcomes = [word for state, count in run.steps.items() for word in [words.get(state, "running")] * count]
    return counted_outcomes([*outcomes, *[NOT_REACHED] * (len(run.planned_steps) - len(outcomes))])


def _pipelines_with(project: Project, store: Store, named: str) -> list[str]:
    """The names in the store of what was run with this pipeline in it."""
    parts = {name: name.removeprefix(f"{project.name}:").split("+") for name in project.pipelines(store)}
    found = [name for name, of_kedro in parts.items() if named in (name, *of_kedro)]
    if not found:
        known = sorted({one for of_kedro in parts.values() for one in of_kedro})
        raise click.ClickException(
            f"no run of a pipeline {named!r} was recorded; there are runs of {', '.join(known)}"
        )
    return found


@click.command(
    epilog="""\b
Examples:
  kedro headwater diff 2026-11-22 2026-11-23
  kedro headwater diff latest~1 latest
  kedro headwater diff 14 17 --json
"""
)
@click.argument("one", metavar="RUN")
@click.argument("other", metavar="RUN")
@answer_options
@env_option
@click.pass_obj
def diff(
    metadata: ProjectMetadata, /, env: str, *, one: str, other: str, as_json: bool, output: Path | None
) -> None:
    """Put two runs side by side, and show only what differs.

    Compared are parameters, code, environment, the state of each node, and what decided about each.
    """
    project = Project(metadata.project_path, env)
    with project.store() as store:
        found = [str(project.find_run(store, named).run_id) for named in (one, other)]
    with answer_in(output):
        project.ask("run", "diff", *found, *_json(as_json))


@click.group(invoke_without_command=True)
@click.pass_context
def spool(ctx: click.Context) -> None:
    """What could not be told to the store yet, on this machine."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(status)


@spool.command()
@json_option
def status(as_json: bool = False) -> None:
    """Show what waits, and for which store."""
    _spool("status", *_json(as_json))


@spool.command()
@click.option(
    "--from",
    "source",
    metavar="STORE",
    help="The store as 'spool status' shows it, where it has another address now.",
)
@click.option("--refused", is_flag=True, help="Also tell again what the store refused before.")
@json_option
@env_option
@click.pass_obj
def replay(metadata: ProjectMetadata, /, env: str, source: str | None, refused: bool, as_json: bool) -> None:
    """Tell the project's store what waits for it."""
    project = Project(metadata.project_path, env)
    with project.store():
        pass
    which = [] if source is None else ["--from", source]
    project.ask("spool", "replay", *which, *(["--refused"] if refused else []), *_json(as_json))


def _spool(*question: str) -> Any:
    from headwater.cli import main

    return main.main(["spool", *question], prog_name="headwater", standalone_mode=False)


def _json(as_json: bool) -> list[str]:
    return ["--json"] if as_json else []
