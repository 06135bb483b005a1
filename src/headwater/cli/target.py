"""Where the store is, for the commands that ask it, and how ids and names on the command line are meant."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from headwater.cli import logs
from headwater.cli.settings import config_option, setting
from headwater.errors import InvalidRequest, NotFound, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from headwater.client import Store
    from headwater.v1 import metadata_store_pb2 as pb

Found = TypeVar("Found")

_PEM_FILE = click.Path(dir_okay=False, path_type=Path)
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|/")

_OPTIONS = (
    setting("--target", metavar="TARGET", help="The store: a server's HOST:PORT, or the URL of a database."),
    setting("--database-url", metavar="URL", help="The database, if there is no --target."),
    setting(
        "--tls", is_flag=True, help="Encrypt, and check the server's certificate; a file below implies it."
    ),
    setting(
        "--ca-file", type=_PEM_FILE, help="Authorities in PEM that the server's certificate is checked with."
    ),
    setting(
        "--cert-file", type=_PEM_FILE, help="Own certificate chain in PEM, for a server that asks for one."
    ),
    setting("--key-file", type=_PEM_FILE, help="Private key of --cert-file in PEM."),
    setting(
        "--timeout-s",
        default=60.0,
        type=click.FloatRange(min=0, min_open=True),
        metavar="S",
        help="How long a server may take to answer a call, in seconds.",
    ),
    config_option,
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


def asks_store(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say where the store is, and the open store as ``store``."""

    @functools.wraps(command)
    def with_store(
        *,
        target: str | None,
        database_url: str | None,
        tls: bool,
        ca_file: Path | None,
        cert_file: Path | None,
        key_file: Path | None,
        timeout_s: float,
        config: Path | None,
        **options: Any,
    ) -> None:
        chosen = chosen_target(target, database_url)
        logs.configure()
        if "://" in chosen:
            store = _connect(chosen, create=False)
        else:
            store = _connect(
                chosen, timeout_s=timeout_s, tls=tls, ca_file=ca_file, cert_file=cert_file, key_file=key_file
            )
        with store:
            try:
                command(store=store, **options)
            except Unavailable as error:
                raise Unavailable(f"the store at {chosen} cannot be reached: {error}") from error

    decorated: Callable[..., None] = with_store
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


def chosen_target(target: str | None, database_url: str | None) -> str:
    """What is meant of the two: a flag wins over the environment, and that over a file."""
    context = click.get_current_context()
    if target and database_url:
        sources = [context.get_parameter_source(name) for name in ("target", "database_url")]
        if sources == [ParameterSource.COMMANDLINE] * 2:
            raise click.UsageError("give --target or --database-url, not both")
        # A database named by a flag wins over a target of the environment, and that over one of the file.
        order = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT, ParameterSource.DEFAULT_MAP)
        return min((target, database_url), key=lambda given: order.index(sources[given is database_url]))
    chosen = target or database_url
    if not chosen:
        raise click.UsageError(
            "say where the store is: --target HOST:PORT (or HEADWATER_TARGET) for a server, "
            "--database-url URL (or HEADWATER_DATABASE_URL) for a database"
        )
    return chosen


def _connect(chosen: str, **options: Any) -> Store:
    import headwater

    return headwater.connect(chosen, **options)


def find_artifact(store: Store, named: str) -> pb.Artifact:
    """The artifact of an id, ``TYPE/NAME`` or a URI.

    Raises:
        NotFound: there is none.
        InvalidRequest: several artifacts have the URI, or it is none of the three.
    """
    if named.isdecimal():
        return store.get_artifact(int(named))
    if _URI.match(named):
        found = store.get_artifacts_by_uri(named)
        if len(found) > 1:
            ids = ", ".join(str(artifact.id) for artifact in sorted(found, key=lambda artifact: artifact.id))
            raise InvalidRequest(
                f"{len(found)} artifacts have the URI {named!r}; give one of their ids: {ids}"
            )
        return _found(found[0] if found else None, f"artifact with the URI {named!r}")
    type_name, name = _type_and_name(named, "an id, TYPE/NAME or a URI")
    return _found(store.get_artifact_by_type_and_name(type_name, name), f"artifact {named!r}")


def find_execution(store: Store, named: str) -> pb.Execution:
    """The execution of an id or ``TYPE/NAME``. Raises as ``find_artifact``."""
    if named.isdecimal():
        return store.get_execution(int(named))
    type_name, name = _type_and_name(named)
    return _found(store.get_execution_by_type_and_name(type_name, name), f"execution {named!r}")


def find_context(store: Store, named: str) -> pb.Context:
    """The context of an id or ``TYPE/NAME``. Raises as ``find_artifact``."""
    if named.isdecimal():
        return store.get_context(int(named))
    type_name, name = _type_and_name(named)
    return _found(store.get_context_by_type_and_name(type_name, name), f"context {named!r}")


def _type_and_name(named: str, expected: str = "an id or TYPE/NAME") -> tuple[str, str]:
    type_name, slash, name = named.partition("/")
    if not slash:
        raise InvalidRequest(f"{named!r} is not {expected}")
    return type_name, name


def _found(node: Found | None, what: str) -> Found:
    if node is None:
        raise NotFound(f"there is no {what}")
    return node
