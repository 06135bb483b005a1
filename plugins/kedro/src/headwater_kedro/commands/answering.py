"""How commands answer: text or JSON, on standard output or in a file."""

from __future__ import annotations

import io
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
_output_option = click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    metavar="FILE",
    help="Write the answer into this file. On standard output Kedro's own log may stand before it.",
)


def answer_options(command: Callable[..., None]) -> Callable[..., None]:
    """``--json``, and ``--output`` for ``answer_in``."""
    return json_option(_output_option(command))


@contextmanager
def answer_in(output: Path | None) -> Iterator[None]:
    """Let what is printed stand in this file, which is not touched if that fails; ``None``: print it."""
    if output is None:
        yield
        return
    answer = io.StringIO()
    with redirect_stdout(answer):
        yield
    try:
        output.write_text(answer.getvalue(), encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{output} cannot be written: {error.strerror}") from error
