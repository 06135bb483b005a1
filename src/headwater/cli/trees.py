"""A subgraph as a tree in the terminal, rooted at the artifact asked about."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
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


def tree(subgraph: Subgraph, root_id: int, direction: Literal["up", "down"]) -> Iterator[str]:
    """The lines of the tree, styled for a terminal.

    A node that was met before is marked "above" and not followed again, so there are at most as many lines
    as events. Children come in the order of their events.
    """
    edges = _edges(subgraph, direction)
    root: _Key = (True, root_id)
    met = {root}
    yield _line(subgraph.artifacts[root_id])
    # Each entry is a key, the path of the event that led to it, and the guides of its line and below it.
    pending = list(reversed(_children(edges.get(root, ()), "")))
    while pending:
        key, path, guide, guide_below = pending.pop()
        is_artifact, node_id = key
        node: Node = subgraph.artifacts[node_id] if is_artifact else subgraph.executions[node_id]
        line = (
            click.style(guide, dim=True) + (click.style(f"{path}: ", dim=True) if path else "") + _line(node)
        )
        if key in met:
            yield line + click.style("  (above)", dim=True) if edges.get(key) else line
            continue
        met.add(key)
        yield line
        pending += reversed(_children(edges.get(key, ()), guide_below))


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


def _children(neighbours: Sequence[tuple[_Key, str]], guide: str) -> list[tuple[_Key, str, str, str]]:
    if len(guide) > _WIDEST_GUIDE:
        guide = "… " + guide[-_WIDEST_GUIDE // 2 :]
    last = len(neighbours) - 1
    return [
        (key, path, guide + ("└─ " if index == last else "├─ "), guide + ("   " if index == last else "│  "))
        for index, (key, path) in enumerate(neighbours)
    ]


def _line(node: Node) -> str:
    is_artifact = isinstance(node, pb.Artifact)
    what = f"{'artifact' if is_artifact else 'execution'} {node.id}"
    parts = [
        click.style(what, fg="cyan" if is_artifact else "yellow"),
        click.style(text(node.type), bold=True),
    ]
    if node.name:
        parts.append(text(node.name))
    if isinstance(node, pb.Artifact):
        parts += [text(node.uri)] if node.uri else []
        parts += (
            [pb.Artifact.State.Name(node.state)]
            if node.state not in (pb.Artifact.UNKNOWN, pb.Artifact.LIVE)
            else []
        )
    elif node.last_known_state != pb.Execution.UNKNOWN:
        has_failed = node.last_known_state in (pb.Execution.FAILED, pb.Execution.CANCELED)
        state = pb.Execution.State.Name(node.last_known_state)
        parts.append(click.style(state, fg="red") if has_failed else state)
    parts += [click.style(part, dim=True) for part in _properties(node)]
    return "  ".join(parts)


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
