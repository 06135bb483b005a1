"""``headwater lineage``: what was made from what, as trees, paths, counts and differences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from headwater.cli.target import asks_store, json_option

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from headwater.client import Store
    from headwater.client.graph_answers import Comparison, Impact, Paths
    from headwater.client.node_names import NodeLike
    from headwater.client.walk_answers import Lineage

hops_option = click.option(
    "--hops",
    type=click.IntRange(min=0),
    metavar="COUNT",
    help=(
        "How far to go: the execution that made an artifact is 1 hop away, its inputs are 2. "
        "[default: to the end]"
    ),
)


def walk_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of a walk: how far it goes, and where it ends."""
    for option in reversed(
        (
            hops_option,
            click.option(
                "--until",
                metavar="FILTER",
                help="Not beyond artifacts that meet this condition, for example \"type = 'Dataset'\".",
            ),
        )
    ):
        command = option(command)
    return command


hits_option = click.option(
    "--hits",
    "with_hits",
    is_flag=True,
    help="Also executions that reused the outputs of another, instead of how many runs did.",
)

as_of_option = click.option(
    "--as-of",
    metavar="TIME",
    callback=lambda _context, _parameter, given: None if given is None else _moment(given),
    help="As it was then: 2024-05-31, 2024-05-31T18:00 or with an offset +02:00. [default: as it is now]",
)


def _moment(given: str) -> datetime:
    from datetime import datetime

    try:
        # Python 3.10 does not know the Z.
        return datetime.fromisoformat(given[:-1] + "+00:00" if given.endswith("Z") else given)
    except ValueError as error:
        raise click.BadParameter(
            f"{given!r} is no time; write for example 2024-05-31T18:00 or 2024-05-31T18:00+02:00"
        ) from error


@click.group()
def lineage() -> None:
    """What was made from what: trees, paths, counts, and where two lineages differ.

    NODE is an artifact's id, TYPE/NAME or URI; or execution:ID, execution:TYPE/NAME, run:PIPELINE/RUN,
    context:TYPE/NAME.
    """


@lineage.command(
    epilog="""\b
Examples:
  headwater lineage up Model/taxi --target localhost:8080
  headwater lineage up 42 --hops 2
  headwater lineage up 42 --until "type = 'Dataset'" --json
  headwater lineage up run:churn/2024-05-31 --as-of 2024-06-01
"""
)
@click.argument("node")
@walk_options
@as_of_option
@hits_option
@json_option
@asks_store
def up(
    store: Store,
    *,
    as_json: bool,
    node: str,
    hops: int | None,
    until: str | None,
    as_of: datetime | None,
    with_hits: bool,
) -> None:
    """Show what NODE was made from, back to the sources.

    NODE is an artifact's id, TYPE/NAME or URI, execution:ID, or run:PIPELINE/RUN. A node that was met
    before is marked "above". Executions that reused the outputs of another are counted behind that one.
    """
    _print_lineage(
        store, node, "up", as_json=as_json, hops=hops, until=until, as_of=as_of, with_hits=with_hits
    )


@lineage.command(
    epilog="""\b
Examples:
  headwater lineage down s3://bucket/taxi.csv --target localhost:8080
  headwater lineage down 42 --hops 2 --json
"""
)
@click.argument("node")
@walk_options
@as_of_option
@hits_option
@json_option
@asks_store
def down(
    store: Store,
    *,
    as_json: bool,
    node: str,
    hops: int | None,
    until: str | None,
    as_of: datetime | None,
    with_hits: bool,
) -> None:
    """Show what was made from NODE, down to the latest results.

    NODE is an artifact's id, TYPE/NAME or URI, execution:ID, or run:PIPELINE/RUN. A node that was met
    before is marked "above". Executions that reused the outputs of another are counted behind that one.
    """
    _print_lineage(
        store, node, "down", as_json=as_json, hops=hops, until=until, as_of=as_of, with_hits=with_hits
    )


def _print_lineage(
    store: Store,
    named: str,
    direction: Literal["up", "down"],
    *,
    as_json: bool,
    hops: int | None,
    until: str | None,
    as_of: datetime | None,
    with_hits: bool,
) -> None:
    from headwater.cli.tables import print_json, terminal_width
    from headwater.cli.trees import tree

    found = walked(store, named, direction, hops=hops, until=until, as_of=as_of, with_hits=with_hits)
    if as_json:
        print_json(found.to_dict())
        return
    roots = [at for at, distance in found.hops.items() if distance == 0]
    notes = {execution_id: str(reuse) for execution_id, reuse in found.reused_by.items()}
    for line in tree(found, roots, direction, width=terminal_width(), notes=notes):
        click.echo(line)


_DIRECTIONS: dict[str, Literal["upstream", "downstream", "both"]] = {
    "up": "upstream",
    "down": "downstream",
    "both": "both",
}


def walked(
    store: Store,
    named: NodeLike,
    direction: Literal["up", "down", "both"],
    *,
    hops: int | None,
    until: str | None,
    with_hits: bool,
    as_of: datetime | None = None,
) -> Lineage:
    """What lies around a node. What the answer lacks is said."""
    from headwater.client.walk_answers import Lineage
    from headwater.errors import Unimplemented

    key, towards = store.find_node(named), _DIRECTIONS[direction]
    try:
        found = store.walk_all(
            key, direction=towards, max_hops=hops, until=until, as_of=as_of, with_hits=with_hits
        )
    except Unimplemented:
        if key[0] != "artifact" or as_of is not None:
            raise
        # Servers of ML Metadata answer this one.
        subgraph = store.lineage(artifact_id=key[1], direction=towards, max_hops=hops, until=until)
        return Lineage.of_subgraph(subgraph, [key])
    _say_cut(found.cut)
    return found


def _say_cut(cut: str | None) -> None:
    if cut is not None:
        click.echo(f"Cut: {cut}.", err=True)


@lineage.command(
    epilog="""\b
Examples:
  headwater lineage path s3://bucket/taxi.csv Model/taxi --target localhost:8080
  headwater lineage path 7 42 --most 3 --json
"""
)
@click.argument("a")
@click.argument("b")
@click.option(
    "--most",
    type=click.IntRange(1, 100),
    default=10,
    show_default=True,
    metavar="COUNT",
    help="How many paths at most, 1 to 100.",
)
@hops_option
@json_option
@asks_store
def path(store: Store, *, as_json: bool, a: str, b: str, most: int, hops: int | None) -> None:
    """Show how A leads to B, or B to A: along the flow of data, shortest first.

    A and B are artifact ids, TYPE/NAME or URIs, or execution:ID.
    """
    from headwater.cli.tables import print_json

    found = store.paths(a, b, max_paths=most, max_hops=hops)
    _say_cut(found.cut)
    if as_json:
        print_json(found.to_dict())
    elif not found.paths:
        click.echo(f"Neither of {a!r} and {b!r} was made from the other.", err=True)
    else:
        _print_paths(found)


def _print_paths(found: Paths) -> None:
    from headwater.cli.tables import text
    from headwater.cli.trees import parts_of

    for number, stops in enumerate(found):
        if number:
            click.echo()
        for place, stop in enumerate(stops):
            arrow = "" if not place else "→ "
            name = click.style(f"{text(stop.event_path)}: ", dim=True) if stop.event_path else ""
            click.echo(arrow + name + "  ".join(parts_of(stop.node)))


@lineage.command(
    epilog="""\b
Examples:
  headwater lineage impact s3://bucket/taxi.csv --target localhost:8080
  headwater lineage impact 42 --hops 4 --json
  headwater lineage impact run:churn/2024-05-31 --as-of 2024-06-30
"""
)
@click.argument("node")
@hops_option
@as_of_option
@json_option
@asks_store
def impact(store: Store, *, as_json: bool, node: str, hops: int | None, as_of: datetime | None) -> None:
    """Count what was made from NODE, by type, step and state.

    NODE is an artifact's id, TYPE/NAME or URI, execution:ID, or run:PIPELINE/RUN.
    """
    from headwater.cli.tables import print_json

    found = store.impact(node, max_hops=hops, as_of=as_of)
    _say_cut(found.cut)
    if as_json:
        print_json(found.to_dict())
    else:
        _print_impact(found)


_MOST_SHOWN = 10


def _print_impact(found: Impact) -> None:
    from headwater.cli.tables import print_table

    if not found.artifacts and not found.executions:
        click.echo("Nothing was made from it.", err=True)
        return
    counts = [(row["count"], row["kind"], row["type"], row["step"], row["state"]) for row in found.rows()]
    print_table(
        ["count", "kind", "type", "step", "state"], counts, numbers=["count"], folded=["type", "step"]
    )
    if found.contexts:
        click.echo()
        contexts = [(count, node.id, node.type, node.name) for node, count in found.contexts[:_MOST_SHOWN]]
        print_table(
            ["count", "context", "type", "name"], contexts, numbers=["count", "context"], folded=["name"]
        )
        _say_more(len(found.contexts), "contexts")
    if found.latest:
        click.echo()
        latest = [(node.id, node.type, node.name, node.uri) for node in found.latest[:_MOST_SHOWN]]
        print_table(["unused", "type", "name", "uri"], latest, numbers=["unused"], folded=["name", "uri"])
        _say_more(len(found.latest), "artifacts that nothing used")


def _say_more(count: int, what: str) -> None:
    if count > _MOST_SHOWN:
        click.echo(f"{count - _MOST_SHOWN} more {what}: see --json.", err=True)


@lineage.command(
    epilog="""\b
Examples:
  headwater lineage diff Model/monday Model/tuesday --target localhost:8080
  headwater lineage diff 42 57 --all
  headwater lineage diff execution:7 execution:12 --json
"""
)
@click.argument("a")
@click.argument("b")
@hops_option
@click.option("--all", "shows_all", is_flag=True, help="Also steps of which nothing but the inputs differs.")
@json_option
@asks_store
def diff(store: Store, *, as_json: bool, a: str, b: str, hops: int | None, shows_all: bool) -> None:
    """Show where the lineages of A and B differ: code, parameters, environment and inputs of their steps.

    The nearest step comes first. A and B are artifact ids, TYPE/NAME or URIs, or execution:ID.
    """
    from headwater.cli.tables import print_json

    found = store.compare(a, b, max_hops=hops)
    _say_cut(found.cut)
    if as_json:
        print_json(found.to_dict())
    else:
        _print_comparison(found, shows_all=shows_all)


def _print_comparison(found: Comparison, *, shows_all: bool) -> None:
    from headwater.cli.tables import text

    shown = found.steps if shows_all else found.causes
    for step in shown:
        where = f"{step.hops} {'hop' if step.hops == 1 else 'hops'} up"
        name = click.style(text(step.step), bold=True)
        if step.a_execution_id is None or step.b_execution_id is None:
            side = "B" if step.a_execution_id is None else "A"
            execution = step.b_execution_id or step.a_execution_id
            click.echo(f"{name}  {where}  execution {execution}  only in {side}")
            continue
        click.echo(f"{name}  {where}  executions {step.a_execution_id} and {step.b_execution_id}")
        for one in step.differences:
            old, new = (_shown(side) for side in (one.a, one.b))
            click.echo(f"  {text(one.component)}  {old} → {new}")
    given = len(found.steps) - len(shown)
    said = [f"{_steps(found.equal_steps)} equal"]
    if given:
        said.append(f"{_steps(given)} different only in what {'it was' if given == 1 else 'they were'} given")
    click.echo(", ".join(said) + ".", err=True)


def _steps(count: int) -> str:
    return "1 step is" if count == 1 else f"{count} steps are"


_WIDEST_VALUE = 72  # A digest.


def _shown(component: str | None) -> str:
    from headwater.cli.tables import short, text

    return click.style("(none)", dim=True) if component is None else short(text(component), _WIDEST_VALUE)
