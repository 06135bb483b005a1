"""How durations, shares, counts and values of runs are told on the command line, and questions asked."""

from __future__ import annotations

import json
import math
import sys
import time
from typing import TYPE_CHECKING, Any, TypeVar

import click

from headwater.cli import tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Item = TypeVar("Item")

_SECOND_MS = 1_000
_MINUTE_MS = 60 * _SECOND_MS
_HOUR_MS = 60 * _MINUTE_MS
_DAY_MS = 24 * _HOUR_MS

# Fewer items are read before a bar could be seen.
_LEAST = 500


def now_ms() -> int:
    """The time of this machine."""
    return time.time_ns() // 1_000_000


def duration(duration_ms: int) -> str:
    """A length of time in the units that suit it: ``850 ms``, ``12.3 s``, ``3 min 20 s``, ``2 h 5 min``."""
    duration_ms = max(0, duration_ms)
    if duration_ms < _SECOND_MS:
        return f"{duration_ms} ms"
    if duration_ms < _MINUTE_MS:
        # Rounded down, so that 59.99 s are not 60.0 s.
        return f"{duration_ms // 100 / 10:.1f} s"
    for larger, smaller, names in (
        (_DAY_MS, _HOUR_MS, ("d", "h")),
        (_HOUR_MS, _MINUTE_MS, ("h", "min")),
        (_MINUTE_MS, _SECOND_MS, ("min", "s")),
    ):
        if duration_ms >= larger:
            whole, rest = divmod(duration_ms, larger)
            return f"{whole} {names[0]} {rest // smaller} {names[1]}"
    raise AssertionError(duration_ms)


def lasted(start_ms: int, end_ms: int, *, until_ms: int = 0) -> str:
    """How long something took, or has been going on at ``until_ms``; empty where that is not known."""
    end_ms = end_ms or until_ms
    return duration(end_ms - start_ms) if start_ms and end_ms else ""


def number(value: float) -> str:
    """A metric: six significant digits, whole numbers without a point."""
    if math.isfinite(value) and value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return f"{value:.6g}"


def value(plain: Any) -> str:
    """A parameter on one line."""
    return number(plain) if isinstance(plain, float) else tables.text(plain)


def json_line(value: Any) -> str:
    """JSON on one line."""
    return json.dumps(json.loads(tables.as_json_text(value)), ensure_ascii=False)


def percent(part: int, whole: int) -> str:
    """A share; empty where there is nothing to have a share of."""
    return f"{100 * part / whole:.0f}%" if whole else ""


def counted(count: int, word: str, plural: str = "") -> str:
    """``1 run``, ``2,000 runs``."""
    return f"{count} {word}" if count == 1 else f"{count:,} {plural or word + 's'}"


def states(counts: Mapping[str, int]) -> str:
    """How many steps are in which state: ``3 complete, 1 failed``."""
    order = ("COMPLETE", "CACHED", "RUNNING", "NEW", "FAILED", "CANCELED")
    known = [name for name in order if counts.get(name)]
    others = sorted(name for name in counts if name not in order and counts[name])
    return ", ".join(f"{counts[name]:,} {name.lower()}" for name in known + others)


def ask(question: str, *, yes: bool) -> None:
    """Ask on the terminal, unless ``yes``; what is not agreed to ends the command with exit code 1.

    Raises:
        click.UsageError: there is nobody to be asked.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("nobody is there to be asked; give --yes")
    click.confirm(question, abort=True, err=True)


def with_bar(
    items: Iterable[Item], what: str, total: int | None = None, *, least: int = _LEAST
) -> Iterator[Item]:
    """``items`` as they come, with a bar on stderr if that is a terminal and there are many of them."""
    if not sys.stderr.isatty() or (total is not None and total < least):
        yield from items
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # What is printed meanwhile goes where it would go otherwise.
    with Progress(
        *columns, console=Console(stderr=True), transient=True, redirect_stdout=False, redirect_stderr=False
    ) as bars:
        task = bars.add_task(what, total=total)
        for item in items:
            yield item
            bars.advance(task)
