"""A subgraph as a Graphviz drawing: data flows from left to right.

Artifacts are ellipses, executions boxes; the label of an edge is the path of its event. Needs the
``graphviz`` package (``pip install 'headwater[svg]'``), and for SVG the program ``dot`` besides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headwater.cli.tables import short, text
from headwater.client.lineage import OUTPUTS
from headwater.client.plain import path_of
from headwater.errors import FailedPrecondition
from headwater.v1 import metadata_store_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterable

    import graphviz

    from headwater.client import Subgraph

_FONT = "Helvetica,Arial,sans-serif"
_WIDEST_LABEL = 48
_GONE = frozenset({pb.Artifact.MARKED_FOR_DELETION, pb.Artifact.DELETED, pb.Artifact.ABANDONED})


def digraph(subgraph: Subgraph, *, highlighted: Iterable[int] = ()) -> graphviz.Digraph:
    """The drawing; ``str()`` of it is the DOT text. Artifacts ``highlighted`` have a thick outline.

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
        graph_attr={"rankdir": "LR", "fontname": _FONT},
        node_attr={"fontname": _FONT, "fontsize": "11", "style": "filled"},
        edge_attr={"fontname": _FONT, "fontsize": "9", "color": "#64748b"},
    )
    thick = set(highlighted)
    for artifact in subgraph.artifacts.values():
        drawing.node(
            f"artifact_{artifact.id}",
            _label(artifact, f"artifact {artifact.id}"),
            shape="ellipse",
            fillcolor="#f1f5f9" if artifact.state in _GONE else "#e0f2fe",
            color="#94a3b8" if artifact.state in _GONE else "#0369a1",
            penwidth="3" if artifact.id in thick else "1",
            tooltip=_escaped(artifact.uri or artifact.name),
        )
    for execution in subgraph.executions.values():
        has_failed = execution.last_known_state in (pb.Execution.FAILED, pb.Execution.CANCELED)
        drawing.node(
            f"execution_{execution.id}",
            _label(execution, f"execution {execution.id}"),
            shape="box",
            style="filled,dashed" if execution.last_known_state == pb.Execution.CACHED else "filled",
            fillcolor="#fee2e2" if has_failed else "#fef3c7",
            color="#b91c1c" if has_failed else "#b45309",
            tooltip=_escaped(pb.Execution.State.Name(execution.last_known_state)),
        )
    for (tail, head), paths in _edges(subgraph).items():
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
    return text("".join(steps).removeprefix("."))


def _edges(subgraph: Subgraph) -> dict[tuple[str, str], list[str]]:
    """Tail and head to the paths of the events between them, each once."""
    edges: dict[tuple[str, str], list[str]] = {}
    for event in subgraph.events:
        ends = (f"artifact_{event.artifact_id}", f"execution_{event.execution_id}")
        paths = edges.setdefault((ends[1], ends[0]) if event.type in OUTPUTS else ends, [])
        path = path_text(event)
        if path not in paths:
            paths.append(path)
    return edges


def _label(node: pb.Artifact | pb.Execution, what: str) -> str:
    return _lines([node.name or what, node.type, *([what] if node.name else [])])


def _lines(lines: Iterable[str]) -> str:
    """A label of these lines, taken literally."""
    import graphviz

    # What escape() gives is a str that remembers to be no HTML; joining makes a plain one, which could be.
    label: str = graphviz.nohtml(r"\n".join(_escaped(short(line, _WIDEST_LABEL)) for line in lines))
    return label


def _escaped(line: str) -> str:
    import graphviz

    escaped: str = graphviz.escape(text(line).replace("&", "&amp;"))
    return escaped
