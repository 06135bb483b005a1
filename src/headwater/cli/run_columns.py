"""Which columns a table of runs has: those that were asked for, or what tells the runs apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headwater.cli import run_words, tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from headwater.client.conditions import Field
    from headwater.client.run_info import RunInfo

FIXED: Mapping[str, Callable[[RunInfo], Any]] = {
    "id": lambda run: run.run_id,
    "pipeline": lambda run: run.pipeline,
    "run": lambda run: run.run,
    "state": lambda run: run.state,
    "started": lambda run: tables.time(run.start_ms),
    "ended": lambda run: tables.time(run.end_ms),
    "took": lambda run: run_words.lasted(run.start_ms, run.end_ms),
    "steps": lambda run: run_words.states(run.steps),
    "owner": lambda run: run.owner,
    "trigger": lambda run: run.trigger,
    "commit": lambda run: str((run.code or {}).get("commit", ""))[:12],
    "description": lambda run: run.description,
    "error": lambda run: run.error.strip().rpartition("\n")[2],
}
"""Columns that every run has, with what is in them."""
_GROUPS = {"PARAMETER": "params", "METRIC": "metrics", "TAG": "tags"}
_HEADINGS = {
    "STATE": "state",
    "OWNER": "owner",
    "TRIGGER": "trigger",
    "COMMIT": "commit",
    "START_MS": "started",
}

# As many parameters and as many metrics are shown unless --columns names them.
_MOST = 6


def heading(field: Field) -> str:
    """The column in which a field is."""
    return f"{_GROUPS[field.kind]}.{field.name}" if field.name else _HEADINGS.get(field.kind, "run")


def cell(run: RunInfo, column: str) -> Any:
    """What is in a column."""
    if column in FIXED:
        return FIXED[column](run)
    group, _, name = column.partition(".")
    of_group: dict[str, Mapping[str, Any]] = {
        "params": run.parameters,
        "metrics": run.metrics,
        "tags": run.tags,
    }
    values = of_group[group]
    return run_words.value(values[name]) if name in values else ""


def chosen(runs: Sequence[RunInfo], fields: Iterable[Field]) -> tuple[list[str], list[str]]:
    """The columns that suit these runs, and those that were left out for want of room.

    There are always those of ``fields``, by which the runs were chosen or ordered. Of the parameters there
    are those that differ among the runs.
    """
    columns = ["pipeline"] if len({run.pipeline for run in runs}) > 1 else []
    columns += ["run", "state", "started", "took", "steps"]
    columns += [heading(field) for field in fields]
    left_out = []
    for found in (_differing_parameters(runs), _metrics(runs)):
        wanted = [column for column in found if column not in columns]
        columns += wanted[:_MOST]
        left_out += wanted[_MOST:]
    return list(dict.fromkeys(columns)), left_out


def _differing_parameters(runs: Sequence[RunInfo]) -> list[str]:
    names = sorted({name for run in runs for name in run.parameters})
    columns = [f"params.{name}" for name in names]
    # Told apart as they are shown, since a value may be a struct.
    return [column for column in columns if len(runs) == 1 or len({cell(run, column) for run in runs}) > 1]


def _metrics(runs: Sequence[RunInfo]) -> list[str]:
    return [f"metrics.{name}" for name in sorted({name for run in runs for name in run.metrics})]


def print_runs(runs: Sequence[RunInfo], columns: Sequence[str]) -> None:
    """A table of runs."""
    numbers = ["id", *(column for column in columns if column.startswith("metrics."))]
    texts = ("run", "steps", "description", "error")
    tables.print_table(
        columns,
        ([cell(run, column) for column in columns] for run in runs),
        numbers=numbers,
        folded=[column for column in columns if column in texts or "." in column],
        dropped=[column for column in ("steps", "took", "started") if column in columns],
    )
