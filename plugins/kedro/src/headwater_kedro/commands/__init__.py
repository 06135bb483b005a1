"""``kedro headwater``: what was recorded of a project, and runs that skip what is done or resume.

Kedro loads this for each of its commands, so nothing of weight is imported before one of ours is carried
out. Where headwater's own command line answers the same question it is asked, once names of Kedro (datasets,
nodes, runs of this project) are found in the store. No command that only reads makes a store.
"""

import click

from headwater_kedro.commands.asking import diff, runs, spool
from headwater_kedro.commands.initialising import init
from headwater_kedro.commands.project import log_to_stderr
from headwater_kedro.commands.repeating import plan_command, run_command
from headwater_kedro.commands.showing import explain, show
from headwater_kedro.commands.tracing import lineage

__all__ = ["commands"]


class _Headwater(click.Group):
    """``run`` and ``plan`` are made when asked for: they have the options of the project's own ``run``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), "plan", "run"])

    def get_command(self, ctx: click.Context, cmd_name: str) -> "click.Command | None":
        if cmd_name == "run":
            return run_command(ctx)
        if cmd_name == "plan":
            return plan_command(ctx)
        return super().get_command(ctx, cmd_name)


@click.group(name="headwater-kedro")
def commands() -> None:
    """What Kedro merges with its own commands."""


@commands.group(cls=_Headwater, name="headwater", context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def headwater_group(ctx: click.Context) -> None:
    """Runs that are recorded: their lineage, why nodes ran, and going on with them.

    RUN is the name of a run, the beginning of it if no other begins so, PIPELINE/RUN, the number of a run, or
    PIPELINE for its latest run; latest is the latest of all, latest~1 the one before it.
    """
    if ctx.invoked_subcommand != "run":
        log_to_stderr()


for command in (init, runs, show, explain, lineage, diff, spool):
    headwater_group.add_command(command)
