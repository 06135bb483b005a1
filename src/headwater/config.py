"""Settings of the server.

Each has one name in three spellings: ``--slow-request-ms``, ``HEADWATER_SLOW_REQUEST_MS`` and
``slow_request_ms`` in the settings file. The command line reads them; this is what it makes of them.
"""

from dataclasses import dataclass, field
from pathlib import Path

MIB = 1024 * 1024


@dataclass(frozen=True)
class ServerConfig:
    """What ``headwater serve`` was told."""

    database_url: str = field(repr=False)  # It may hold a password.
    """Where the graph is, for example ``sqlite:////var/lib/headwater/store.db``."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 8080
    """Port to listen on; 0 takes a free one."""
    threads: int = 8
    """Requests answered at a time. More than 8 make the answers slower."""
    cpus: str = "one"
    """``one``: each process keeps to one CPU, as suits Python's threads; ``all``: to none in particular."""
    workers: int = 1
    """Processes that answer on the port, each with its own threads and connections. One alone keeps the port
    to itself; several share it, and need PostgreSQL or MySQL."""
    max_message_bytes: int = 64 * MIB
    """Largest request that is accepted."""
    cache_bytes: int = 64 * MIB
    """Memory for nodes kept ready to be answered."""
    tls_cert_file: Path | None = None
    """Certificate chain in PEM; with ``tls_key_file`` it turns TLS on."""
    tls_key_file: Path | None = None
    """Private key in PEM."""
    tls_client_ca_file: Path | None = None
    """Certificate authorities in PEM; clients must then show a certificate signed by one of them."""
    slow_request_ms: int = 1_000
    """Requests that take longer are logged as warnings."""
    stop_grace_s: float = 30.0
    """How long requests in flight may take after SIGTERM."""
    database_connections: int = 8
    """Connections to a PostgreSQL or MySQL server that a process has open at most."""
    create_database: bool = True
    """Whether a database that its PostgreSQL or MySQL server does not have yet is made."""
    grpc_options: tuple[tuple[str, int | str], ...] = ()
    """Arguments of gRPC's server beside those that headwater sets; they win over headwater's."""
