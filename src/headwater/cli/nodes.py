"""``headwater artifact``, ``execution`` and ``context``: listed, and shown one at a time."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from headwater.cli.target import asks_store, find_artifact, find_context, find_execution, json_option

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from headwater.client import Store
    from headwater.v1 import metadata_store_pb2 as pb

    Node = pb.Artifact | pb.Execution | pb.Context

ROWS_IN_A_TABLE = 100


def _listing_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(
        (
            click.option("--type", "type_name", metavar="NAME", help="Only those of this type."),
            click.option(
                "--type-version",
                metavar="VERSION",
                help="Version of the type; without it, the one that has none.",
            ),
            click.option(
                "--filter",
                "condition",
                metavar="FILTER",
                help='Only those that meet a condition, for example "state = LIVE".',
            ),
            click.option(
                "--order-by",
                default="id",
                show_default=True,
                type=click.Choice(("id", "create_time", "update_time")),
                help="What to order by, ascending.",
            ),
            click.option("--desc", is_flag=True, help="Order descending."),
            click.option(
                "--limit",
                type=click.IntRange(min=0),
                metavar="COUNT",
                help=f"At most so many; 0 means all. [default: {ROWS_IN_A_TABLE} in a table, all in JSON]",
            ),
        )
    ):
        command = option(command)
    return command


_of_context = click.option(
    "--context", metavar="CONTEXT", help="Only those of this context: its id or TYPE/NAME."
)


@click.group()
def artifact() -> None:
    """Things used or made: data, models, reports."""


@artifact.command(
    "list",
    epilog="""\b
Examples:
  headwater artifact list --target localhost:8080 --type Dataset
  headwater artifact list --filter "state = LIVE AND properties.rows.int_value > 1000"
  headwater artifact list --context Run/monday --order-by create_time --desc --limit 10 --json
""",
)
@_of_context
@_listing_options
@json_option
@asks_store
def list_artifacts(
    store: Store, as_json: bool, limit: int | None, context: str | None, **options: Any
) -> None:
    """List artifacts."""
    found = store.list_artifacts(
        context_id=_context_id(store, context), **_listing(limit, as_json, **options)
    )
    _print_nodes(
        found,
        limit,
        as_json,
        ("id", "type", "name", "uri", "state", "updated"),
        folded=("type", "name", "uri"),
    )


@artifact.command(
    "show",
    epilog="""\b
Examples:
  headwater artifact show 42
  headwater artifact show Model/taxi --json
  headwater artifact show s3://bucket/taxi.csv
""",
)
@click.argument("artifact")
@json_option
@asks_store
def show_artifact(store: Store, as_json: bool, artifact: str) -> None:
    """Show an artifact: its properties, contexts, producer and consumers.

    ARTIFACT is its id, TYPE/NAME, or its URI.
    """
    from headwater.cli import showing
    from headwater.client.lineage import INPUTS, OUTPUTS

    node = find_artifact(store, artifact)
    events = store.get_events_by_artifact_ids([node.id])
    contexts = store.get_contexts_by_artifact(node.id)
    if as_json:
        showing.print_json_of(node, contexts, events)
        return
    others = store.get_executions_by_id({event.execution_id for event in events})
    showing.print_node(node)
    showing.print_contexts("contexts", contexts)
    showing.print_neighbours(node, events, others, (("producer", OUTPUTS), ("consumers", INPUTS)))


@click.group()
def execution() -> None:
    """Runs of steps."""


@execution.command(
    "list",
    epilog="""\b
Examples:
  headwater execution list --type Train --order-by update_time --desc
  headwater execution list --filter "last_known_state = FAILED" --json
""",
)
@_of_context
@_listing_options
@json_option
@asks_store
def list_executions(
    store: Store, as_json: bool, limit: int | None, context: str | None, **options: Any
) -> None:
    """List executions."""
    found = store.list_executions(
        context_id=_context_id(store, context), **_listing(limit, as_json, **options)
    )
    _print_nodes(found, limit, as_json, ("id", "type", "name", "state", "updated"), folded=("type", "name"))


@execution.command(
    "show",
    epilog="""\b
Examples:
  headwater execution show 7
  headwater execution show Train/monday --json
""",
)
@click.argument("execution")
@json_option
@asks_store
def show_execution(store: Store, as_json: bool, execution: str) -> None:
    """Show an execution: its properties, contexts, inputs and outputs.

    EXECUTION is its id or TYPE/NAME.
    """
    from headwater.cli import showing
    from headwater.client.lineage import INPUTS, OUTPUTS

    node = find_execution(store, execution)
    events = store.get_events_by_execution_ids([node.id])
    contexts = store.get_contexts_by_execution(node.id)
    if as_json:
        showing.print_json_of(node, contexts, events)
        return
    others = store.get_artifacts_by_id({event.artifact_id for event in events})
    showing.print_node(node)
    showing.print_contexts("contexts", contexts)
    showing.print_neighbours(node, events, others, (("inputs", INPUTS), ("outputs", OUTPUTS)))


@click.group()
def context() -> None:
    """Groupings: pipelines, pipeline runs, experiments."""


@context.command(
    "list", epilog="\b\nExample:\n  headwater context list --type Pipeline --order-by create_time --desc"
)
@_listing_options
@json_option
@asks_store
def list_contexts(store: Store, as_json: bool, limit: int | None, **options: Any) -> None:
    """List contexts."""
    found = store.list_contexts(**_listing(limit, as_json, **options))
    _print_nodes(found, limit, as_json, ("id", "type", "name", "updated"), folded=("type", "name"))


@context.command(
    "show",
    epilog="""\b
Examples:
  headwater context show 3
  headwater context show Run/monday --json
""",
)
@click.argument("context")
@json_option
@asks_store
def show_context(store: Store, as_json: bool, context: str) -> None:
    """Show a context: its properties, parents and children.

    CONTEXT is its id or TYPE/NAME. For what belongs to it see 'artifact list --context' and 'execution list
    --context'.
    """
    from headwater.cli import showing

    node = find_context(store, context)
    parents = store.get_parent_contexts_by_context(node.id)
    children = store.get_children_contexts_by_context(node.id)
    if as_json:
        showing.print_json_of_context(node, parents, children)
        return
    showing.print_node(node)
    showing.print_contexts("parents", parents)
    showing.print_contexts("children", children)


def _context_id(store: Store, named: str | None) -> int | None:
    return None if named is None else find_context(store, named).id


def _rows(limit: int | None, as_json: bool) -> int | None:
    """How many to print; ``None`` means all."""
    if limit is None:
        return None if as_json else ROWS_IN_A_TABLE
    return limit or None


def _listing(
    limit: int | None,
    as_json: bool,
    *,
    type_name: str | None,
    type_version: str | None,
    condition: str | None,
    order_by: str,
    desc: bool,
) -> dict[str, Any]:
    """The arguments of ``Store.list_*``; it asks for one more than is printed, to know if there are more."""
    rows = _rows(limit, as_json)
    return {
        "type": type_name,
        "type_version": type_version,
        "filter": condition,
        "order_by": order_by,
        "descending": desc,
        "limit": None if rows is None else rows + 1,
    }


def _print_nodes(
    found: Iterator[Node],
    limit: int | None,
    as_json: bool,
    columns: tuple[str, ...],
    *,
    folded: tuple[str, ...],
) -> None:
    from headwater.cli import tables
    from headwater.client.plain import plain_node

    rows = _rows(limit, as_json)
    shown: Iterable[Node] = islice(found, rows)
    if as_json:
        tables.print_json_list(plain_node(node) for node in shown)
    else:
        plain = (
            {**plain_node(node), "updated": tables.time(node.last_update_time_since_epoch)} for node in shown
        )
        tables.print_table(
            columns,
            ([node.get(column) for column in columns] for node in plain),
            numbers=("id",),
            folded=folded,
            dropped=("updated", "state"),
        )
    if next(found, None) is not None:
        click.echo(f"there are more than these {rows}; --limit 0 lists all", err=True)
