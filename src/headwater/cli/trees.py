"""A subgraph as a tree in the terminal, rooted at the node asked about."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import click

from headwater.cli.tables import short, text
from headwater.client import Subgraph, from_value
from headwater.client.drawing import path_text
from headwater.client.folding import step_of
from headwater.client.lineage import INPUTS, OUTPUTS
from headwater.v1 import metadata_store_pb2 as pb

Node = pb.Artifact | pb.Execution
NodeKey = tuple[str, int]
"""``"artifact"`` or ``"execution"``, and the id."""

_PROPERTIES_SHOWN = 3
# What docs/model.md has for other readers than people.
_NOT_TOLD = frozenset({"made_by", "manifest", "preview", "stamp"})
_TOLD_OF_STEPS = ("parameter.", "metric.")
_WIDEST_VALUE = 32
_COLOURS: Mapping[int, str] = {
    pb.Execution.FAILED: "red",
    pb.Execution.CANCELED: "red",
    pb.Execution.CACHED: "green",
    pb.Execution.RUNNING: "blue",
}
# Lines of deep trees would begin beyond the screen.
_WIDEST_GUIDE = 60


def tree(
    subgraph: Subgraph,
    roots: Sequence[NodeKey],
    direction: Literal["up", "down"],
    *,
    width: int | None = None,
) -> Iterator[str]:
    """The lines of a tree for each root, styled for a terminal and folded to its ``width``; ``None``: not.

    Roots that others lead to are left to them. A node that was met before is marked "above" and not followed
    again, so there are at most as many nodes as events and roots. Children come in the order of their events.
    """
    edges = _edges(subgraph, direction)
    led_to = {child for key, children in edges.items() for child, _ in children if child != key}
    first = [root for root in roots if root not in led_to]
    met: set[NodeKey] = set()
    # What goes in circles has no first, and one root is where it is.
    for root in [*first, *roots] if len(roots) > 1 else roots:
        if root not in met:
            yield from _tree(subgraph, root, edges, met, width)


def _tree(
    subgraph: Subgraph,
    root: NodeKey,
    edges: Mapping[NodeKey, Sequence[tuple[NodeKey, str]]],
    met: set[NodeKey],
    width: int | None,
) -> Iterator[str]:
    # Each entry is a key, the path of the event that led to it, and the guides of its line and below it.
    pending = [(root, "", "", "")]
    while pending:
        key, path, guide, guide_below = pending.pop()
        kind, node_id = key
        node = subgraph.artifacts[node_id] if kind == "artifact" else subgraph.executions[node_id]
        parts = list(parts_of(node))
        if path:
            parts[0] = click.style(f"{path}: ", dim=True) + parts[0]
        children = edges.get(key, [])
        if key in met and children:
            parts.append(click.style("(above)", dim=True))
            children = []
        met.add(key)
        yield from _folded(parts, guide, guide_below + ("│  " if children else "   "), width)
        pending += reversed(_entries(children, guide_below))


def _edges(
    subgraph: Subgraph, direction: Literal["up", "down"]
) -> Mapping[NodeKey, Sequence[tuple[NodeKey, str]]]:
    """Where the events lead from each node, with their paths; each neighbour once."""
    edges: dict[NodeKey, dict[NodeKey, str]] = defaultdict(dict)
    to_executions, to_artifacts = (OUTPUTS, INPUTS) if direction == "up" else (INPUTS, OUTPUTS)
    for event in sorted(subgraph.events, key=lambda event: event.milliseconds_since_epoch):
        artifact, execution = ("artifact", event.artifact_id), ("execution", event.execution_id)
        if event.type in to_executions:
            edges[artifact].setdefault(execution, path_text(event))
        if event.type in to_artifacts:
            edges[execution].setdefault(artifact, path_text(event))
    return {key: list(neighbours.items()) for key, neighbours in edges.items()}


def _entries(children: Sequence[tuple[NodeKey, str]], guide: str) -> list[tuple[NodeKey, str, str, str]]:
    if len(guide) > _WIDEST_GUIDE:
        guide = "… " + guide[-_WIDEST_GUIDE // 2 :]
    last = len(children) - 1
    return [
        (key, path, guide + ("└─ " if index == last else "├─ "), guide + ("   " if index == last else "│  "))
        for index, (key, path) in enumerate(children)
    ]


def _folded(parts: Iterable[str], guide: str, guide_below: str, width: int | None) -> Iterator[str]:
    """The parts on as few lines as the width allows; none is broken."""
    line, length = "", 0
    for part in parts:
        part_length = len(click.unstyle(part))
        if line and width is not None and len(guide) + length + 2 + part_length > width:
            yield click.style(guide, dim=True) + line
            guide, line, length = guide_below, "", 0
        separator = "  " if line else ""
        line += separator + part
        length += len(separator) + part_length
    yield click.style(guide, dim=True) + line


def parts_of(node: Node) -> Iterator[str]:
    """What a line says of a node: kind and id, type, name, URI, state, the first few properties."""
    if isinstance(node, pb.Artifact):
        yield click.style(f"artifact {node.id}", fg="cyan")
    else:
        yield click.style(f"execution {node.id}", fg="yellow")
    yield click.style(text(node.type), bold=True)
    if node.name:
        yield text(node.name)
    if isinstance(node, pb.Artifact):
        if node.uri:
            yield text(node.uri)
        if node.state not in (pb.Artifact.UNKNOWN, pb.Artifact.LIVE):
            yield pb.Artifact.State.Name(node.state)
    elif node.last_known_state != pb.Execution.UNKNOWN:
        colour = _COLOURS.get(node.last_known_state)
        yield click.style(pb.Execution.State.Name(node.last_known_state), fg=colour)
    for part in _properties(node):
        yield click.style(part, dim=True)


def _properties(node: Node) -> Iterator[str]:
    """The first few properties, declared ones first; of a step what it was given and what it came to."""
    given = [
        (name, properties[name])
        for properties in (node.properties, node.custom_properties)
        for name in sorted(properties)
    ]
    if step_of(node):
        if "cached_execution_id" in node.properties:
            yield f"of execution {node.properties['cached_execution_id'].int_value}"
        given = [(name.partition(".")[2], value) for name, value in given if name.startswith(_TOLD_OF_STEPS)]
    else:
        given = [(name, value) for name, value in given if name not in _NOT_TOLD]
    for name, value in given[:_PROPERTIES_SHOWN]:
        yield f"{text(name)}={short(text(from_value(value)), _WIDEST_VALUE)}"
    if len(given) > _PROPERTIES_SHOWN:
        yield "…"
