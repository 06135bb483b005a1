"""``init``: a settings file to begin with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from headwater_kedro.commands.project import Project

if TYPE_CHECKING:
    from kedro.framework.startup import ProjectMetadata

# Lines of prose have one blank behind the #, those without one or with more are settings.
TEXT = """\
# How runs of this project are recorded. All of it is optional; what is commented out holds without it.
# A file of this name in another environment (conf/<env>/headwater.yml) replaces whole keys of this one.

# Where runs are recorded: HOST:PORT of a server, or the URL of a database. Empty is a store of the project's
# own, in .headwater/, which git leaves alone. The variable HEADWATER_ADDRESS goes before it.
#address: ""

# Name of the project in the store, the first part of the names of its pipelines. Empty is that of its
# directory.
#project: ""

# Whether runs are recorded at all.
#record: true

# Whether every 'kedro run' skips nodes that are proven done, as 'kedro headwater run' does.
#skip: false

# Whether a run fails where it cannot be recorded, instead of going on with a warning.
#strict: false

# How long recording may take before and after each node, in seconds.
#timeout_s: 2

#parameters:
  # Parameters that are neither recorded nor decide whether a node runs: names with dots, * for any text,
  # for example [api.token, "*.password"].
#  exclude: []

#cache:
  # on; off; read: nodes may be skipped, and no others because of them; write: nodes run, and later ones may
  # be skipped because of them.
#  policy: "on"
  # What finished longer ago is not reused, in seconds.
#  max_age_s: null
  # Another text makes all nodes run once more.
#  salt: null
  # What of the surroundings decides too: python, lock_file, platform, distributions.
#  environment: null
  # The same four keys for nodes by name, * for any text; of several that fit, the last one counts. For
  # example {"ingest.*": {max_age_s: 86400}, report: {policy: "off"}}.
#  nodes: {}
"""


@click.command()
@click.option("--force", is_flag=True, help="Write over the file that is there.")
@click.option("--env", "-e", help="Environment whose settings are written. [default: the base environment]")
@click.pass_obj
def init(metadata: ProjectMetadata, /, env: str | None, force: bool) -> None:
    """Write conf/base/headwater.yml, with every setting and its default.

    Runs are recorded without it too.
    """
    from kedro.framework.project import settings

    directory = metadata.project_path / settings.CONF_SOURCE / _environment(env)
    path = directory / "headwater.yml"
    there = [one for one in (path, path.with_suffix(".yaml")) if one.exists()]
    if there and not force:
        raise click.ClickException(f"{_shown(there[0])} is there already; --force writes over it")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        path.write_text(TEXT, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{_shown(path)} cannot be written: {error.strerror}") from error
    click.echo(f"written: {_shown(path)}")
    project = Project(metadata.project_path, env)
    click.echo(_said_of_store(project))
    click.echo("next: 'kedro run', then 'kedro headwater runs'; 'kedro headwater run' skips what is done")


def _environment(env: str | None) -> str:
    from kedro.framework.project import settings

    return env or str(settings.CONFIG_LOADER_ARGS.get("base_env", "base"))


def _said_of_store(project: Project) -> str:
    """Where runs will be, and whether that answers."""
    from headwater_kedro.config import ADDRESS, own_store

    if project.target == own_store(project.path):
        return f"runs are recorded in {_shown(project.path / '.headwater')}, which git leaves alone"
    said_by = f", says {ADDRESS}" if os.environ.get(ADDRESS) else ""
    try:
        with project.store() as store:
            next(store.list_contexts(type="headwater.Pipeline", limit=1), None)
    except click.ClickException as error:
        return (
            f"runs are recorded in {project.shown_target}{said_by}, which does not answer now; what is "
            f"recorded meanwhile waits on this machine ({error.message})"
        )
    return f"runs are recorded in {project.shown_target}{said_by}, which answers"


def _shown(path: Path) -> str:
    """As seen from the working directory."""
    return os.path.relpath(path)
