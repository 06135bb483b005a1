"""``headwater serve``: settings in, one line out when ready, and a clean end on SIGTERM."""

import logging
import queue
import signal
from pathlib import Path
from typing import Any

import click

from headwater.cli import logs
from headwater.cli.settings import config_option, setting
from headwater.config import ServerConfig

log = logging.getLogger(__name__)

_PEM_FILE = click.Path(dir_okay=False, path_type=Path)


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
    "--threads",
    default=ServerConfig.threads,
    metavar="COUNT",
    type=click.IntRange(min=1),
    help="Requests answered at a time. More than 8 make the answers slower.",
)
@setting(
    "--max-message-bytes",
    default=ServerConfig.max_message_bytes,
    metavar="BYTES",
    type=click.IntRange(min=1),
    help="Largest request that is accepted, in bytes.",
)
@setting(
    "--cache-bytes",
    default=ServerConfig.cache_bytes,
    metavar="BYTES",
    type=click.IntRange(min=0),
    help="Memory for nodes kept ready to be answered, in bytes.",
)
@setting("--tls-cert-file", type=_PEM_FILE, help="Certificate chain in PEM; with the key it turns TLS on.")
@setting("--tls-key-file", type=_PEM_FILE, help="Private key in PEM.")
@setting(
    "--tls-client-ca-file",
    type=_PEM_FILE,
    help="Authorities in PEM; clients must then show a certificate signed by one of them.",
)
@setting(
    "--slow-request-ms",
    default=ServerConfig.slow_request_ms,
    metavar="MS",
    type=click.IntRange(min=0),
    help="Requests that take longer, in milliseconds, are logged as warnings.",
)
@setting(
    "--stop-grace-s",
    default=ServerConfig.stop_grace_s,
    metavar="S",
    type=click.FloatRange(min=0),
    help="How long requests in flight may take after SIGTERM, in seconds.",
)
@setting(
    "--log-format",
    default="text",
    type=click.Choice(logs.FORMATS),
    help="How logs are written on stderr.",
)
@setting(
    "--log-level",
    default="info",
    type=click.Choice(logs.LEVELS),
    help="Least level that is logged; debug logs every request.",
)
@config_option
def serve(log_format: str, log_level: str, config: Path | None, **settings: Any) -> None:
    """Serve a store over gRPC.

    Clients of headwater and of ML Metadata may use it side by side. Prints one line when it is ready,
    "headwater ready on HOST:PORT", and logs to stderr. SIGTERM and SIGINT (Ctrl-C) end it: new requests are
    refused, those in flight finish; a second signal ends it at once.
    """
    logs.configure(log_format=log_format, log_level=log_level)
    if ":" in settings["host"] and not settings["host"].startswith("["):
        settings["host"] = f"[{settings['host']}]"  # An IPv6 address.
    # Loads gRPC and SQLAlchemy; what is wrong with the usage was said before.
    from headwater.server import Server

    server = Server(ServerConfig(**settings))
    signals = _signals()
    server.start()
    click.echo(f"headwater ready on {settings['host']}:{server.port}")
    log.info(
        "ready",
        extra={"host": settings["host"], "port": server.port, "tls": settings["tls_cert_file"] is not None},
    )
    number = signals.get()
    for again in (signal.SIGTERM, signal.SIGINT):
        signal.signal(again, signal.SIG_DFL)
    log.info("stopping", extra={"signal": signal.Signals(number).name, "grace_s": settings["stop_grace_s"]})
    server.stop()
    log.info("stopped")


def _signals() -> "queue.SimpleQueue[int]":
    """Where the numbers of SIGTERM and SIGINT arrive from now on."""
    # A SimpleQueue may be put to from a handler that interrupts its own get; an Event would deadlock.
    numbers: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: numbers.put(received))
    return numbers
