"""A project of Kedro, and what the store has of it: its pipelines, its runs, and what they are called."""

from __future__ import annotations

import heapq
import logging
import os
import re
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from headwater.client import Store
    from headwater.client.run_info import RunInfo

_PIPELINE = "headwater.Pipeline"
_RUN = "headwater.Run"
_MOST_NAMED = 5


class Project:
    """The project in an environment of its configuration."""

    def __init__(self, path: Path, env: str | None = None, conf_source: str | None = None) -> None:
        from headwater_kedro.config import project_name, read_settings, register, target_of

        self.path = path
        self.env = env or os.environ.get("KEDRO_ENV")
        self.conf_source = conf_source
        self.config_loader = self._open_configuration()
        register(self.config_loader)
        try:
            self.settings = read_settings(self.config_loader)
        except Exception as error:
            # Whatever a file with faults makes of Kedro's loader: the user is to mend it.
            raise click.ClickException(f"the settings of headwater cannot be read: {error}") from error
        self.target = target_of(self.settings, path)
        self.name = project_name(self.settings, path)

    def _open_configuration(self) -> Any:
        # As sessions of Kedro do, but these ask git for what is not needed here.
        from kedro.framework.project import settings

        source = self.conf_source or str(self.path / settings.CONF_SOURCE)
        return settings.CONFIG_LOADER_CLASS(
            conf_source=source, env=self.env, runtime_params=None, **settings.CONFIG_LOADER_ARGS
        )

    @property
    def is_recorded(self) -> bool:
        """Whether there may be something: the project's own store is made by its first run."""
        from headwater_kedro.config import DIRECTORY, own_store

        return self.target != own_store(self.path) or (self.path / DIRECTORY / "headwater.db").exists()

    @contextmanager
    def store(self) -> Iterator[Store]:
        """The project's store. What goes wrong with it is told in a sentence."""
        import headwater
        from headwater.errors import HeadwaterError, Unavailable

        if not self.is_recorded:
            raise self.nothing_recorded()
        # gRPC's core would write to stderr by itself.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        options: dict[str, Any] = {"create": False} if "://" in self.target else {}
        try:
            with headwater.connect(self.target, **options) as store:
                yield store
        except Unavailable as error:
            raise click.ClickException(
                f"the store at {self.shown_target} cannot be reached: {error}"
            ) from error
        except HeadwaterError as error:
            raise click.ClickException(str(error)) from error

    @property
    def shown_target(self) -> str:
        """Where the store is, without a password."""
        from headwater.client.recording.places import shown_target

        return shown_target(self.target)

    def ask(self, *question: str) -> None:
        """Have a command of headwater's own answer about this store."""
        from headwater.cli import main

        # It sets up logging as its own, which is Kedro's to do here.
        handlers, level = logging.root.handlers, logging.root.level
        try:
            # It gives the exit code where Kedro's is not to end with it.
            code = main.main(
                [*question, "--target", self.target], prog_name="headwater", standalone_mode=False
            )
        finally:
            logging.root.handlers = handlers
            logging.root.setLevel(level)
        if code:
            click.get_current_context().exit(code)

    def nothing_recorded(self) -> click.ClickException:
        """What to say where there is no run of the project."""
        return click.ClickException(
            f"nothing was recorded of {self.name!r} in {self.shown_target} yet; run 'kedro run' first"
        )

    def pipelines(self, store: Store) -> dict[str, int]:
        """The ids of what the store has of this project's pipelines, by their names there.

        Raises:
            click.ClickException: there are none.
        """
        found = store.list_contexts(type=_PIPELINE, filter=f"name LIKE {quoted(self.name + ':%')}")
        # In LIKE some characters of a name stand for others.
        ids = {one.name: one.id for one in found if one.name.startswith(f"{self.name}:")}
        if not ids:
            raise self.nothing_recorded()
        return ids

    def runs(
        self,
        store: Store,
        pipelines: Sequence[str] | None = None,
        *,
        where: Sequence[str] = (),
        limit: int | None = None,
    ) -> Iterator[RunInfo]:
        """The runs of the project, or of these of its pipelines, newest first. Costs calls per pipeline."""
        of_pipelines = [
            store.runs(pipeline, where=where, limit=limit)
            for pipeline in (self.pipelines(store) if pipelines is None else pipelines)
        ]
        newest_first = heapq.merge(*of_pipelines, key=lambda run: (-run.start_ms, -run.run_id))
        return islice(newest_first, limit)

    def latest(self, store: Store, *, where: Sequence[str] = ()) -> RunInfo | None:
        """The run that began last."""
        return next(self.runs(store, where=where, limit=1), None)

    def find_run(self, store: Store, named: str) -> RunInfo:
        """The run of this project that is meant: ``latest``, and ``latest~1`` before it, or by its name.

        Raises:
            click.ClickException: there is none, or there are several.
        """
        from headwater.errors import NotFound

        pipelines = self.pipelines(store)
        pipeline, slash, run = named.partition("/")
        for of_project in (pipeline, f"{self.name}:{pipeline}"):
            if of_project in pipelines:
                try:
                    return store.get_run(of_project, run if slash else None)
                except NotFound as error:
                    raise click.ClickException(str(error)) from error
        back = re.fullmatch(r"latest(?:~(\d+))?", named)
        if back is not None:
            return self._run_before(store, int(back[1] or 0))
        # First, since the names of runs begin with the year.
        by_number = self._run_of_number(store, int(named), pipelines) if named.isdecimal() else None
        if by_number is not None:
            return by_number
        found = self._runs_called(store, named, pipelines)
        if len(found) == 1:
            return store.get_run(found[0])
        if found:
            names = ", ".join(run.partition("/")[2] for run in found[:_MOST_NAMED])
            more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
            raise click.ClickException(f"{named!r} may be several runs: {names}{more}; give more of its name")
        raise click.ClickException(
            f"there is no run {named!r} of {self.name!r}; 'kedro headwater runs' lists those there are"
        )

    def _run_before(self, store: Store, count: int) -> RunInfo:
        """The one that began so many runs before the latest."""
        found = list(self.runs(store, limit=count + 1))
        if len(found) > count:
            return found[count]
        there = "is 1 run" if len(found) == 1 else f"are {len(found)} runs"
        raise click.ClickException(f"there is no run latest~{count} of {self.name!r}: there {there}")

    def _runs_called(self, store: Store, named: str, pipelines: dict[str, int]) -> list[str]:
        """PIPELINE/RUN of those whose names begin so, newest first; of the one that is called so alone."""
        filter_ = f"properties.run.string_value LIKE {quoted(named + '%')}"
        found = []
        for context in store.list_contexts(type=_RUN, filter=filter_, descending=True):
            pipeline, run = (context.properties[name].string_value for name in ("pipeline", "run"))
            if pipeline in pipelines and run.startswith(named):
                if run == named:
                    return [f"{pipeline}/{run}"]
                found.append(f"{pipeline}/{run}")
        return found

    def _run_of_number(self, store: Store, number: int, pipelines: dict[str, int]) -> RunInfo | None:
        from headwater.errors import NotFound

        try:
            found = store.get_run(number)
        except NotFound:
            return None
        return found if found.pipeline in pipelines else None


def log_to_stderr() -> None:
    """Leave stdout to what the command answers: Kedro's logs go there."""
    import sys

    for handler in logging.root.handlers:
        if hasattr(handler, "console"):
            from rich.console import Console

            handler.console = Console(stderr=True)
        elif isinstance(handler, logging.StreamHandler) and handler.stream is sys.stdout:
            handler.setStream(sys.stderr)


def quoted(text: str) -> str:
    """A text for a filter."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def within(context_ids: Sequence[int]) -> str:
    """A filter: what belongs to one of these contexts."""
    return f"contexts_a.id IN ({', '.join(map(str, context_ids))})"


def near(named: str, known: Sequence[str]) -> str:
    """What was meant instead, for the end of an error; empty where nothing is near."""
    import difflib

    found = [name for name in known if named and named.casefold() in name.casefold()]
    found += difflib.get_close_matches(named, known, n=_MOST_NAMED)
    names = list(dict.fromkeys(found))[:_MOST_NAMED]
    return f"; did you mean {' or '.join(map(repr, names))}?" if names else ""
