"""One node on the terminal: its fields, its properties and its neighbours."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import click

from headwater.cli import tables
from headwater.client.drawing import path_text
from headwater.client.plain import plain_event, plain_node
from headwater.v1 import metadata_store_pb2 as pb

Node = pb.Artifact | pb.Execution | pb.Context


def print_json_of(
    node: pb.Artifact | pb.Execution, contexts: Iterable[pb.Context], events: Iterable[pb.Event]
) -> None:
    """The node with its ``contexts`` and ``events``."""
    tables.print_json(
        {
            **plain_node(node),
            "contexts": [plain_node(context) for context in contexts],
            "events": [plain_event(event) for event in sorted(events, key=_moment)],
        }
    )


def print_json_of_context(
    node: pb.Context, parents: Iterable[pb.Context], children: Iterable[pb.Context]
) -> None:
    """The context with its ``parents`` and ``children``."""
    tables.print_json(
        {
            **plain_node(node),
            "parents": [plain_node(parent) for parent in parents],
            "children": [plain_node(child) for child in children],
        }
    )


def print_node(node: Node) -> None:
    """The fields of a node, then its properties."""
    plain: dict[str, Any] = plain_node(node)
    tables.print_fields(
        {
            "id": plain["id"],
            "type": plain.get("type"),
            "name": plain.get("name"),
            "external id": plain.get("external_id"),
            "uri": plain.get("uri"),
            "state": plain.get("state"),
            "created": tables.exact_time(plain.get("create_ms", 0)) or None,
            "updated": tables.exact_time(plain.get("update_ms", 0)) or None,
        }
    )
    rows = [
        (name, value, declared)
        for declared, values in (("", plain["properties"]), ("custom", plain["custom_properties"]))
        for name, value in values.items()
    ]
    _print_section("properties", ("name", "value", ""), rows, folded=("name", "value"))


def print_contexts(title: str, contexts: Iterable[pb.Context]) -> None:
    """Contexts by ascending id, nothing if there are none."""
    rows = sorted((context.id, context.type, context.name) for context in contexts)
    _print_section(title, ("id", "type", "name"), rows, numbers=("id",), folded=("type", "name"))


def print_neighbours(
    node: pb.Artifact | pb.Execution,
    events: Iterable[pb.Event],
    others: Iterable[pb.Artifact | pb.Execution],
    sections: Iterable[tuple[str, Collection[int]]],
) -> None:
    """The ``others`` at the far end of the events of ``node``, by time.

    Each section has a title and the event types that belong there.
    """
    by_id = {other.id: other for other in others}
    ordered = sorted(events, key=_moment)
    for title, types in sections:
        rows = []
        for event in ordered:
            other = by_id.get(event.execution_id if isinstance(node, pb.Artifact) else event.artifact_id)
            if event.type in types and other is not None:
                event_type = pb.Event.Type.Name(event.type)
                when = tables.time(event.milliseconds_since_epoch)
                rows.append((other.id, other.type, other.name, event_type, path_text(event), when))
        _print_section(
            title,
            ("id", "type", "name", "event", "path", "time"),
            rows,
            numbers=("id",),
            folded=("type", "name", "path"),
        )


def _moment(event: pb.Event) -> int:
    return event.milliseconds_since_epoch


def _print_section(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], **options: Any) -> None:
    if rows:
        click.echo()
        click.secho(title, bold=True, underline=True)
        tables.print_table(columns, rows, **options)
