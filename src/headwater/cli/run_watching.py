"""A run that is under way, followed until it ends, with a line or an object for each change."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import click

from headwater.cli import run_words, tables
from headwater.cli.run_showing import lasted
from headwater.errors import Aborted, DeadlineExceeded, Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headwater.client import Store
    from headwater.client.run_info import RunInfo, StepInfo

OPEN = ("NEW", "RUNNING")
"""States of what has not ended."""
BAD = ("FAILED", "CANCELED")
"""States of what did not end well."""

# For so long a store may be away, a restart of the server say, before watching ends.
_PATIENCE_S = 120.0
_AWAY = (Unavailable, DeadlineExceeded, Aborted)
_METRICS_SHOWN = 12


@dataclass
class Watched:
    """What is known of a run so far."""

    run: RunInfo
    steps: Mapping[int, StepInfo] = field(default_factory=dict)
    """Attempts by execution id. Exchanged as a whole, since a screen is drawn by a thread of its own."""
    store_ms: int = 0
    """The time of the store when it was last asked."""
    asked_s: float = field(default_factory=time.monotonic)
    """The time of this machine's steady clock then."""

    @property
    def now_ms(self) -> int:
        """The time of the store, as far as it can be known here."""
        return self.store_ms + int((time.monotonic() - self.asked_s) * 1_000)

    @property
    def newest(self) -> dict[str, StepInfo]:
        """The newest attempt of each step, by its name, in the order in which they began."""
        return {step.step: step for _, step in sorted(self.steps.items())}

    @property
    def waiting(self) -> list[str]:
        """Planned steps that have not begun."""
        begun = {step.step for step in self.steps.values()}
        return [planned.step for planned in self.run.planned_steps if planned.step not in begun]

    @property
    def is_over(self) -> bool:
        """Whether the run has ended."""
        return self.run.state not in OPEN


class Watcher(Protocol):
    """Shows what changes."""

    def show(self, watched: Watched, changed: list[StepInfo]) -> None:
        """What is known, and the attempts that changed since the last time, oldest first."""

    def say(self, sentence: str) -> None:
        """Something about the watching itself."""


def follow(store: Store, run: RunInfo, watcher: Watcher, *, interval_s: float) -> RunInfo:
    """Ask every ``interval_s`` seconds and show what changed, until the run has ended; the run as it ended.

    Raises:
        Unavailable: the store was away for two minutes.
    """
    watched = Watched(run)
    shown = ""
    away_since: float | None = None
    while True:
        try:
            # The run first: if it has ended, all of its steps are among those that are read after it.
            watched.run = store.get_run(run.run_id)
            changed = _read_changes(store, watched)
        except _AWAY as error:
            if away_since is None:
                away_since = time.monotonic()
                watcher.say(f"the store does not answer, trying again: {error}")
            elif time.monotonic() - away_since > _PATIENCE_S:
                raise
        else:
            if away_since is not None:
                away_since = None
                watcher.say("the store answers again")
            metrics = repr(watched.run.metrics)
            if changed or metrics != shown or watched.is_over:
                shown = metrics
                watcher.show(watched, changed)
            if watched.is_over:
                return watched.run
        time.sleep(interval_s)


def _read_changes(store: Store, watched: Watched) -> list[StepInfo]:
    """The attempts that are not as they were, ascending."""
    page = store.changed_steps(watched.run.run_id, since_ms=watched.store_ms)
    watched.store_ms, watched.asked_s = page.now_ms, time.monotonic()
    # As text, since what is no number is not equal to itself.
    changed = [step for step in page.steps if repr(watched.steps.get(step.execution_id)) != repr(step)]
    watched.steps = {**watched.steps, **{step.execution_id: step for step in changed}}
    return changed


class Lines:
    """A line for each change of a step's state, and at the end one for the run. For logs and pipes."""

    def __init__(self) -> None:
        self._states: dict[int, str] = {}
        self._metrics: dict[str, str] = {}

    def show(self, watched: Watched, changed: list[StepInfo]) -> None:
        for step in changed:
            if self._states.get(step.execution_id) != step.state:
                self._states[step.execution_id] = step.state
                click.echo(_line_of_step(step))
        run = watched.run
        news = {name: value for name, value in run.metrics.items() if self._metrics.get(name) != repr(value)}
        if news:
            self._metrics.update((name, repr(value)) for name, value in news.items())
            click.echo(f"{tables.time(watched.now_ms)}  metrics  {told_metrics(news)}")
        if watched.is_over:
            counts = run_words.states(Counter(step.state for step in watched.newest.values()))
            took = run_words.lasted(run.start_ms, run.end_ms)
            click.echo("  ".join(filter(None, [tables.time(run.end_ms), "run", run.state, took, counts])))

    def say(self, sentence: str) -> None:
        click.echo(sentence, err=True)


class JsonLines:
    """The same as JSON, an object a line: attempts as they change, metrics, and the run as it ended."""

    def __init__(self) -> None:
        self._metrics = "{}"

    def show(self, watched: Watched, changed: list[StepInfo]) -> None:
        for step in changed:
            self._print({"step": step.to_dict()})
        metrics = dict(watched.run.metrics)
        if repr(metrics) != self._metrics:
            self._metrics = repr(metrics)
            self._print({"metrics": metrics})
        if watched.is_over:
            self._print({"run": watched.run.to_dict()})

    def say(self, sentence: str) -> None:
        click.echo(sentence, err=True)

    def _print(self, change: dict[str, Any]) -> None:
        click.echo(run_words.json_line(change))


def _line_of_step(step: StepInfo) -> str:
    is_open = step.state in OPEN
    parts = [
        tables.time(step.start_ms if is_open else step.end_ms),
        tables.text(step.step) + (f" #{step.attempt}" if step.attempt > 1 else ""),
        step.state,
        "" if is_open else lasted(step),
        remark(step),
    ]
    return "  ".join(part for part in parts if part)


def remark(step: StepInfo) -> str:
    """Who is at it since when, what went wrong, or what was taken instead."""
    if step.state in OPEN:
        by = f"{tables.text(step.worker)} " if step.worker else ""
        return f"{by}since {tables.time(step.start_ms)[11:]}; {tables.text(step.why)}".removesuffix("; ")
    if step.state in BAD:
        return last_line(step.error)
    if step.cached_execution_id:
        return f"outputs of execution {step.cached_execution_id}"
    return ""


def last_line(error: str) -> str:
    """What a traceback comes to."""
    lines = [line for line in error.splitlines() if line.strip()]
    return tables.text(lines[-1].strip()) if lines else ""


def told_metrics(metrics: Mapping[str, float]) -> str:
    """The first of them by name, on one line."""
    names = sorted(metrics)
    shown = [f"{tables.text(name)}={run_words.number(metrics[name])}" for name in names[:_METRICS_SHOWN]]
    return "  ".join([*shown, "…"] if len(names) > _METRICS_SHOWN else shown)
