"""``lineage``: what a dataset was made from, or what was made from it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
from kedro.framework.cli.utils import env_option

from headwater_kedro.commands.answering import answer_in, answer_options
from headwater_kedro.commands.project import Project, near, quoted, within

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from kedro.framework.startup import ProjectMetadata

    from headwater.client import Store
    from headwater.client.run_info import RunInfo, StepInfo
    from headwater.client.walk_answers import Lineage

_MOST_KNOWN = 1000
_MOST_NAMED = 5


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
@click.option(
    "--run",
    "run",
    metavar="RUN",
    help="As this run used or made it; with --down what this run made from it. [default: the latest]",
)
@click.option(
    "--all", "shows_all", is_flag=True, help="With --down, of each node not the newest execution alone."
)
@click.option(
    "--hops", type=click.IntRange(min=0), metavar="COUNT", help="How far: a node is 1 hop, its inputs are 2."
)
@click.option(
    "--svg",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    metavar="FILE",
    help="Draw it into this file, for which Graphviz is needed.",
)
@answer_options
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
    shows_all: bool,
    hops: int | None,
    svg: Path | None,
    as_json: bool,
    output: Path | None,
) -> None:
    """Show what a dataset was made from, back to the raw data: nodes, parameters, versions.

    DATASET is a name of the catalog, VERSION that of a versioned dataset or the beginning of one. With --down
    the newest execution of each node is shown, and what leads to it.
    """
    if svg is not None and (as_json or output):
        raise click.UsageError(f"give --svg or {'--json' if as_json else '--output'}, not both")
    if run is not None and shows_all:
        raise click.UsageError("give --run or --all, not both")
    project = Project(metadata.project_path, env)
    with answer_in(output), project.store() as store:
        of_run = project.find_run(store, run) if run else None
        artifact_id = _artifact_of(project, store, dataset, of_run)
        found = _walked(store, artifact_id, of_run, down=down, hops=hops, shows_all=shows_all)
        if svg is None:
            _print_lineage(found, down=down, as_json=as_json)
        else:
            _write(found.svg(), svg)


def _write(drawing: str, path: Path) -> None:
    try:
        path.write_text(drawing, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror}") from error
    click.echo(f"drawn in {path}", err=True)


def _print_lineage(found: Lineage, *, down: bool, as_json: bool) -> None:
    """As headwater's own command does."""
    from headwater.cli import tables, trees

    if as_json:
        tables.print_json(found.to_dict())
        return
    notes = {execution_id: str(reuse) for execution_id, reuse in found.reused_by.items()}
    direction: Literal["down", "up"] = "down" if down else "up"
    for line in trees.tree(found, found.start, direction, width=tables.terminal_width(), notes=notes):
        click.echo(line)


def _walked(
    store: Store,
    artifact_id: int,
    run: RunInfo | None,
    *,
    down: bool,
    hops: int | None,
    shows_all: bool,
) -> Lineage:
    """What lies around the artifact. Upwards that is one past; downwards there may be many runs."""
    from headwater.cli.lineage import walked

    found = walked(
        store, ("artifact", artifact_id), "down" if down else "up", hops=hops, until=None, with_hits=False
    )
    if not down or shows_all:
        return found
    if run is not None:
        # Of what it reused the walk has the execution that made it.
        steps = list(store.steps(run))
        return _leading_to(found, {step.cached_execution_id or step.execution_id for step in steps})
    shown = _leading_to(found, _newest_of_each_node(found))
    left_out = len(found.executions) - len(shown.executions)
    if left_out:
        older = "older execution" if left_out == 1 else "older executions"
        click.echo(f"{left_out:,} {older} of these nodes left out; --all shows all", err=True)
    return shown


def _newest_of_each_node(found: Lineage) -> set[int]:
    from headwater.client.folding import step_of

    newest: dict[tuple[str, str], int] = {}
    for execution in found.executions.values():
        # Its name is PROJECT:PIPELINES/RUN/NODE. What other programs recorded has no node.
        step = step_of(execution) or f"execution {execution.id}"
        node = (execution.name.partition(":")[0], step)
        newest[node] = max(execution.id, newest.get(node, 0))
    return set(newest.values())


def _leading_to(found: Lineage, executions: Collection[int]) -> Lineage:
    """Of a walk down these executions with what they made, and all by which the start leads to them."""
    from headwater.client.lineage import INPUTS, OUTPUTS

    inputs, makers, made = defaultdict(set), defaultdict(set), set()
    for event in found.events:
        if event.type in INPUTS:
            inputs[event.execution_id].add(event.artifact_id)
        elif event.type in OUTPUTS:
            makers[event.artifact_id].add(event.execution_id)
            if event.execution_id in executions:
                made.add(event.artifact_id)
    kept_executions: set[int] = set()
    kept_artifacts = {node_id for _, node_id in found.start}
    waiting = [one for one in executions if one in found.executions]
    while waiting:
        execution_id = waiting.pop()
        if execution_id not in kept_executions:
            kept_executions.add(execution_id)
            kept_artifacts |= inputs[execution_id]
            waiting += [maker for artifact_id in inputs[execution_id] for maker in makers[artifact_id]]
    kept_artifacts |= made
    attributions = [one for one in found.attributions if one.artifact_id in kept_artifacts]
    associations = [one for one in found.associations if one.execution_id in kept_executions]
    context_ids = {one.context_id for one in attributions} | {one.context_id for one in associations}
    kept = {"artifact": kept_artifacts, "execution": kept_executions}
    return replace(
        found,
        artifacts={one: node for one, node in found.artifacts.items() if one in kept_artifacts},
        executions={one: node for one, node in found.executions.items() if one in kept_executions},
        contexts={one: context for one, context in found.contexts.items() if one in context_ids},
        events=[
            one
            for one in found.events
            if one.artifact_id in kept_artifacts and one.execution_id in kept_executions
        ],
        attributions=attributions,
        associations=associations,
        hops={key: hops for key, hops in found.hops.items() if key[1] in kept[key[0]]},
        reused_by={one: reuse for one, reuse in found.reused_by.items() if one in kept_executions},
    )


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
    """Names of datasets as nodes have them, and what was there. What counts more comes later.

    What a node made says it best, and what a hit once read may be older than what the run has.
    """
    # Those that ran behind those that did not.
    ordered = sorted(steps, key=lambda step: step.state != "CACHED")
    for step in ordered:
        yield from ((one.name, one.artifact_id) for one in step.inputs)
    for step in ordered:
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
    condition = f"{within(context_ids)} AND custom_properties.dataset.string_value = {quoted(name)}"
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
    from headwater_kedro.parameters import is_parameter

    if is_parameter(name):
        return click.ClickException(f"{name!r} is no dataset; 'kedro headwater show --json' tells parameters")
    if version and _newest(store, context_ids, name, "") is not None:
        return _no_version(store, context_ids, name, version)
    newest = store.list_artifacts(filter=within(context_ids), descending=True, limit=_MOST_KNOWN)
    artifacts = [one for one in newest if "dataset" in one.custom_properties]
    file = f"/{name.removeprefix('./').lstrip('/')}/"
    for artifact in artifacts:
        # Below it are its versions.
        if file in f"{artifact.uri}/":
            dataset = artifact.custom_properties["dataset"].string_value
            return click.ClickException(f"{name!r} is the file of a dataset; give its name: {dataset}")
    names = [*known, *(one.custom_properties["dataset"].string_value for one in artifacts)]
    known = list(dict.fromkeys(names))
    suggested = near(name, known)
    if known and not suggested:
        more = f" and {len(known) - _MOST_NAMED} more" if len(known) > _MOST_NAMED else ""
        suggested = f"; there are {', '.join(known[:_MOST_NAMED])}{more}"
    return click.ClickException(f"no dataset {name!r} was recorded{suggested}")


def _no_version(store: Store, context_ids: list[int], name: str, version: str) -> click.ClickException:
    condition = f"{within(context_ids)} AND custom_properties.dataset.string_value = {quoted(name)}"
    versions: dict[str, None] = {}
    for artifact in store.list_artifacts(filter=condition, descending=True, limit=100):
        if "version" in artifact.custom_properties:
            versions.setdefault(artifact.custom_properties["version"].string_value)
    told = f"; there are {', '.join(list(versions)[:5])}" if versions else ", since it is not versioned"
    return click.ClickException(f"no version {version!r} of {name!r} was recorded{told}")
