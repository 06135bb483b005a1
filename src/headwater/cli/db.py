"""``headwater db``: the database itself, made, looked at and checked without a server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from headwater.cli import logs
from headwater.cli.copy import copy
from headwater.cli.settings import config_option, setting
from headwater.cli.target import json_option
from headwater.cli.upgrade import upgrade

if TYPE_CHECKING:
    from collections.abc import Callable

    from headwater.storage.checking import Finding


def _database_options(command: Callable[..., None]) -> Callable[..., None]:
    database_url = setting(
        "--database-url", required=True, metavar="URL", help="The database, as headwater serve takes it."
    )
    return database_url(config_option(json_option(command)))


@click.group()
def db() -> None:
    """Make, describe or check a database. No server is needed, and one may be running."""


db.add_command(upgrade)
db.add_command(copy)


@db.command(epilog="\b\nExample:\n  headwater db init --database-url sqlite:////var/lib/headwater.db")
@_database_options
def init(database_url: str, as_json: bool, config: Path | None) -> None:
    """Make a store, or fit an existing one of ML Metadata with the indexes it lacks.

    Doing it again changes nothing. ML Metadata still opens a database that has the indexes.
    """
    from headwater.cli.tables import print_json
    from headwater.storage.dialects import shown_url
    from headwater.storage.opening import add_own_indexes, open_database
    from headwater.storage.schema import SCHEMA_VERSION

    logs.configure()
    database = open_database(database_url)
    try:
        added = add_own_indexes(database)
    finally:
        database.close()
    if as_json:
        shown = shown_url(database_url)
        print_json({"database_url": shown, "schema_version": SCHEMA_VERSION, "indexes_added": added})
        return
    click.echo(f"{shown_url(database_url)} holds a store of schema version {SCHEMA_VERSION}")
    if added:
        click.echo(f"added the indexes {', '.join(added)}")


@db.command(epilog="\b\nExample:\n  headwater db info --database-url sqlite:////var/lib/headwater.db")
@_database_options
def info(database_url: str, as_json: bool, config: Path | None) -> None:
    """Describe a database: schema version, size, indexes that are missing, and what it holds of each type."""
    import dataclasses

    from headwater.cli import tables
    from headwater.storage.checking import describe
    from headwater.storage.dialects import shown_url
    from headwater.storage.opening import open_unchecked

    logs.configure()
    # Opening it to be served would add what a store of ML Metadata lacks.
    database = open_unchecked(database_url)
    try:
        found = describe(database)
    finally:
        database.close()
    if as_json:
        tables.print_json(dataclasses.asdict(found))
        return
    tables.print_fields(
        {
            "database": shown_url(database_url),
            "schema version": found.schema_version,
            "size": tables.size(found.size_bytes),
            **{name.replace("_", " "): fact for name, fact in found.facts.items()},
            "missing indexes": _listed(
                found.missing_indexes, "'headwater db upgrade --add-indexes' adds them"
            ),
            "32-bit integers": _listed(
                found.narrow_columns,
                "larger numbers are refused, and 'headwater db upgrade --wide-integers' widens them",
            ),
            **{f"{name.replace('_', ' ')}s": count for name, count in found.counts.items()},
        }
    )
    used = [type_ for type_ in found.types if type_["count"]]
    if used:
        click.echo()
        tables.print_table(
            ("kind", "type id", "type", "version", "nodes"),
            ((type_["kind"], type_["id"], type_["name"], type_["version"], type_["count"]) for type_ in used),
            numbers=("type id", "nodes"),
        )


@db.command(epilog="\b\nExample:\n  headwater db check --database-url sqlite:////var/lib/headwater.db --json")
@_database_options
@click.pass_context
def check(ctx: click.Context, database_url: str, as_json: bool, config: Path | None) -> None:
    """Look for damage: a broken file, edges without their nodes, properties without a value, lost types.

    Reads the whole database and mends nothing. Exit code 1 if there is something to report.
    """
    import dataclasses

    from headwater.cli import tables
    from headwater.storage.checking import check as check_database
    from headwater.storage.dialects import shown_url
    from headwater.storage.opening import open_unchecked

    logs.configure(log_level="critical")
    # What is refused when it is to be served may still be looked over.
    database = open_unchecked(database_url)
    try:
        findings = check_database(database)
    finally:
        database.close()
    if as_json:
        tables.print_json([dataclasses.asdict(finding) for finding in findings])
    else:
        for finding in findings:
            click.echo(_sentence(finding))
        if not findings:
            click.echo(f"{shown_url(database_url)}: nothing is wrong")
    if findings:
        ctx.exit(1)


def _listed(names: list[str], advice: str) -> str:
    if not names:
        return "none"
    more = [f"and {len(names) - 5} more"] if len(names) > 5 else []
    return f"{', '.join(names[:5] + more)}; {advice}"


def _sentence(finding: Finding) -> str:
    if not finding.rows:
        return f"{finding.table}: {finding.problem}" if finding.table else finding.problem
    shown = [" ".join(f"{name}={value!r}" for name, value in row.items()) for row in finding.rows[:5]]
    more = [f"and {finding.count - len(shown)} more"] if finding.count > len(shown) else []
    return f"{finding.table}: {finding.count} {finding.problem}: {', '.join(shown + more)}"
