"""What became of the nodes of one run, ``show``, and why one of them ran, ``explain``."""

from __future__ import annotations

from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any

import click
from kedro.framework.cli.utils import env_option

from headwater_kedro.commands.answering import answer_in, answer_options
from headwater_kedro.commands.project import Project, near, quoted, within

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kedro.framework.startup import ProjectMetadata

    from headwater.client import Store
    from headwater.client.run_info import RunInfo, StepInfo
    from headwater_kedro.summary import NodeSummary

_STEP = "headwater.Step"
_RUNNING = "running"


@click.command(
    epilog="""\b
Examples:
  kedro headwater show
  kedro headwater show latest~1 --errors
  kedro headwater show 14 --json
"""
)
@click.argument("run", metavar="[RUN]", default="latest")
@click.option("--errors", is_flag=True, help="Also the whole text of errors.")
@answer_options
@env_option
@click.pass_obj
def show(
    metadata: ProjectMetadata, /, env: str, *, run: str, errors: bool, as_json: bool, output: Path | None
) -> None:
    """Show what a run did, node by node: what became of each, how long it took, and why.

    Without RUN it is the latest one. Of a node that failed its error is told, of which --errors shows the
    whole text.
    """
    project = Project(metadata.project_path, env)
    with answer_in(output), project.store() as store:
        found = project.find_run(store, run)
        steps = list(store.steps(found))
        if as_json:
            _print_json(found, steps)
        else:
            _print_run(store, found, steps, errors=errors)


def _print_json(run: RunInfo, steps: Sequence[StepInfo]) -> None:
    from headwater.cli import tables

    last = {step.step: step for step in steps}
    nodes: list[dict[str, Any]] = []
    for one in _summaries(run, steps):
        told: dict[str, Any] = {"node": one.node, "outcome": one.outcome, "why": one.why}
        step = last.get(one.node)
        if step is not None:
            told.update(
                execution_id=step.execution_id,
                attempt=step.attempt,
                start_ms=step.start_ms,
                end_ms=step.end_ms,
                error=step.error,
            )
        nodes.append(told)
    fields = ("run_id", "pipeline", "run", "state", "start_ms", "end_ms", "error", "parameters")
    tables.print_json({**{name: getattr(run, name) for name in fields}, "nodes": nodes})


def _print_run(store: Store, run: RunInfo, steps: Sequence[StepInfo], *, errors: bool) -> None:
    from headwater.cli import run_words, tables
    from headwater.cli.run_showing import lasted

    last = {step.step: step for step in steps}
    summaries = _summaries(run, steps)
    failed = {name: step.error for name, step in last.items() if step.error}
    of_run = "" if failed else run.error
    resumes = store.get_context(run.run_id).custom_properties
    tables.print_fields(
        {
            "run": f"{run.pipeline}/{run.run}",
            "id": run.run_id,
            "state": run.state,
            "started": tables.time(run.start_ms) or None,
            "took": run_words.lasted(run.start_ms, run.end_ms) or None,
            "repeats": resumes["resumes"].string_value if "resumes" in resumes else None,
            "error": of_run.strip().rpartition("\n")[2] or None,
        }
    )
    click.echo()
    now_ms = run_words.now_ms()
    took = {name: lasted(step, until_ms=now_ms) for name, step in last.items()}
    tables.print_table(
        ("node", "outcome", "took", "why"),
        [(one.node, one.outcome, took.get(one.node, ""), one.why) for one in summaries],
        folded=("node", "why"),
    )
    click.echo()
    outcomes = counted_outcomes([one.outcome for one in summaries])
    click.echo(f"{run_words.counted(len(summaries), 'node')}: {outcomes}" if summaries else "no nodes")
    if errors:
        for title, error in {
            **{f"error of {name}": text for name, text in failed.items()},
            "error": of_run,
        }.items():
            if error:
                click.echo()
                click.secho(title, bold=True, underline=True)
                click.echo(error.strip())
    elif failed or of_run:
        click.echo("--errors shows the whole error", err=True)
    if run.state in ("FAILED", "CANCELED"):
        click.echo(f"'kedro headwater run --resume {run.run_id}' goes on with what is left of it", err=True)


def _summaries(run: RunInfo, steps: Sequence[StepInfo]) -> list[NodeSummary]:
    """What became of each node, in the words of the table after a run and in the order of its pipeline."""
    from dataclasses import replace

    from headwater_kedro.summary import summarise

    planned = TopologicalSorter({one.step: one.after for one in run.planned_steps})
    planned.prepare()
    nodes: list[str] = []
    while planned.is_active():
        ready = sorted(planned.get_ready())
        planned.done(*ready)
        nodes += ready
    names = list(dict.fromkeys([*nodes, *(step.step for step in steps)]))
    at_work = {step.step: step.state == "RUNNING" for step in steps}
    return [
        replace(one, outcome=_RUNNING) if at_work.get(one.node) else one for one in summarise(names, steps)
    ]


def counted_outcomes(outcomes: Sequence[str]) -> str:
    """How many nodes came to what: ``1 run, 7 hit``."""
    from headwater_kedro.summary import FAILED, HIT, NOT_REACHED, REMADE, RUN

    order = (RUN, HIT, REMADE, FAILED, _RUNNING, NOT_REACHED)
    return ", ".join(f"{outcomes.count(one):,} {one}" for one in order if one in outcomes)


@click.command(
    epilog="""\b
Examples:
  kedro headwater explain train_model
  kedro headwater explain train_model --run 2026-11-23T09.12.44.107Z
"""
)
@click.argument("node", metavar="NODE")
@click.option("--run", "run", metavar="RUN", help="In this run. [default: the latest that came to the node]")
@answer_options
@env_option
@click.pass_obj
def explain(
    metadata: ProjectMetadata, /, env: str, *, node: str, run: str | None, as_json: bool, output: Path | None
) -> None:
    """Say why a node ran, or what was taken instead; and, if it failed, its error.

    Shown is what differs from the nearest earlier execution of the node, old and new: its code, parameters,
    inputs and what else decides.
    """
    project = Project(metadata.project_path, env)
    with project.store() as store:
        of_run = project.find_run(store, run) if run else None
        contexts = [of_run.run_id] if of_run else list(project.pipelines(store).values())
        newest = store.list_executions(
            type=_STEP,
            filter=f"{within(contexts)} AND properties.step.string_value = {quoted(node)}",
            descending=True,
            limit=1,
        )
        execution = next(newest, None)
        if execution is None:
            raise _no_node(project, store, node, of_run)
        (step,) = store.steps(execution_ids=[execution.id])
        if as_json:
            from headwater.cli import tables

            told = {"execution_id": execution.id, "state": step.state, "error": step.error}
            with answer_in(output):
                tables.print_json({**told, **store.explain(execution.id).to_dict()})
            return
    with answer_in(output):
        project.ask("cache", "explain", str(execution.id))
        if step.error:
            from headwater.cli.run_showing import print_error

            print_error("error", step.error)


def _no_node(project: Project, store: Store, node: str, run: RunInfo | None) -> click.ClickException:
    shown = run or project.latest(store)
    known = [one.step for one in shown.planned_steps] if shown else []
    if run is not None and node in known:
        return click.ClickException(f"run {run.run}, which is {run.state}, did not come to node {node!r}")
    where = f"run {run.run} has no node" if run else "no run came to a node"
    return click.ClickException(f"{where} {node!r}{near(node, known)}")
