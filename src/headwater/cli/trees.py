"""A subgraph as a tree in the terminal, rooted at the node asked about."""

import itertools
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Literal

import click

from headwater.cli.run_words import lasted
from headwater.cli.tables import short, size, text
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
_NOT_TOLD = frozenset({"made_again", "made_by", "manifest", "preview", "returned", "stamp"})
PARAMETER = "parameter."
_WIDEST_VALUE = 32
_WIDEST_SENTENCE = 80
_DIGITS_SHOWN = 8
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
    notes: Mapping[int, str] | None = None,
) -> Iterator[str]:
    """The lines of a tree for each root, styled for a terminal and folded to its ``width``; ``None``: not.

    ``notes`` are words for executions, by id, which their lines end in.

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
            yield from _tree(subgraph, root, edges, met, width=width, notes=notes or {})


def _tree(
    subgraph: Subgraph,
    root: NodeKey,
    edges: Mapping[NodeKey, Sequence[tuple[NodeKey, str]]],
    met: set[NodeKey],
    *,
    width: int | None,
    notes: Mapping[int, str],
) -> Iterator[str]:
    # Each entry is a key, the path of the event that led to it, and the guides of its line and below it.
    pending = [(root, "", "", "")]
    while pending:
        key, path, guide, guide_below = pending.pop()
        kind, node_id = key
        node = subgraph.artifacts[node_id] if kind == "artifact" else subgraph.executions[node_id]
        children = edges.get(key, [])
        is_above = key in met and bool(children)
        note = notes.get(node_id, "") if kind == "execution" else ""
        # Of what stands above already the name is enough.
        parts = list(brief_parts_of(node) if is_above else parts_of(node, note))
        if path:
            parts[0] = click.style(f"{path}: ", dim=True) + parts[0]
        if is_above:
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


def parts_of(node: Node, note: str = "") -> Iterator[str]:
    """What a line says of a node: kind and id, type, name, URI or state, and what else tells most."""
    if isinstance(node, pb.Artifact):
        yield click.style(f"artifact {node.id}", fg="cyan")
        yield click.style(text(node.type), bold=True)
        yield from _of_artifact(node)
    else:
        yield click.style(f"execution {node.id}", fg="yellow")
        yield click.style(text(step_of(node) or node.type), bold=True)
        if node.name:
            yield text(_run_of(node) if step_of(node) else node.name)
        if node.last_known_state != pb.Execution.UNKNOWN:
            colour = _COLOURS.get(node.last_known_state)
            yield click.style(pb.Execution.State.Name(node.last_known_state), fg=colour)
        for part in _of_step(node) if step_of(node) else _properties(node, {}):
            yield click.style(part, dim=True)
    if note:
        yield click.style(note, dim=True)


def brief_parts_of(node: Node) -> Iterator[str]:
    """As ``parts_of``: kind and id, type or step, name."""
    yield from itertools.islice(parts_of(node), 3 if node.name or isinstance(node, pb.Artifact) else 2)


def _of_artifact(node: pb.Artifact) -> Iterator[str]:
    if node.name:
        yield text(node.name)
    if node.uri:
        yield text(node.uri)
    if node.state not in (pb.Artifact.UNKNOWN, pb.Artifact.LIVE):
        yield pb.Artifact.State.Name(node.state)
    told = {}
    if node.properties["digest"].string_value if "digest" in node.properties else "":
        told["digest"] = short_digest(text(node.properties["digest"].string_value))
    if "size_bytes" in node.properties and node.properties["size_bytes"].HasField("int_value"):
        told["size_bytes"] = size(node.properties["size_bytes"].int_value)
    for part in (*told.values(), *_properties(node, told)):
        yield click.style(part, dim=True)


def _run_of(node: pb.Execution) -> str:
    """PIPELINE/RUN of an attempt, whose name is PIPELINE/RUN/STEP, as far as it is not its step's."""
    step = step_of(node)
    run, _, number = node.name.partition(f"/{step}")
    return f"{run} {number}".rstrip() if run and (not number or number.startswith("#")) else node.name


def _of_step(node: pb.Execution) -> Iterator[str]:
    """How long it took, why it ran or whom it reuses, what it was given, and what it came to."""
    start_ms, end_ms = (node.properties[name].int_value for name in ("start_ms", "end_ms"))
    took = lasted(start_ms, end_ms)
    if took and node.last_known_state != pb.Execution.CACHED:
        yield took
    for name in ("why", "error"):
        said = text(node.properties[name].string_value).strip()
        if said:
            yield short(said, _WIDEST_SENTENCE)
    given = sorted(name for name in node.custom_properties if name.startswith(PARAMETER))
    yield from _some({name.removeprefix(PARAMETER): node.custom_properties[name] for name in given})


def short_digest(digest: str) -> str:
    """The algorithm and the first digits."""
    algorithm, colon, digits = digest.partition(":")
    return f"{algorithm}{colon}{digits[:_DIGITS_SHOWN]}" if colon else digest[:_DIGITS_SHOWN]


def _properties(node: Node, told: Collection[str]) -> Iterator[str]:
    """The first few properties that were not ``told``, declared ones first."""
    given = {
        name: properties[name]
        for properties in (node.custom_properties, node.properties)
        for name in sorted(properties)
    }
    declared_first = sorted(given, key=lambda name: (name not in node.properties, name))
    yield from _some({name: given[name] for name in declared_first if name not in {*told, *_NOT_TOLD}})


def _some(values: Mapping[str, pb.Value]) -> Iterator[str]:
    for name in [*values][:_PROPERTIES_SHOWN]:
        yield f"{text(name)}={short(text(from_value(values[name])), _WIDEST_VALUE)}"
    if len(values) > _PROPERTIES_SHOWN:
        yield "…"
