"""Output: tables for people, JSON for programs.

On a terminal a table fits its width and folds what is long; elsewhere a row is a line and nothing is cut,
so that grep and awk find what they look for.
"""

import json
import math
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Any

import click

_LEAST_WIDTH = 16
"""A folded column is readable from this width on."""


def print_json(value: Any) -> None:
    """One JSON document, indented."""
    click.echo(as_json_text(value))


def as_json_text(value: Any) -> str:
    """The same as text."""
    return json.dumps(_finite(value), ensure_ascii=False, indent=2)


def print_json_list(values: Iterable[Any]) -> None:
    """A JSON list with a line for each value, written as the values come."""
    separator = "["
    for value in values:
        click.echo(f"{separator}{json.dumps(_finite(value), ensure_ascii=False)}", nl=False)
        separator = ",\n "
    click.echo("[]" if separator == "[" else "]")


def _finite(value: Any) -> Any:
    """``value`` with the numbers that JSON lacks as texts, which is how protobuf writes them."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    return [_finite(part) for part in value] if isinstance(value, list) else value


def print_fields(fields: Mapping[str, Any]) -> None:
    """A line for each field; those that are ``None`` are left out."""
    shown = {name: text(value) for name, value in fields.items() if value is not None}
    width = max(map(len, shown), default=0)
    for name, value in shown.items():
        click.echo(f"{click.style(name.ljust(width), bold=True)}  {value}")


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    numbers: Sequence[str] = (),
    folded: Sequence[str] = (),
    dropped: Sequence[str] = (),
) -> None:
    """Rows under their columns.

    ``numbers`` are columns set to the right. On a terminal cells of ``folded`` columns may be broken, and
    the ``dropped`` ones are left out, the first first, where the rest would be too narrow to read.
    """
    cells = [[text(value) for value in row] for row in rows]
    if sys.stdout.isatty():
        _print_on_terminal(columns, cells, numbers, folded, dropped)
    else:
        _print_lines(columns, cells, numbers)


def terminal_width() -> int | None:
    """Columns of the terminal that stdout is; ``None`` if it is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _print_on_terminal(
    columns: Sequence[str],
    cells: list[list[str]],
    numbers: Sequence[str],
    folded: Sequence[str],
    dropped: Sequence[str],
) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    widths = {column[0]: max(map(len, column)) for column in zip(columns, *cells, strict=True)}
    least = {name: min(width, _LEAST_WIDTH) if name in folded else width for name, width in widths.items()}
    shown = list(columns)
    for name in dropped:
        if sum(least[name] + 2 for name in shown) - 2 > console.width:
            shown.remove(name)
    table = Table(
        box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold"
    )
    for name in shown:
        table.add_column(
            name,
            justify="right" if name in numbers else "left",
            no_wrap=name not in folded,
            overflow="fold",
            min_width=min(least[name], 8),
        )
    for row in cells:
        table.add_row(*(Text(cell) for name, cell in zip(columns, row, strict=True) if name in shown))
    console.print(table)


def _print_lines(columns: Sequence[str], cells: list[list[str]], numbers: Sequence[str]) -> None:
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    for row in chain([columns], cells):
        padded = (
            cell.rjust(width) if name in numbers else cell.ljust(width)
            for name, cell, width in zip(columns, row, widths, strict=True)
        )
        click.echo("  ".join(padded).rstrip())


def text(value: Any) -> str:
    """A value on one line: texts as they are but for control characters, what is nested as JSON."""
    if value is None:
        return ""
    if isinstance(value, bool | list | dict):
        value = json.dumps(value, ensure_ascii=False)
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in str(value)
    )


def short(line: str, most: int) -> str:
    """``line`` itself, or its beginning and an ellipsis if it has more than ``most`` characters."""
    return line if len(line) <= most else line[: most - 1] + "…"


def time(time_ms: int) -> str:
    """Local time in ISO 8601 to the second; empty for 0, which means never."""
    if not time_ms:
        return ""
    return datetime.fromtimestamp(time_ms / 1_000).strftime("%Y-%m-%dT%H:%M:%S")


def exact_time(time_ms: int) -> str:
    """Local time in ISO 8601 to the millisecond, with the offset to UTC; empty for 0."""
    if not time_ms:
        return ""
    return datetime.fromtimestamp(time_ms / 1_000).astimezone().isoformat(timespec="milliseconds")


def size(size_bytes: int) -> str:
    """A number of bytes in the unit that suits it."""
    amount, unit = float(size_bytes), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{size_bytes} bytes" if unit == "bytes" else f"{amount:.1f} {unit}"
