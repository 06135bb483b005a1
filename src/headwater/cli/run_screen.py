"""A picture of a run on the terminal, kept up to date while it is followed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from headwater.cli import run_words, tables
from headwater.cli.run_showing import lasted
from headwater.cli.run_watching import BAD, OPEN, last_line, remark, told_metrics

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console, RenderableType

    from headwater.cli.run_watching import Watched
    from headwater.client.run_info import StepInfo

_STYLES = {"COMPLETE": "green", "CACHED": "cyan", "RUNNING": "yellow", "FAILED": "red", "CANCELED": "red"}
# Lines of the screen that are not steps: the bar, the headings, the metrics, what is left out, errors.
_OTHER_LINES = 9


class Screen:
    """A picture of the run on the terminal: how far it is, who is at what since when, and the metrics.

    It is drawn anew several times a second, so that durations go on between two answers of the store.
    """

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._watched: Watched | None = None
        self._said = ""
        self._console = Console(highlight=False)
        self._live = Live(
            console=self._console, get_renderable=self._picture, refresh_per_second=4, transient=True
        )

    def __enter__(self) -> Screen:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()
        if self._watched is not None:
            # What stays on the terminal when all is over.
            self._console.print(picture(self._watched, self._console, self._said))

    def show(self, watched: Watched, changed: list[StepInfo]) -> None:
        self._watched, self._said = watched, ""

    def say(self, sentence: str) -> None:
        self._said = sentence

    def _picture(self) -> RenderableType:
        from rich.text import Text

        if self._watched is None:
            return Text(self._said)
        return picture(self._watched, self._console, self._said)


def picture(watched: Watched, console: Console, said: str = "") -> RenderableType:
    """What a person wants to see of a run, in as many lines as the terminal has."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    run = watched.run
    newest = watched.newest
    done = sum(step.state not in OPEN for step in newest.values())
    total = len(newest) + len(watched.waiting)
    head = Text.assemble(
        (f"{run.pipeline}/{run.run}", "bold"),
        "  ",
        (run.state, _STYLES.get(run.state, "")),
        "  ",
        run_words.lasted(run.start_ms, run.end_ms, until_ms=watched.now_ms),
    )
    counts = Counter(step.state for step in newest.values())
    progress = Table.grid(padding=(0, 2))
    progress.add_row(
        ProgressBar(total=max(total, 1), completed=done, width=30),
        f"{done:,}/{total:,}",
        run_words.states(counts),
    )
    parts: list[RenderableType] = [head, progress]
    shown, left_out = _fitting(watched, max(4, console.height - _OTHER_LINES))
    if shown:
        parts += ["", _steps_table(shown, watched.now_ms)]
    if left_out:
        parts.append(Text(f"and {run_words.counted(left_out, 'more step')}", style="dim"))
    if run.metrics:
        parts += ["", Text(told_metrics(run.metrics), overflow="ellipsis", no_wrap=True)]
    if run.error:
        parts.append(Text(last_line(run.error), style="red", overflow="ellipsis", no_wrap=True))
    if said:
        parts.append(Text(said, style="yellow", overflow="ellipsis", no_wrap=True))
    return Group(*parts)


def _fitting(watched: Watched, lines: int) -> tuple[list[StepInfo], int]:
    """The steps to be shown, in the order in which they began, and how many are left out.

    What is running and what failed comes before what was finished last.
    """
    newest = list(watched.newest.values())
    ranked = sorted(newest, key=lambda step: (step.state not in OPEN, step.state not in BAD, -step.end_ms))
    chosen = {step.execution_id for step in ranked[:lines]}
    return [step for step in newest if step.execution_id in chosen], len(newest) - len(chosen)


def _steps_table(steps: Iterable[StepInfo], now_ms: int) -> RenderableType:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold"
    )
    for name, ratio in (("step", 3), ("state", None), ("took", None), ("", 4)):
        table.add_column(name, ratio=ratio, no_wrap=True, overflow="ellipsis")
    for step in steps:
        name = tables.text(step.step) + (f" #{step.attempt}" if step.attempt > 1 else "")
        took = lasted(step, until_ms=now_ms)
        state = Text(step.state, style=_STYLES.get(step.state, ""))
        table.add_row(Text(name), state, took, Text(remark(step), style="dim"))
    return table
