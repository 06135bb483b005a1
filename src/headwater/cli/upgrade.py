"""``headwater db upgrade``: an old database, or one of ML Metadata, becomes what headwater serves best."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from headwater.cli import logs
from headwater.cli.settings import config_option, setting
from headwater.cli.target import json_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headwater.storage.upgrading import Progress, Statement, Step

_WARNING = "Back up the database first, and stop the servers that use it."


@click.command(
    epilog="\b\nExamples:\n"
    "  headwater db upgrade --database-url sqlite:////var/lib/mlmd.db --dry-run\n"
    "  headwater db upgrade --database-url postgresql://mlmd@db.example.com/mlmd --wide-integers --yes"
)
@setting("--database-url", required=True, metavar="URL", help="The database, as headwater serve takes it.")
@click.option("--wide-integers", is_flag=True, help="Give ids and int values 64 bits (PostgreSQL, MySQL).")
@click.option(
    "--add-indexes", is_flag=True, help="Add the indexes that are missing, headwater's own included."
)
@click.option("--dry-run", is_flag=True, help="Print the SQL that would be run, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@config_option
@json_option
def upgrade(
    *,
    database_url: str,
    wide_integers: bool,
    add_indexes: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    config: Path | None,
) -> None:
    """Bring a database of schema version 6 to 9 to version 10, as ML Metadata would.

    Back up the database first, and stop the servers that use it. An upgrade that was cut short is finished
    by the next one. ML Metadata opens the database afterwards.
    """
    from headwater.storage import upgrading

    logs.configure()
    options = {"wide_integers": wide_integers, "add_indexes": add_indexes}
    steps = upgrading.plan(database_url, **options)
    if steps and not dry_run:
        if not yes:
            _ask(steps)
        steps = upgrading.upgrade(database_url, **options, progress=None if as_json else _reporter())
    if as_json:
        _print_json(database_url, dry_run, steps)
    elif dry_run:
        _print_script(steps)
    else:
        click.echo(f"{_shown(database_url)} has schema version 10; {_summary(steps)}")


def _ask(steps: Sequence[Step]) -> None:
    if not sys.stdin.isatty():
        raise click.UsageError("nobody is there to be asked; look at --dry-run, back up, and give --yes")
    for step in steps:
        click.echo(f"{step.title}: {_counted(len(step.statements), 'statement')}", err=True)
    click.echo(_WARNING, err=True)
    click.confirm("Upgrade now?", abort=True, err=True)


def _reporter() -> Progress:
    """Names each step on stderr when it begins, and on a terminal each statement."""
    begun: list[str] = []

    def report(step: Step, statement: Statement) -> None:
        from headwater.cli.tables import short

        if step.title not in begun:
            begun.append(step.title)
            click.echo(step.title, err=True)
        if sys.stderr.isatty():
            click.echo(f"  {short(statement.sql, 100)}", err=True)

    return report


def _print_script(steps: Sequence[Step]) -> None:
    """The plan as SQL, with the rest in comments."""
    for step in steps:
        click.echo(f"-- {step.title}")
        for statement in step.statements:
            rows = "" if statement.rows is None else f"  -- {_counted(statement.rows, 'row')}"
            click.echo(f"{statement.sql};{rows}")
    if not steps:
        click.echo("-- nothing to do")


def _print_json(database_url: str, dry_run: bool, steps: Sequence[Step]) -> None:
    import dataclasses

    from headwater.cli.tables import print_json

    done = [
        {**dataclasses.asdict(step), "statements": [dataclasses.asdict(each) for each in step.statements]}
        for step in steps
    ]
    print_json({"database_url": _shown(database_url), "dry_run": dry_run, "steps": done})


def _summary(steps: Sequence[Step]) -> str:
    if not steps:
        return "nothing was to do"
    return f"{_counted(len(steps), 'step')} done"


def _counted(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count:,} {word}s"


def _shown(database_url: str) -> str:
    """The URL without what may be secret: its password, and the driver's parameters."""
    import sqlalchemy as sa

    return sa.make_url(database_url).set(query={}).render_as_string(hide_password=True)
