"""``headwater db copy``: a store moved to another database."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from headwater.cli import logs
from headwater.cli.target import json_option

if TYPE_CHECKING:
    from headwater.storage.copying import Copied, Progress


@click.command(
    epilog="""\b
Examples:
  headwater db copy sqlite:////var/lib/headwater.db postgresql://mlmd@db/mlmd
  HEADWATER_COPY_FROM=mysql://root:secret@mysql/metadb headwater db copy postgresql://mlmd@db/mlmd
"""
)
@click.argument("urls", nargs=-1, metavar="[FROM] [TO]")
@json_option
@click.pass_context
def copy(ctx: click.Context, urls: tuple[str, ...], as_json: bool) -> None:
    """Copy a store to an empty database of the same or another kind, and compare both.

    Ids are kept. Stop what writes to FROM first: it is read as it was when the copy began, and what is
    written later is not in it. TO cannot be opened before all of it was compared. A copy that was stopped
    goes on when it is started again; one that is done is compared again. Exit code 1 if a row cannot be
    stored in TO, or differs.

    What stands on a command line other users of the machine can see: give URLs that hold passwords as
    HEADWATER_COPY_FROM and HEADWATER_COPY_TO, and leave FROM, or TO, or both out.
    """
    from headwater.cli import tables
    from headwater.storage.copying import copy as copy_store

    source, target = _ends(urls)
    logs.configure(log_level="critical")
    with _progress() as progress:
        copied = copy_store(source, target, progress)
    if as_json:
        tables.print_json({**dataclasses.asdict(copied), "is_whole": copied.is_whole})
    else:
        _print(copied)
    if not copied.is_whole:
        ctx.exit(1)


def _ends(urls: tuple[str, ...]) -> tuple[str, str]:
    """The URLs of both databases: those of the environment, and what is left from the command line."""
    given = list(urls)
    source, target = (os.environ.get(f"HEADWATER_COPY_{end}") for end in ("FROM", "TO"))
    if len(given) == 2:
        return given[0], given[1]
    if len(given) == 1 and target and not source:
        source = given.pop()
    elif len(given) == 1 and source:
        target = given.pop()
    if given or not source or not target:
        raise click.UsageError(
            "give two URLs, FROM and TO, or leave out those that stand in HEADWATER_COPY_FROM and "
            "HEADWATER_COPY_TO"
        )
    return source, target


@contextlib.contextmanager
def _progress() -> Iterator[Progress]:
    """A bar on stderr: on a terminal one that moves, elsewhere a line for each table."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    if not console.is_terminal:
        last = ("", "")

        def say(phase: str, table: str, done: int, total: int) -> None:
            nonlocal last
            if (phase, table) != last:
                last = (phase, table)
                click.echo(f"{phase} {table}".rstrip(), err=True)

        yield say
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=console) as bars:
        tasks = {}

        def show(phase: str, table: str, done: int, total: int) -> None:
            if phase not in tasks:
                tasks[phase] = bars.add_task(phase, total=total)
            description = f"{phase} {table}".rstrip()
            bars.update(tasks[phase], description=description, completed=done, total=max(total, done))

        yield show


def _print(copied: Copied) -> None:
    from headwater.cli import tables

    for problem in copied.problems:
        column = f", {problem.column}" if problem.column else ""
        click.echo(f"{problem.table} {_key(problem.key)}{column}: {problem.problem}")
    if copied.problem_count:
        more = copied.problem_count - len(copied.problems)
        also = f" ({more} are not shown)" if more else ""
        click.echo(
            f"{copied.problem_count} rows cannot be stored in {copied.target}{also}; nothing more was "
            "copied. Mend them in the source, and repeat the command"
        )
        return
    for difference in copied.differences:
        click.echo(f"{difference.table} {_key(difference.key)} {difference.problem}")
    tables.print_table(
        ("table", "rows", "digest"),
        ((table.name, table.target_rows, table.target_digest[:16]) for table in copied.tables),
        numbers=("rows",),
    )
    click.echo()
    if copied.difference_count:
        click.echo(f"{copied.difference_count} rows of {copied.source} and {copied.target} differ")
        return
    rows = sum(table.target_rows for table in copied.tables)
    click.echo(f"{copied.target} is a copy of {copied.source}: {rows} rows are equal on both sides")


def _key(key: dict[str, object]) -> str:
    return " ".join(f"{name}={value!r}" for name, value in key.items())
