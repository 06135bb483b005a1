"""``headwater spool``: what could not be told to a store yet, and telling it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import click

from headwater.cli.target import asks_store, json_option

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from headwater.client import Store
    from headwater.client.recording.replay import Replayed, Waiting


@click.group()
def spool() -> None:
    """What was recorded while a store was away, on this machine."""


@spool.command(
    epilog="""\b
Examples:
  headwater spool status
  HEADWATER_SPOOL_DIR=/mnt/shared/spool headwater spool status --json
"""
)
@json_option
def status(as_json: bool) -> None:
    """Show what waits to be told to which store.

    One line for each store: records that wait, their size, since when, how many the store refused, and
    files that are damaged. Nothing is changed, and no store is asked.
    """
    from headwater.cli import tables

    found = _spools()
    if as_json:
        tables.print_json([_as_json(one) for one in found])
        return
    if not found:
        click.echo("nothing waits")
        return
    tables.print_table(
        ("store", "records", "bytes", "since", "refused", "damaged", "directory"),
        [
            (
                one.target or "?",
                one.records,
                one.size_bytes,
                tables.time(one.oldest_ms) if one.oldest_ms else "",
                one.refused,
                one.damaged_files,
                one.directory,
            )
            for one in found
        ],
        numbers=("records", "bytes", "refused", "damaged"),
        folded=("store", "directory"),
    )


@spool.command(
    epilog="""\b
Examples:
  headwater spool replay --target localhost:8080
  headwater spool replay --target new-host:8080 --from old-host:8080
  headwater spool replay --target localhost:8080 --refused
"""
)
@click.option(
    "--from",
    "source",
    metavar="STORE",
    help="The store as 'spool status' shows it, where it has another address now.",
)
@click.option("--refused", is_flag=True, help="Also tell again what the store refused before.")
@json_option
@asks_store
@click.pass_context
def replay(ctx: click.Context, store: Store, source: str | None, refused: bool, as_json: bool) -> None:
    """Tell the store what waits for it.

    Telling a record twice changes nothing, so this can be stopped and repeated, and run while programs
    record. Exit code 1 if something still waits, or was refused; 'spool status' says where that lies.
    """
    from headwater.cli import tables
    from headwater.client.recording import replay as replaying
    from headwater.client.recording.places import shown_target
    from headwater.client.recording.recorder import sender

    target = shown_target(source if source is not None else str(getattr(store.transport, "target", "")))
    directory = next((one.directory for one in _spools() if one.target == target), None)
    if directory is None:
        _print_nothing(target, as_json)
        return
    if refused:
        replaying.take_back_refused(directory)
    files = replaying.waiting_files(directory)
    with _progress(files) as progress:
        done = replaying.replay(
            directory, sender(store.transport, timeout_s=60), files=files, on_progress=progress
        )
    if as_json:
        tables.print_json({"store": target, "directory": str(directory), **vars(done)})
    else:
        _print(done, directory)
    if done.left or done.refused:
        ctx.exit(1)


def _spools() -> list[Waiting]:
    """The spools that hold something, by the name of their store."""
    from headwater.client.recording.places import spool_root, target_of
    from headwater.client.recording.replay import waiting

    root = spool_root()
    directories = [path for path in root.iterdir() if path.is_dir()] if root.is_dir() else []
    found = [waiting(directory, target_of(directory)) for directory in directories]
    return sorted(
        (one for one in found if one.records or one.size_bytes or one.refused or one.damaged_files),
        key=lambda one: (one.target, one.directory),
    )


def _as_json(one: Waiting) -> dict[str, Any]:
    return {**vars(one), "directory": str(one.directory)}


def _print_nothing(target: str, as_json: bool) -> None:
    from headwater.cli import tables

    others = [one.target for one in _spools()]
    if as_json:
        tables.print_json(
            {"store": target, "sent": 0, "refused": 0, "damaged": 0, "left": 0, "others": others}
        )
        return
    click.echo(f"nothing waits for {target}")
    if others:
        click.echo(f"there are records for {', '.join(others)}: name one with --from", err=True)


def _print(done: Replayed, directory: Path) -> None:
    click.echo(f"{done.sent} records told")
    if done.refused:
        click.echo(f"{done.refused} records refused; they lie in {directory / 'refused'}:")
        for reason in done.reasons:
            click.echo(f"  {reason}")
    if done.damaged:
        click.echo(f"{done.damaged} damaged places skipped; their files lie in {directory / 'damaged'}")
    if done.left:
        click.echo(f"{done.left} files still wait: {done.why_stopped}")


@contextlib.contextmanager
def _progress(files: Sequence[Path]) -> Iterator[Callable[[Path, int], None] | None]:
    """A bar on stderr over the bytes of the files, on a terminal only."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal or not files:
        yield None
        return
    sizes = {path: path.stat().st_size for path in files if path.exists()}
    columns = (TextColumn("telling"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bars:
        task = bars.add_task("telling", total=sum(sizes.values()))
        places: dict[Path, int] = {}

        def show(path: Path, place: int) -> None:
            places[path] = place
            bars.update(task, completed=sum(places.values()))

        yield show
