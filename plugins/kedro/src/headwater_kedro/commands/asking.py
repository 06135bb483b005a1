"""Commands that only read: ``runs``, ``explain``, ``lineage``, ``diff`` and ``spool``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from kedro.framework.cli.utils import env_option

from headwater_kedro.commands.project import Project, near, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kedro.framework.startup import ProjectMetadata

    from headwater.client import Store
    from headwater.client.run_info import RunInfo, StepInfo

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
_STEP = "headwater.Step"
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
@json_option
@env_option
@click.pass_obj
def runs(metadata: ProjectMetadata, /, env: str, pipeline: str | None, limit: int, as_json: bool) -> None:
    """List the runs of this project, newest first."""
    project = Project(metadata.project_path, env)
    with project.store() as store:
        from headwater.cli import run_columns, tables

        chosen = _pipelines_with(project, store, pipeline) if pipeline else None
        found = list(project.runs(store, chosen, limit=limit + 1 if limit else None))
        shown = found[: limit or None]
        if as_json:
            tables.print_json_list(run.to_dict() for run in shown)
        else:
            columns, left_out = run_columns.chosen(shown, [])
            run_columns.print_runs(shown, ["id", *columns])
            if left_out:
                click.echo(f"not shown: {', '.join(left_out)}; see --json", err=True)
        if len(found) > len(shown):
            click.echo(f"there are more than these {limit}; --limit 0 lists all", err=True)


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
  kedro headwater explain train_model
  kedro headwater explain train_model --run 2026-11-23T09.12.44.107Z
"""
)
@click.argument("node", metavar="NODE")
@click.option("--run", "run", metavar="RUN", help="In this run. [default: the latest that came to the node]")
@json_option
@env_option
@click.pass_obj
def explain(metadata: ProjectMetadata, /, env: str, node: str, run: str | None, as_json: bool) -> None:
    """Say why a node ran, or what was taken instead.

    Shown is what differs from the nearest earlier execution of the node, old and new: its code, parameters,
    inputs and what else decides.
    """
    project = Project(metadata.project_path, env)
    with project.store() as store:
        of_run = project.find_run(store, run) if run else None
        contexts = [of_run.run_id] if of_run else list(project.pipelines(store).values())
        newest = store.list_executions(
            type=_STEP,
            filter=f"{_within(contexts)} AND properties.step.string_value = {quoted(node)}",
            descending=True,
            limit=1,
        )
        execution = next(newest, None)
        if execution is None:
            raise _no_node(project, store, node, of_run)
    project.ask("cache", "explain", str(execution.id), *_json(as_json))


def _no_node(project: Project, store: Store, node: str, run: RunInfo | None) -> click.ClickException:
    shown = run or project.latest(store)
    known = [one.step for one in shown.planned_steps] if shown else []
    if run is not None and node in known:
        return click.ClickException(f"run {run.run}, which is {run.state}, did not come to node {node!r}")
    where = f"run {run.run} has no node" if run else "no run came to a node"
    return click.ClickException(f"{where} {node!r}{near(node, known)}")


@click.command(
    epilog="""\b
Examples:
  kedro headwater lineage regressor
  kedro headwater lineage regressor@2026-11-23T09.12.44.107Z
  kedro headwater lineage companies --down
  kedro headwater lineage regressor --svg regressor.svg
"""
)
@click.argument("dataset", metavar="DATASET[@VERSION]")
@click.option("--down", is_flag=True, help="What was made from it, instead of what it was made from.")
@click.option("--run", "run", metavar="RUN", help="As this run used or made it. [default: the latest]")
@click.option(
    "--hops", type=click.IntRange(min=0), metavar="COUNT", help="How far: a node is 1 hop, its inputs are 2."
)
@click.option(
    "--svg",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    metavar="FILE",
    help="Draw it into this file, for which Graphviz is needed.",
)
@json_option
@env_option
@click.pass_obj
def lineage(
    metadata: ProjectMetadata,
    /,
    env: str,
    dataset: str,
    *,
    down: bool,
    run: str | None,
    hops: int | None,
    svg: Path | None,
    as_json: bool,
) -> None:
    """Show what a dataset was made from, back to the raw data: nodes, parameters, versions.

    DATASET is a name of the catalog, VERSION that of a versioned dataset or the beginning of one.
    """
    if svg is not None and as_json:
        raise click.UsageError("give --svg or --json, not both")
    project = Project(metadata.project_path, env)
    with project.store() as store:
        artifact_id = _artifact_of(project, store, dataset, project.find_run(store, run) if run else None)
    direction = "down" if down else "up"
    how_far = [] if hops is None else ["--hops", str(hops)]
    if svg is None:
        project.ask("lineage", direction, str(artifact_id), *how_far, *_json(as_json))
    else:
        project.ask(
            "export", "svg", str(artifact_id), "--direction", direction, *how_far, "--output", str(svg)
        )
        click.echo(f"drawn in {svg}", err=True)


def _artifact_of(project: Project, store: Store, dataset: str, run: RunInfo | None) -> int:
    """The artifact that is meant: that of the run, or else of the latest run that has it, or the newest."""
    from headwater_kedro.datasets import label

    pipeline_ids = list(project.pipelines(store).values())
    looked_at = run or project.latest(store)
    recorded = dict(_recorded(store.steps(looked_at))) if looked_at else {}
    name, version = dataset, ""
    if "@" in dataset and dataset not in recorded and not _is_of_catalog(project, dataset):
        name, _, version = dataset.rpartition("@")
    name = label(name)
    of_label = {label(one): artifact_id for one, artifact_id in recorded.items()}
    if version and run is not None:
        raise click.UsageError(
            f"give a version or --run, not both: {version!r} is no transcoding of {name!r}"
        )
    if not version and name in of_label:
        return of_label[name]
    if run is not None:
        raise click.ClickException(f"run {run.run} has no dataset {name!r}{near(name, list(of_label))}")
    found = _newest(store, pipeline_ids, name, version)
    if found is None:
        raise _no_dataset(store, pipeline_ids, name, version, list(of_label))
    return found


def _recorded(steps: Iterable[StepInfo]) -> Iterator[tuple[str, int]]:
    """Names of datasets as nodes have them, and what was there. Later ones come later."""
    for step in steps:
        yield from ((one.name, one.artifact_id) for one in step.inputs)
        yield from ((one.name, one.artifact_id) for one in step.outputs)


def _is_of_catalog(project: Project, dataset: str) -> bool:
    """Whether what stands behind the @ is a transcoding and no version."""
    try:
        return dataset in project.config_loader["catalog"]
    except Exception:
        # What is recorded can be asked for whether or not the catalog of now is in order.
        return False


def _newest(store: Store, context_ids: list[int], name: str, version: str) -> int | None:
    """The newest artifact of a dataset, or of a version of it.

    Raises:
        click.ClickException: several versions begin so.
    """
    condition = f"{_within(context_ids)} AND custom_properties.dataset.string_value = {quoted(name)}"
    if not version:
        newest = next(store.list_artifacts(filter=condition, descending=True, limit=1), None)
        return newest.id if newest else None
    condition += f" AND custom_properties.version.string_value LIKE {quoted(version + '%')}"
    found: dict[str, int] = {}
    for artifact in store.list_artifacts(filter=condition, descending=True):
        found.setdefault(artifact.custom_properties["version"].string_value, artifact.id)
    # In LIKE some characters stand for others.
    found = {one: artifact_id for one, artifact_id in found.items() if one.startswith(version)}
    if version in found:
        return found[version]
    if len(found) > 1:
        raise click.ClickException(
            f"{name!r} has several versions that begin with {version!r}: {', '.join(list(found)[:5])}"
        )
    return next(iter(found.values()), None)


def _no_dataset(
    store: Store, context_ids: list[int], name: str, version: str, known: list[str]
) -> click.ClickException:
    if not version or _newest(store, context_ids, name, "") is None:
        return click.ClickException(f"no dataset {name!r} was recorded{near(name, known)}")
    condition = f"{_within(context_ids)} AND custom_properties.dataset.string_value = {quoted(name)}"
    versions: dict[str, None] = {}
    for artifact in store.list_artifacts(filter=condition, descending=True, limit=100):
        if "version" in artifact.custom_properties:
            versions.setdefault(artifact.custom_properties["version"].string_value)
    told = f"; there are {', '.join(list(versions)[:5])}" if versions else ", since it is not versioned"
    return click.ClickException(f"no version {version!r} of {name!r} was recorded{told}")


def _within(context_ids: list[int]) -> str:
    """A filter: what belongs to one of these contexts."""
    return f"contexts_a.id IN ({', '.join(map(str, context_ids))})"


@click.command(
    epilog="""\b
Examples:
  kedro headwater diff 2026-11-22 2026-11-23
  kedro headwater diff 14 17 --json
"""
)
@click.argument("names", nargs=2, metavar="RUN RUN")
@json_option
@env_option
@click.pass_obj
def diff(metadata: ProjectMetadata, /, env: str, names: tuple[str, str], as_json: bool) -> None:
    """Put two runs side by side, and show only what differs.

    Compared are parameters, code, environment, the state of each node, and what decided about each.
    """
    project = Project(metadata.project_path, env)
    with project.store() as store:
        found = [str(project.find_run(store, named).run_id) for named in names]
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
