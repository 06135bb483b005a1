"""A subgraph as a tree in the terminal, rooted at the artifact asked about."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import click

from headwater.cli.drawing import path_text
from headwater.cli.tables import short, text
from headwater.client import Subgraph, from_value
from headwater.client.lineage import INPUTS, OUTPUTS
from headwater.v1 import metadata_store_pb2 as pb

Node = pb.Artifact | pb.Execution
_Key = tuple[bool, int]  # Whether it is an artifact, and its id.

_PROPERTIES_SHOWN = 3
_WIDEST_VALUE = 32
# Lines of deep trees would begin beyond the screen.
_WIDEST_GUIDE = 60


def tree(
    subgraph: Subgraph, root_id: int, direction: Literal["up", "down"], *, width: int | None = None
) -> Iterator[str]:
    """The lines of the tree, styled for a terminal and folded to its ``width``; ``None``: not folded.

    A node that was met before is marked "above" and not followed again, so there are at most as many nodes
    as events. Children come in the order of their events.
    """
    edges = _edges(subgraph, direction)
    root: _Key = (True, root_id)
    met: set[_Key] = set()
    # Each entry is a key, the path of the event that led to it, and the guides of its line and below it.
    pending = [(root, "", "", "")]
    while pending:
        key, path, guide, guide_below = pending.pop()
        is_artifact, node_id = key
        parts = list(_parts(subgraph.artifacts[node_id] if is_artifact else subgraph.executions[node_id]))
        if path:
            parts[0] = click.style(f"{path}: ", dim=True) + parts[0]
        children = edges.get(key, [])
        if key in met and children:
            parts.append(click.style("(above)", dim=True))
            children = []
        met.add(key)
        yield from _folded(parts, guide, guide_below + ("│  " if children else "   "), width)
        pending += reversed(_entries(children, guide_below))


def _edges(subgraph: Subgraph, direction: Literal["up", "down"]) -> Mapping[_Key, Sequence[tuple[_Key, str]]]:
    """Where the events lead from each node, with their paths; each neighbour once."""
    edges: dict[_Key, dict[_Key, str]] = defaultdict(dict)
    to_executions, to_artifacts = (OUTPUTS, INPUTS) if direction == "up" else (INPUTS, OUTPUTS)
    for event in sorted(subgraph.events, key=lambda event: event.milliseconds_since_epoch):
        artifact, execution = (True, event.artifact_id), (False, event.execution_id)
        if event.type in to_executions:
            edges[artifact].setdefault(execution, path_text(event))
        if event.type in to_artifacts:
            edges[execution].setdefault(artifact, path_text(event))
    return {key: list(neighbours.items()) for key, neighbours in edges.items()}


def _entries(children: Sequence[tuple[_Key, str]], guide: str) -> list[tuple[_Key, str, str, str]]:
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


def _parts(node: Node) -> Iterator[str]:
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
        has_failed = node.last_known_state in (pb.Execution.FAILED, pb.Execution.CANCELED)
        yield click.style(pb.Execution.State.Name(node.last_known_state), fg="red" if has_failed else None)
    for part in _properties(node):
        yield click.style(part, dim=True)


def _properties(node: Node) -> Iterator[str]:
    """The first few properties, declared ones first."""
    given = [
        (name, properties[name])
        for properties in (node.properties, node.custom_properties)
        for name in sorted(properties)
    ]
    for name, value in given[:_PROPERTIES_SHOWN]:
        yield f"{text(name)}={short(text(from_value(value)), _WIDEST_VALUE)}"
    if len(given) > _PROPERTIES_SHOWN:
        yield "…"
