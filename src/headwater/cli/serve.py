"""``headwater serve``: settings in, one line out when ready, and a clean end on SIGTERM."""

import logging
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click

from headwater.cli import cpus, logs, signals
from headwater.cli.settings import Decorated, config_option, setting
from headwater.config import ServerConfig

if TYPE_CHECKING:
    from headwater.cli.workers import Workers
    from headwater.server import Server

T = TypeVar("T")
log = logging.getLogger(__name__)

_PEM_FILE = click.Path(dir_okay=False, path_type=Path)


_SERVING = (
    setting(
        "--threads",
        default=ServerConfig.threads,
        metavar="COUNT",
        type=click.IntRange(min=1),
        help="Requests answered at a time. More than 8 make the answers slower.",
    ),
    setting(
        "--cpus",
        default=ServerConfig.cpus,
        type=click.Choice(cpus.CHOICES),
        help="What each process runs on: one CPU suits Python's threads best.",
    ),
    setting(
        "--workers",
        default=ServerConfig.workers,
        metavar="COUNT",
        type=click.IntRange(min=1),
        help="Processes that share the port; more than 1 only with PostgreSQL and MySQL.",
    ),
    setting(
        "--database-connections",
        default=ServerConfig.database_connections,
        metavar="COUNT",
        type=click.IntRange(min=1),
        help="Connections to PostgreSQL or MySQL that each worker has open at most.",
    ),
    setting(
        "--cache-bytes",
        default=ServerConfig.cache_bytes,
        metavar="BYTES",
        type=click.IntRange(min=0),
        help="Memory for nodes kept ready to be answered, in bytes.",
    ),
    setting(
        "--slow-request-ms",
        default=ServerConfig.slow_request_ms,
        metavar="MS",
        type=click.IntRange(min=0),
        help="Requests that take longer, in milliseconds, are logged as warnings.",
    ),
    setting(
        "--stop-grace-s",
        default=ServerConfig.stop_grace_s,
        metavar="S",
        type=click.FloatRange(min=0),
        help="How long requests in flight may take after SIGTERM, in seconds.",
    ),
    setting(
        "--log-format",
        default="text",
        type=click.Choice(logs.FORMATS),
        help="How logs are written on stderr.",
    ),
    setting(
        "--log-level",
        default="info",
        type=click.Choice(logs.LEVELS),
        help="Least level that is logged; debug logs every request.",
    ),
    config_option,
)


def serving_settings(command: Decorated) -> Decorated:
    """The settings of every command that serves: beside ``ServerConfig``'s, those of the logs."""
    for option in reversed(_SERVING):
        command = option(command)
    return command


@click.command(
    epilog="""\b
Examples:
  headwater serve --database-url sqlite:////var/lib/headwater.db
  headwater serve --config headwater.toml --port 9090
  HEADWATER_DATABASE_URL=sqlite:///store.db headwater serve --log-format json
""",
)
@setting("--database-url", required=True, metavar="URL", help="Where the graph is; made if it is not there.")
@setting(
    "--host", default=ServerConfig.host, metavar="ADDRESS", help="Address to listen on; 0.0.0.0 for all."
)
@setting(
    "--port",
    default=ServerConfig.port,
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Port; 0 takes a free one.",
)
@setting(
    "--max-message-bytes",
    default=ServerConfig.max_message_bytes,
    metavar="BYTES",
    type=click.IntRange(min=1),
    help="Largest request that is accepted, in bytes.",
)
@setting("--tls-cert-file", type=_PEM_FILE, help="Certificate chain in PEM; with the key it turns TLS on.")
@setting("--tls-key-file", type=_PEM_FILE, help="Private key in PEM.")
@setting(
    "--tls-client-ca-file",
    type=_PEM_FILE,
    help="Authorities in PEM; clients must then show a certificate signed by one of them.",
)
@serving_settings
def serve(log_format: str, log_level: str, config: Path | None, **settings: Any) -> None:
    """Serve a store over gRPC.

    Clients of headwater and of ML Metadata may use it side by side. Prints one line when it is ready,
    "headwater ready on HOST:PORT", and logs to stderr. SIGTERM and SIGINT (Ctrl-C) end it: new requests are
    refused, those in flight finish; a second signal ends it at once.
    """
    logs.configure(log_format=log_format, log_level=log_level)
    if ":" in settings["host"] and not settings["host"].startswith("["):
        settings["host"] = f"[{settings['host']}]"  # An IPv6 address.
    run(ServerConfig(**settings), log_format=log_format, log_level=log_level)


class Opening(Protocol):
    """Calls ``open_`` with the settings, which opens the database, and gives what it gives."""

    def __call__(self, config: ServerConfig, open_: Callable[[ServerConfig], T], /) -> T: ...


def _once(config: ServerConfig, open_: Callable[[ServerConfig], T], /) -> T:
    return open_(config)


def run(config: ServerConfig, opening: Opening = _once, *, log_format: str, log_level: str) -> None:
    """Serve until a signal ends it: the ready line, the logs of start and stop, a clean end.

    ``opening`` may try more than once; without it what opening the database raises is raised. The settings
    of the logs are those of this process, for workers to log alike.
    """
    # The first process of a container ignores SIGTERM unless it says otherwise, and opening can take long.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    server: Server | Workers
    if config.workers > 1:
        server = _start_workers(config, opening, log_format=log_format, log_level=log_level)
        received = signals.received()
    else:
        if config.cpus == "one":
            cpus.keep_to_one()
        server = opening(config, _open_server)
        received = signals.received()
        server.start()
    click.echo(f"headwater ready on {config.host}:{server.port}")
    log.info(
        "ready",
        extra={
            "host": config.host,
            "port": server.port,
            "tls": config.tls_cert_file is not None,
            "workers": config.workers,
        },
    )
    number = received.get()
    signals.end_at_once_from_now_on()
    log.info("stopping", extra={"signal": signal.Signals(number).name, "grace_s": config.stop_grace_s})
    server.stop()
    log.info("stopped")


def _open_server(config: ServerConfig) -> "Server":
    # Loads gRPC and SQLAlchemy; what is wrong with the usage was said before.
    from headwater.server import Server

    return Server(config)


def _start_workers(config: ServerConfig, opening: Opening, *, log_format: str, log_level: str) -> "Workers":
    from headwater.cli.workers import Workers
    from headwater.storage.opening import open_database

    def open_and_close(config: ServerConfig) -> None:
        open_database(config.database_url, create_database=config.create_database).close()

    workers = Workers(
        config,
        # Once, so that one process makes the store and says what is wrong with it.
        lambda config: opening(config, open_and_close),
        log_format=log_format,
        log_level=log_level,
    )
    workers.start()
    return workers
