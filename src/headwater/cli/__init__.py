"""The command line: ``headwater NOUN VERB``.

Each command is a few lines over the client. What they share is in ``settings`` (one name in three
spellings, and where the store is), ``tables`` (output for people) and ``plain`` (output for programs).
Imports of weight happen inside the commands: ``headwater --help`` loads click and nothing else.
"""

import os
import sys

import click

from headwater import __version__
from headwater.cli.cache import cache
from headwater.cli.db import db
from headwater.cli.export import export
from headwater.cli.lineage import lineage
from headwater.cli.mlmd_server import mlmd_server
from headwater.cli.nodes import artifact, context, execution
from headwater.cli.run import run
from headwater.cli.serve import serve
from headwater.cli.spool import spool
from headwater.cli.types import types
from headwater.errors import HeadwaterError

__all__ = ["main"]


class _Group(click.Group):
    """Turns what the store refuses into one sentence and exit code 1."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except HeadwaterError as error:
            raise click.ClickException(str(error)) from error


@click.group(
    cls=_Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Every command has examples in its --help. Exit codes: 0 done, 1 refused, 2 wrong usage.",
)
@click.version_option(__version__, prog_name="headwater", message="%(prog)s %(version)s")
def main() -> None:
    """Store and ask for ML lineage: what was made, from what, by which run.

    Say where the store is with --target (or HEADWATER_TARGET): a server's HOST:PORT, or the URL of a
    database, for example sqlite:////var/lib/headwater.db (four slashes for an absolute path).
    """
    # gRPC's core writes to stderr by itself, in a form of its own; what matters to users is said by us.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    if os.environ.get("NO_COLOR"):
        click.get_current_context().color = False


def metadata_store_server() -> None:
    """The command of that name: ML Metadata's server binary has it."""
    main(args=["mlmd-server", *sys.argv[1:]])


_COMMANDS = (
    run,
    cache,
    lineage,
    artifact,
    execution,
    context,
    types,
    export,
    spool,
    serve,
    mlmd_server,
    db,
)
for command in _COMMANDS:
    main.add_command(command)
