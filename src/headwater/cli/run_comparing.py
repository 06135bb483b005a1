"""Runs side by side on the terminal, as far as they differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from headwater.cli import run_words, tables
from headwater.cli.run_showing import print_section
from headwater.fingerprint import made_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headwater.client.run_comparison import RunComparison
    from headwater.client.run_info import RunInfo


def headings(runs: Sequence[RunInfo]) -> list[str]:
    """The names of the runs, with their pipelines if these differ."""
    if len({run.pipeline for run in runs}) == 1:
        return [run.run for run in runs]
    return [f"{run.pipeline}/{run.run}" for run in runs]


def print_differences(found: RunComparison, steps: Sequence[str]) -> None:
    """A table for the runs themselves, and one for each kind of difference.

    ``steps`` are all steps in the order in which they began, which is that of the rows about them.
    """
    runs = found.runs
    titles = headings(runs)
    tables.print_table(
        ("", *titles),
        [
            ("id", *(run.run_id for run in runs)),
            ("state", *(run.state for run in runs)),
            ("started", *(tables.time(run.start_ms) for run in runs)),
            ("took", *(run_words.lasted(run.start_ms, run.end_ms) for run in runs)),
            ("steps", *(run_words.states(run.steps) for run in runs)),
        ],
        folded=titles,
    )
    for title, rows in (
        ("parameters", found.parameters),
        ("metrics", found.metrics),
        ("environment", found.environment),
        ("code", found.code),
        ("tags", found.tags),
        ("steps", {step: found.steps[step] for step in steps if step in found.steps}),
    ):
        print_section(
            title, ("name", *titles), [(name, *map(_shown, row)) for name, row in rows.items()], folded=titles
        )
    print_section(
        "what steps were made of",
        ("step", "component", *titles),
        [
            (step, component, *map(_shown_component, row))
            for step in steps
            for component, row in found.components.get(step, {}).items()
        ],
        folded=("step", "component", *titles),
    )
    if found.is_empty:
        click.echo()
        click.echo("nothing else differs")


def _shown(value: Any) -> str:
    return "" if value is None else run_words.value(value)


def _shown_component(text: str | None) -> str:
    return "" if text is None else component(text)


def sides(old: str, new: str) -> tuple[str, str]:
    """A component that differs, as it was and as it is."""
    is_made_again = made_text(old) == made_text(new)
    return component(old), "made again by another execution" if is_made_again else component(new)


def component(text: str) -> str:
    """A component of a fingerprint, digests cut to what tells them apart."""
    if text.startswith(("sha256:", "made:")) and len(text) > 27:
        return f"{text[:26]}…"
    return tables.text(text)
