"""What became of each node of a run that skips: a table after its end."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from headwater.client.run_info import StepInfo
from headwater_kedro.shelf import Shelf

RUN, HIT, REMADE, FAILED, NOT_REACHED = "run", "hit", "re-made", "failed", "not reached"
_STYLES = {RUN: "yellow", HIT: "green", REMADE: "cyan", FAILED: "bold red", NOT_REACHED: "dim"}
_WIDTH = 140


@dataclass(frozen=True)
class NodeSummary:
    """What became of one node."""

    node: str
    outcome: str
    why: str


def summarise(nodes: Sequence[str], steps: Iterable[StepInfo]) -> list[NodeSummary]:
    """Each of ``nodes`` with what its attempts in ``steps`` came to, in the order of ``nodes``."""
    attempts: dict[str, list[StepInfo]] = {}
    for step in steps:
        attempts.setdefault(step.step, []).append(step)
    return [_summary(node, attempts.get(node, [])) for node in nodes]


def _summary(node: str, attempts: Sequence[StepInfo]) -> NodeSummary:
    if not attempts:
        return NodeSummary(node, NOT_REACHED, "")
    last = attempts[-1]
    if last.state in ("FAILED", "CANCELED"):
        error = last.error.strip().rpartition("\n")[2]
        return NodeSummary(node, FAILED, error or last.why)
    if last.state == "CACHED":
        return NodeSummary(node, HIT, last.why or f"reuses execution {last.cached_execution_id}")
    was_hit = any(one.state == "CACHED" for one in attempts[:-1])
    return NodeSummary(node, REMADE if was_hit else RUN, last.why)


def from_shelf(nodes: Sequence[str], shelf: Shelf) -> list[NodeSummary]:
    """As ``summarise``, from what the nodes left on the shelf of their run: without asking the store."""
    found = []
    for node in nodes:
        gone = (FAILED, "its process ended without a word") if shelf.is_begun(node) else (NOT_REACHED, "")
        found.append(NodeSummary(node, *(shelf.done(node) or gone)))
    return found


def print_summary(pipeline: str, run: str, summary: Sequence[NodeSummary]) -> None:
    """Print the table on standard error."""
    # Loaded when there is something to show.
    from rich.console import Console
    from rich.table import Table

    console = Console(stderr=True)
    if not console.is_terminal:
        console = Console(stderr=True, width=_WIDTH)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("node", overflow="fold")
    table.add_column("outcome", no_wrap=True)
    table.add_column("why", overflow="fold")
    for one in summary:
        table.add_row(one.node, f"[{_STYLES[one.outcome]}]{one.outcome}[/]", _plain(one.why))
    counts = [
        f"{count} {outcome}"
        for outcome in _STYLES
        if (count := sum(one.outcome == outcome for one in summary))
    ]
    console.print(f"headwater: {', '.join(counts)} in run {_plain(run)} of {_plain(pipeline)}")
    console.print(table)
    if any(one.outcome == FAILED for one in summary):
        console.print("'kedro headwater run --resume' goes on from there")


def _plain(text: str) -> str:
    # Names may hold what Rich takes for markup.
    return text.replace("[", "\\[")
