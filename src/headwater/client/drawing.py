"""A subgraph as a Graphviz drawing: data flows from left to right.

Executions are boxes, whose colour is their state; one that was not run, because its outputs were there, is
dashed and says so. The shape of an artifact is its kind: data sets are cylinders, models blocks, numbers
and reports sheets of paper, others ellipses. Executions of one run and what they made stand in a frame with
its name; what was there before the first of them is outside. The label of an edge is the path of its event,
unless that is the name of the artifact. What is alike is folded (``headwater.client.folding``). Needs the
``graphviz`` package (``pip install 'headwater[svg]'``), and for SVG the program ``dot`` besides.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headwater.client.folding import RUN_TYPE, NodeKey, folded, step_of
from headwater.client.lineage import OUTPUTS
from headwater.client.plain import path_of
from headwater.errors import FailedPrecondition
from headwater.v1 import metadata_store_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    import graphviz

    from headwater.client.lineage import Subgraph

MOST_ALIKE = 12
"""Of more nodes than these that are alike and hang on the same nodes one is drawn, with their number."""

_FONT = "Helvetica,Arial,sans-serif"
_WIDEST_LABEL = 48
_GONE = frozenset({pb.Artifact.MARKED_FOR_DELETION, pb.Artifact.DELETED, pb.Artifact.ABANDONED})
# Fill and outline.
_COLOURS: Mapping[int, tuple[str, str]] = {
    pb.Execution.NEW: ("#f1f5f9", "#64748b"),
    pb.Execution.RUNNING: ("#dbeafe", "#1d4ed8"),
    pb.Execution.COMPLETE: ("#dcfce7", "#15803d"),
    pb.Execution.CACHED: ("#ffffff", "#15803d"),
    pb.Execution.FAILED: ("#fee2e2", "#b91c1c"),
    pb.Execution.CANCELED: ("#ffedd5", "#c2410c"),
}
_NO_STATE = ("#f8fafc", "#475569")
_SAID_BY_COLOUR = frozenset({pb.Execution.UNKNOWN, pb.Execution.COMPLETE})
# Shape, fill and outline by the type of an artifact.
_SHAPES: Mapping[str, tuple[str, str, str]] = {
    "Dataset": ("cylinder", "#e0f2fe", "#0369a1"),
    "Model": ("box3d", "#ede9fe", "#6d28d9"),
    "Metrics": ("note", "#fef9c3", "#a16207"),
    "Report": ("note", "#fef9c3", "#a16207"),
    "Statistics": ("note", "#fef9c3", "#a16207"),
}
_ANY_SHAPE = ("ellipse", "#f1f5f9", "#475569")
_GONE_COLOURS = ("#f8fafc", "#cbd5e1")


def digraph(
    subgraph: Subgraph,
    *,
    highlighted: Iterable[int] = (),
    most_alike: int | None = MOST_ALIKE,
    notes: Mapping[int, str] | None = None,
) -> graphviz.Digraph:
    """The drawing; ``str()`` of it is the DOT text.

    Artifacts ``highlighted`` have a thick outline and are never folded. ``most_alike=None`` folds nothing.
    ``notes`` are lines for executions, by id.

    Raises:
        FailedPrecondition: the package graphviz is not installed.
    """
    try:
        import graphviz
    except ImportError as error:
        raise FailedPrecondition(
            "drawings need the Python package graphviz; pip install 'headwater[svg]'"
        ) from error

    drawing = graphviz.Digraph(
        "lineage",
        # Ranked as a whole, so that the same step is in the same column whichever frame it stands in.
        graph_attr={
            "rankdir": "LR",
            "newrank": "true",
            "nodesep": "0.2",
            "ranksep": "0.45",
            "fontname": _FONT,
        },
        node_attr={"fontname": _FONT, "fontsize": "11", "style": "filled", "margin": "0.12,0.05"},
        edge_attr={"fontname": _FONT, "fontsize": "9", "color": "#64748b", "fontcolor": "#475569"},
    )
    thick = set(highlighted)
    kept: set[NodeKey] = {("artifact", artifact_id) for artifact_id in thick}
    most = len(subgraph.artifacts) + len(subgraph.executions) if most_alike is None else most_alike
    groups = folded(subgraph, most=most, kept=kept)
    runs = _runs(subgraph)
    said = _Said(thick, _names(subgraph, runs), notes or {})
    framed: dict[int, list[list[NodeKey]]] = defaultdict(list)
    for group in groups:
        run_ids = {runs.get(key) for key in group}
        run_id = run_ids.pop() if len(run_ids) == 1 else None
        if run_id is None:
            _draw(drawing, subgraph, group, said)
        else:
            framed[run_id].append(group)
    for run_id, of_run in framed.items():
        with drawing.subgraph(name=f"cluster_{run_id}") as frame:
            name = subgraph.contexts[run_id].name
            frame.attr(
                label=_lines([name]),
                style="rounded,filled",
                fillcolor="#fcfcfd",
                color="#94a3b8",
                fontcolor="#475569",
                fontsize="12",
                labeljust="l",
            )
            for group in of_run:
                _draw(frame, subgraph, group, said)
    for (tail, head), paths in _edges(subgraph, groups, said.names).items():
        drawing.edge(tail, head, label=_lines(paths) if any(paths) else None)
    return drawing


def svg(drawing: graphviz.Digraph) -> str:
    """The drawing as SVG, by the program ``dot``.

    Raises:
        FailedPrecondition: ``dot`` is not there, or does not understand the drawing.
    """
    import graphviz

    try:
        return str(drawing.pipe(format="svg", encoding="utf-8"))
    except graphviz.ExecutableNotFound as error:
        raise FailedPrecondition(
            "SVG needs the program dot of Graphviz, which is not on the PATH; install it with "
            "'apt install graphviz', 'brew install graphviz' or from https://graphviz.org/download/"
        ) from error
    except graphviz.CalledProcessError as error:
        raise FailedPrecondition(f"dot failed: {error}") from error


def path_text(event: pb.Event) -> str:
    """The path of an event as Python would write it: ``examples[0]``; empty if it has none."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path_of(event))
    return printable("".join(steps).removeprefix("."))


def printable(line: str) -> str:
    """``line`` with control characters written out."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in line
    )


def _runs(subgraph: Subgraph) -> Mapping[NodeKey, int]:
    """The run that an execution belongs to, of several the first, and that of what it made.

    What several made, because some are hits, belongs to the run of the one that was run.
    """
    runs: dict[NodeKey, int] = {}
    for link in subgraph.associations:
        if subgraph.contexts[link.context_id].type == RUN_TYPE:
            runs.setdefault(("execution", link.execution_id), link.context_id)
    makers: dict[int, tuple[bool, int]] = {}
    for event in subgraph.events:
        if event.type in OUTPUTS:
            state = subgraph.executions[event.execution_id].last_known_state
            maker = (state == pb.Execution.CACHED, event.execution_id)
            makers[event.artifact_id] = min(maker, makers.get(event.artifact_id, maker))
    for artifact_id, (is_hit, execution_id) in makers.items():
        run_id = runs.get(("execution", execution_id))
        if run_id is not None and not is_hit:
            runs["artifact", artifact_id] = run_id
    # Whose maker is beyond the walk has the name of its run in its own.
    for attribution in subgraph.attributions:
        context = subgraph.contexts[attribution.context_id]
        artifact = subgraph.artifacts[attribution.artifact_id]
        if context.type == RUN_TYPE and artifact.name.startswith(f"{context.name}/"):
            runs.setdefault(("artifact", artifact.id), context.id)
    return runs


@dataclass(frozen=True)
class _Said:
    """What is drawn of nodes beside what is stored of them."""

    thick: Collection[int]
    """Artifacts that are highlighted."""
    names: Mapping[NodeKey, str]
    notes: Mapping[int, str]
    """Of executions."""


def _draw(drawing: graphviz.Digraph, subgraph: Subgraph, group: Sequence[NodeKey], said: _Said) -> None:
    """One node for a group of nodes that are alike."""
    kind, node_id = group[0]
    if kind == "artifact":
        artifact = subgraph.artifacts[node_id]
        shape, fill, outline = _SHAPES.get(artifact.type, _ANY_SHAPE)
        if artifact.state in _GONE:
            fill, outline = _GONE_COLOURS
        drawing.node(
            _name(group),
            _label(artifact, group, said.names[group[0]]),
            shape=shape,
            margin="0.12,0.11" if shape == "box3d" else None,  # Its top is within its height.
            fillcolor=fill,
            color=outline,
            penwidth="3" if node_id in said.thick else "1",
            peripheries="2" if len(group) > 1 else None,
            tooltip=_escaped(artifact.uri or artifact.name) if len(group) == 1 else None,
        )
        return
    execution = subgraph.executions[node_id]
    fill, outline = _COLOURS.get(execution.last_known_state, _NO_STATE)
    drawing.node(
        _name(group),
        _label(execution, group, said.names[group[0]], said.notes.get(node_id, "")),
        shape="box",
        style="filled,dashed" if execution.last_known_state == pb.Execution.CACHED else "filled",
        fillcolor=fill,
        color=outline,
        peripheries="2" if len(group) > 1 else None,
        tooltip=_escaped(pb.Execution.State.Name(execution.last_known_state)),
    )


def _name(group: Sequence[NodeKey]) -> str:
    kind, node_id = group[0]
    return f"{kind}_{node_id}"


def _label(node: pb.Artifact | pb.Execution, group: Sequence[NodeKey], name: str = "", note: str = "") -> str:
    what = f"{group[0][0]} {node.id}"
    if len(group) > 1:
        lines = [f"{step_of(node) or node.type} × {len(group):,}"]
    elif step_of(node):
        lines = [step_of(node), what]
    else:
        lines = [name or what, node.type, *([what] if name else [])]
    if isinstance(node, pb.Execution) and node.last_known_state not in _SAID_BY_COLOUR:
        lines.append(pb.Execution.State.Name(node.last_known_state))
    return _lines([*lines, *([note] if note and len(group) == 1 else [])])


def _names(subgraph: Subgraph, runs: Mapping[NodeKey, int]) -> Mapping[NodeKey, str]:
    """What a reader knows a node by: what a step made by its output, others by their name or file."""
    names: dict[NodeKey, str] = {("execution", key): node.name for key, node in subgraph.executions.items()}
    for node_id, artifact in subgraph.artifacts.items():
        run_id = runs.get(("artifact", node_id))
        name = artifact.name or artifact.uri.rstrip("/").rpartition("/")[2]
        if run_id is not None and name.startswith(f"{subgraph.contexts[run_id].name}/"):
            name = name.rpartition("/")[2]
        names["artifact", node_id] = name
    return names


def _edges(
    subgraph: Subgraph, groups: Iterable[Sequence[NodeKey]], own_names: Mapping[NodeKey, str]
) -> dict[tuple[str, str], list[str]]:
    """Tail and head to the paths of the events between them, each once; indexes are left out where folded."""
    names = {key: (_name(group), len(group) > 1) for group in groups for key in group}
    edges: dict[tuple[str, str], list[str]] = {}
    for event in subgraph.events:
        artifact, is_folded = names["artifact", event.artifact_id]
        execution, also_folded = names["execution", event.execution_id]
        ends = (execution, artifact) if event.type in OUTPUTS else (artifact, execution)
        paths = edges.setdefault(ends, [])
        path = path_text(event)
        if is_folded or also_folded:
            path = path.partition("[")[0]
        elif path == own_names["artifact", event.artifact_id]:
            path = ""  # Which its node says.
        if path not in paths:
            paths.append(path)
    return edges


def _lines(lines: Iterable[str]) -> str:
    """A label of these lines, taken literally."""
    import graphviz

    # What escape() gives is a str that remembers to be no HTML; joining makes a plain one, which could be.
    label: str = graphviz.nohtml(r"\n".join(_escaped(_short(line)) for line in lines))
    return label


def _short(line: str) -> str:
    return line if len(line) <= _WIDEST_LABEL else line[: _WIDEST_LABEL - 1] + "…"


def _escaped(line: str) -> str:
    import graphviz

    escaped: str = graphviz.escape(printable(line).replace("&", "&amp;"))
    return escaped
