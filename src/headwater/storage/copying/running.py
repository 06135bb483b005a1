"""The order of a copy: rows, then indexes and counters, then a comparison of everything.

A copy that was stopped at any moment goes on when it is started again. How far a table is copied stands in
the target and is written with the rows themselves, so it is never ahead of them or behind. What was copied
by an earlier run is compared with the source first, because the source may have been changed since.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from headwater.errors import AlreadyExists, DatabaseRefused, Internal, InvalidRequest
from headwater.storage.copying.ends import Source, Target, name_of
from headwater.storage.copying.rows import (
    EXAMPLES,
    TABLES,
    Difference,
    Digest,
    Layout,
    Problem,
    Row,
    differences,
    layout_of,
)


class Progress(Protocol):
    """Told now and then how far a copy is; ``phase`` is ``copying``, ``indexing`` or ``comparing``."""

    def __call__(self, phase: str, table: str, done: int, total: int) -> None: ...


@dataclass
class Table:
    """A table of both sides, as it was compared."""

    name: str
    source_rows: int
    target_rows: int
    source_digest: str
    target_digest: str


@dataclass
class Copied:
    """What a copy came to."""

    source: str
    target: str
    resumed: bool
    """Whether an earlier run had begun it."""
    tables: list[Table] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    """Rows that the target cannot hold, at most ``EXAMPLES``; then nothing was compared."""
    problem_count: int = 0
    differences: list[Difference] = field(default_factory=list)
    """Rows that are not equal on both sides, at most ``EXAMPLES`` a table."""
    difference_count: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether both sides hold the same."""
        return not self.problem_count and not self.difference_count


def copy(source_url: str, target_url: str, progress: Progress | None = None) -> Copied:
    """Copy the store at ``source_url`` to the database at ``target_url``, which must be empty.

    Ids are kept. The source is read as it was when this began; what is written to it meanwhile is not in
    the copy. Nothing can open the target as a store before both sides were found equal. Called again
    after it was stopped it goes on; called again after it was done it only compares. Memory is bounded by
    pages of 2,000 rows or 8 MB, and by the rows of one node.

    Raises:
        DatabaseRefused: the source is no store, or the target holds something else.
        InvalidRequest: not a URL of a supported database.
        Unavailable: a database cannot be reached, or the connection was lost; call again to go on.
        HeadwaterError: a database refused a statement.
    """
    source = Source(source_url)
    try:
        if name_of(target_url) == source.name:
            raise DatabaseRefused("the target is the source itself; copy to a database that is empty")
        target = Target(target_url, source.name)
        try:
            return _Copying(source, target, progress or _nobody).run()
        finally:
            target.close()
    finally:
        source.close()


def _nobody(phase: str, table: str, done: int, total: int) -> None:
    """Progress that is not shown."""


class _Copying:
    def __init__(self, source: Source, target: Target, progress: Progress) -> None:
        self._source, self._target, self._progress = source, target, progress
        self._layouts = [layout_of(table) for table in TABLES]
        resumed = any(target.position(layout) is not None for layout in self._layouts)
        self._found = Copied(source.name, target.name, resumed)
        self._done = self._total = 0

    def run(self) -> Copied:
        was_done = self._target.is_done
        self._total = sum(self._source.count(layout) for layout in self._layouts)
        if not was_done:
            for layout in self._layouts:
                self._copy(layout)
            if self._found.problem_count:
                return self._found
            self._progress("indexing", "", self._total, self._total)
            self._target.finish_loading()
        self._done = 0
        for layout in self._layouts:
            self._compare(layout)
        if not was_done and self._found.is_whole:
            self._target.finish()
        return self._found

    def _copy(self, layout: Layout) -> None:
        position = self._target.position(layout)
        if position is not None:
            self._renew(layout, position)
        for rows in self._source.pages(layout, position):
            self._load(layout, rows)
            self._advance("copying", layout, len(rows))

    def _load(self, layout: Layout, rows: Sequence[Row]) -> None:
        problems = list(self._source.misfits(layout, rows, self._target.backend))
        # Once something is wrong the rest is only looked over, so that all of it is said at once.
        if not problems and not self._found.problem_count:
            try:
                self._target.load(layout, rows)
            except (InvalidRequest, AlreadyExists, Internal):
                problems = self._target.refused(layout, rows)
                if not problems:
                    raise
        self._report(problems)

    def _report(self, problems: Sequence[Problem]) -> None:
        self._found.problem_count += len(problems)
        self._found.problems += problems[: max(0, EXAMPLES - len(self._found.problems))]

    def _renew(self, layout: Layout, position: int) -> None:
        """Make what an earlier run copied equal to what the source holds today."""
        after = None
        for rows in self._source.until(layout, position):
            upto = rows[-1][0]
            stored = self._target.rows(layout, after, upto)
            if layout.in_order(rows) != layout.in_order(stored):
                self._target.replace(layout, after, rows)
            after = upto
            self._advance("copying", layout, len(rows))
        self._target.remove(layout, after, None)

    def _compare(self, layout: Layout) -> None:
        here, there = Digest(), Digest()
        found = 0
        for rows, stored in self._side_by_side(layout):
            expected, copied = layout.in_order(rows), layout.in_order(stored)
            text = here.add(expected)
            if expected == copied:
                there.add_text(text, len(copied))
            else:
                there.add(copied)
                for difference in differences(layout, expected, copied):
                    found += 1
                    if found <= EXAMPLES:
                        self._found.differences.append(difference)
            self._advance("comparing", layout, len(rows))
        self._found.difference_count += found
        self._found.tables.append(Table(layout.name, here.rows, there.rows, str(here), str(there)))

    def _side_by_side(self, layout: Layout) -> Iterator[tuple[Sequence[Row], Sequence[Row]]]:
        """Both sides of a table, in parts that belong together."""
        after = None
        for rows in self._source.pages(layout):
            upto = rows[-1][0]
            yield rows, self._target.rows(layout, after, upto)
            after = upto
        for more in self._target.pages(layout, after):
            yield [], more

    def _advance(self, phase: str, layout: Layout, rows: int) -> None:
        self._done += rows
        self._progress(phase, layout.name, self._done, self._total)
