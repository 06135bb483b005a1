"""``headwater cache``: why a step ran or was a hit, what can be hit no more, and what the cache is worth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from headwater.cli import run_options
from headwater.cli.target import asks_store, find_artifact, json_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headwater.client import Store
    from headwater.client.run_info import Explanation, StepInfo

_STEPS_SHOWN = 20


@click.group()
def cache() -> None:
    """Steps that need not run again: what was hit, and why not."""


@cache.command(
    epilog="""\b
Examples:
  headwater cache explain churn/train --target localhost:8080
  headwater cache explain churn/2026-11-23/train
  headwater cache explain 42 --json
"""
)
@click.argument("step", metavar="STEP")
@json_option
@asks_store
def explain(store: Store, as_json: bool, step: str) -> None:
    """Say what a step hit, or why it ran.

    STEP is PIPELINE/STEP for its latest attempt, PIPELINE/RUN/STEP for that of a run, or the id of an
    execution. If it ran, the components of its fingerprint are shown that differ from the nearest earlier
    execution, old and new, and the other executions that were near.
    """
    from headwater.cli import tables
    from headwater.cli.run_names import find_attempt

    execution_id = find_attempt(store, step)
    explanation = store.explain(execution_id)
    if as_json:
        tables.print_json({"execution_id": execution_id, **explanation.to_dict()})
        return
    (attempt,) = store.steps(execution_ids=[execution_id])
    _print_explanation(store, attempt, explanation)


def _print_explanation(store: Store, attempt: StepInfo, explanation: Explanation) -> None:
    from headwater.cli import tables
    from headwater.cli.run_comparing import sides
    from headwater.cli.run_showing import print_section

    run = store.get_run(attempt.run_id)
    miss = explanation.miss
    # What was hit is told already.
    nearest = [one for one in explanation.nearest if one.execution_id != attempt.cached_execution_id]
    tables.print_fields(
        {
            "step": f"{run.pipeline}/{run.run}/{attempt.step}",
            "execution": attempt.execution_id,
            "attempt": attempt.attempt,
            "state": attempt.state,
            "fingerprint": explanation.fingerprint or None,
            "hit": _hit(store, attempt) if attempt.cached_execution_id else None,
            "ran because": None if attempt.cached_execution_id or miss is None else miss.text,
            "cannot be hit": attempt.unfit or None,
        }
    )
    if miss is not None and miss.differences:
        print_section(
            f"what differs from execution {miss.nearest_execution_id}",
            ("component", "old", "new"),
            [(one.component, *sides(one.old or "", one.new or "")) for one in miss.differences],
            folded=("component", "old", "new"),
        )
    print_section(
        "nearest earlier executions",
        ("execution", "run", "state", "ended", "differs in", "cannot be hit"),
        [
            (
                one.execution_id,
                one.run,
                one.state,
                tables.time(one.end_ms),
                ", ".join(difference.component for difference in one.differences) or "nothing",
                one.unfit,
            )
            for one in nearest
        ],
        numbers=("execution",),
        folded=("run", "differs in", "cannot be hit"),
        dropped=("ended",),
    )


def _hit(store: Store, attempt: StepInfo) -> str:
    """Whose outputs were taken."""
    from headwater.cli import tables

    (original,) = store.steps(execution_ids=[attempt.cached_execution_id])
    made_in = store.get_run(original.run_id)
    return (
        f"the outputs of execution {original.execution_id}, made by run {made_in.pipeline}/{made_in.run} "
        f"at {tables.time(original.end_ms)}"
    )


@cache.command(
    epilog="""\b
Examples:
  headwater cache invalidate --step churn/train --reason "the learning rate was read wrongly"
  headwater cache invalidate --run churn/2026-11-23 --with-downstream --dry-run
  headwater cache invalidate --artifact s3://bucket/taxi.csv --with-downstream --yes
  headwater cache invalidate --pipeline churn --older-than 30d --json --yes
"""
)
@click.option("--pipeline", metavar="PIPELINE", help="Executions of this pipeline.")
@click.option("--step", metavar="PIPELINE/STEP", help="Executions of this step.")
@click.option("--run", metavar="PIPELINE/RUN", help="Executions of this run.")
@click.option(
    "--artifact", metavar="ARTIFACT", help="Executions that made or used it: an id, TYPE/NAME, or a URI."
)
@click.option(
    "--execution",
    "executions",
    multiple=True,
    type=int,
    metavar="ID",
    help="This execution; may be repeated.",
)
@click.option(
    "--older-than",
    callback=run_options.age_ms,
    metavar="AGE",
    help="Executions that ended longer ago: 90m, 12h, 30d, 2w.",
)
@click.option("--with-downstream", is_flag=True, help="Also what was made from their outputs.")
@click.option("--reason", default="", metavar="TEXT", help="Why, for those who ask later.")
@click.option("--dry-run", is_flag=True, help="Only show what would be done.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@asks_store
def invalidate(
    store: Store,
    *,
    as_json: bool,
    pipeline: str | None,
    step: str | None,
    run: str | None,
    artifact: str | None,
    executions: tuple[int, ...],
    older_than: int | None,
    with_downstream: bool,
    reason: str,
    dry_run: bool,
    yes: bool,
) -> None:
    """Make finished executions unfit to be hit; their steps will run again.

    At least one of --pipeline, --step, --run, --artifact, --execution and --older-than is needed; an
    execution must meet all that are given. What would be done is shown first. Nothing is deleted.
    """
    from headwater.cli import run_words, tables

    chosen = _chosen(pipeline, step, run)
    if artifact is not None:
        chosen["artifact_id"] = find_artifact(store, artifact).id
    if executions:
        chosen["execution_ids"] = executions
    if older_than is not None:
        # 0 would mean any time.
        chosen["ended_before_ms"] = max(1, run_words.now_ms() - older_than)
    if not chosen:
        raise click.UsageError(
            "say which: --pipeline, --step, --run, --artifact, --execution or --older-than, or several"
        )
    chosen["with_downstream"] = with_downstream
    planned = store.invalidate(**chosen, reason=reason, dry_run=True)
    if not as_json:
        _print_planned(store, planned.count, planned.execution_ids)
    done = planned
    if planned.count and not dry_run:
        run_words.ask(f"Invalidate {run_words.counted(planned.count, 'execution')}?", yes=yes)
        done = store.invalidate(**chosen, reason=reason)
    if as_json:
        tables.print_json(
            {"dry_run": dry_run, "count": done.count, "execution_ids": list(done.execution_ids)}
        )
    elif planned.count and not dry_run:
        click.echo(f"{run_words.counted(done.count, 'execution')} can no longer be hit")


def _chosen(pipeline: str | None, step: str | None, run: str | None) -> dict[str, Any]:
    """The part of a request that names a pipeline, of which there can be one."""
    from headwater.cli.run_names import step_of_pipeline

    chosen: dict[str, Any] = {}
    pipelines = set(filter(None, [pipeline]))
    for name, given in (("step", step), ("run", run)):
        if given is not None:
            named, chosen[name] = step_of_pipeline(given)
            pipelines.add(named)
    if len(pipelines) > 1:
        raise click.UsageError(
            f"{' and '.join(map(repr, sorted(pipelines)))} are two pipelines, and an execution is of one"
        )
    if pipelines:
        chosen["pipeline"] = pipelines.pop()
    return chosen


def _print_planned(store: Store, count: int, execution_ids: Sequence[int]) -> None:
    """The first of the executions that would be made unfit."""
    from headwater.cli import run_words, tables

    if not count:
        click.echo("nothing that can be hit is among these")
        return
    runs: dict[int, str] = {}
    rows = []
    for step in store.steps(execution_ids=execution_ids[:_STEPS_SHOWN]):
        if step.run_id not in runs:
            run = store.get_run(step.run_id)
            runs[step.run_id] = f"{run.pipeline}/{run.run}"
        rows.append((step.execution_id, runs[step.run_id], step.step, step.state, tables.time(step.end_ms)))
    tables.print_table(
        ("execution", "run", "step", "state", "ended"), rows, numbers=("execution",), folded=("run", "step")
    )
    if count > len(rows):
        click.echo(f"and {run_words.counted(count - len(rows), 'more execution')}")


@cache.command(
    epilog="""\b
Examples:
  headwater cache stats --target localhost:8080
  headwater cache stats churn
  headwater cache stats churn --json
"""
)
@click.argument("pipeline", required=False)
@json_option
@asks_store
def stats(store: Store, as_json: bool, pipeline: str | None) -> None:
    """Show how often each step was computed, hit and failed, and the time that hits saved.

    Of PIPELINE, or of all pipelines. Saved is how long the executions took whose outputs were used again,
    once for each time.
    """
    from headwater.cli import tables
    from headwater.cli.run_words import duration, percent

    found = store.cache_stats(pipeline)
    if as_json:
        tables.print_json_list(step.to_dict() for step in found)
        return
    rows = [
        (
            one.pipeline,
            one.step,
            one.completed,
            one.hits,
            percent(one.hits, one.hits + one.completed),
            one.failed,
            one.entries,
            one.invalidated,
            duration(one.saved_ms) if one.hits else "",
        )
        for one in found
    ]
    if len(rows) > 1:
        hits, completed = sum(one.hits for one in found), sum(one.completed for one in found)
        rows.append(
            (
                "",
                "total",
                completed,
                hits,
                percent(hits, hits + completed),
                sum(one.failed for one in found),
                sum(one.entries for one in found),
                sum(one.invalidated for one in found),
                duration(sum(one.saved_ms for one in found)),
            )
        )
    columns = (
        "pipeline",
        "step",
        "completed",
        "hits",
        "hit rate",
        "failed",
        "can be hit",
        "invalidated",
        "saved",
    )
    tables.print_table(
        columns,
        rows,
        numbers=columns[2:],
        folded=("pipeline", "step"),
        dropped=("invalidated", "can be hit"),
    )
