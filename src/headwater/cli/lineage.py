"""``headwater lineage``: what an artifact was made from, and what was made from it, as a tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from headwater.cli.target import asks_store, find_artifact, json_option

if TYPE_CHECKING:
    from collections.abc import Callable

    from headwater.client import Store


def walk_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of a walk: where it starts, and where it ends."""
    for option in reversed(
        (
            click.argument("artifact"),
            click.option(
                "--hops",
                type=click.IntRange(min=0),
                metavar="COUNT",
                help=(
                    "How far to go: the execution that made an artifact is 1 hop away, its inputs are 2. "
                    "[default: to the end]"
                ),
            ),
            click.option(
                "--until",
                metavar="FILTER",
                help="Not beyond artifacts that meet this condition, for example \"type = 'Dataset'\".",
            ),
        )
    ):
        command = option(command)
    return command


@click.group()
def lineage() -> None:
    """What an artifact was made from, and what was made from it.

    ARTIFACT is an id, TYPE/NAME, or a URI.
    """


@lineage.command(
    epilog="""\b
Examples:
  headwater lineage up Model/taxi --target localhost:8080
  headwater lineage up 42 --hops 2
  headwater lineage up 42 --until "type = 'Dataset'" --json
"""
)
@walk_options
@json_option
@asks_store
def up(store: Store, as_json: bool, artifact: str, hops: int | None, until: str | None) -> None:
    """Show what ARTIFACT was made from, back to the sources.

    ARTIFACT is an id, TYPE/NAME, or a URI. A node that was met before is marked "above".
    """
    _print_lineage(store, artifact, "up", as_json=as_json, hops=hops, until=until)


@lineage.command(
    epilog="""\b
Examples:
  headwater lineage down s3://bucket/taxi.csv --target localhost:8080
  headwater lineage down 42 --hops 2 --json
"""
)
@walk_options
@json_option
@asks_store
def down(store: Store, as_json: bool, artifact: str, hops: int | None, until: str | None) -> None:
    """Show what was made from ARTIFACT, down to the latest results.

    ARTIFACT is an id, TYPE/NAME, or a URI. A node that was met before is marked "above".
    """
    _print_lineage(store, artifact, "down", as_json=as_json, hops=hops, until=until)


def _print_lineage(
    store: Store,
    named: str,
    direction: Literal["up", "down"],
    *,
    as_json: bool,
    hops: int | None,
    until: str | None,
) -> None:
    from headwater.cli.tables import print_json, terminal_width
    from headwater.cli.trees import tree

    artifact = find_artifact(store, named)
    subgraph = store.lineage(
        artifact_id=artifact.id,
        direction="upstream" if direction == "up" else "downstream",
        max_hops=hops,
        until=until,
    )
    if as_json:
        print_json(subgraph.to_dict())
        return
    for line in tree(subgraph, artifact.id, direction, width=terminal_width()):
        click.echo(line)
