"""``headwater mlmd-server``: started with the flags of ML Metadata's ``metadata_store_server``.

Names, meanings and defaults are those of ML Metadata 1.17; docs/mlmd-server.md has what differs. What the
flags say of the database is read in ``mlmd_flags``; here it becomes headwater's own settings.
"""

import logging
import os
import ssl
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from headwater.cli import logs
from headwater.cli.gflags import BRINGING, GflagsCommand
from headwater.cli.mlmd_flags import SOURCES, grpc_options_of, wanted_by
from headwater.cli.serve import Opening, run, serving_settings
from headwater.config import ServerConfig
from headwater.errors import Aborted, InvalidRequest, SchemaTooOld, Unavailable

if TYPE_CHECKING:
    import tenacity

    from headwater.v1 import metadata_store_pb2 as pb

T = TypeVar("T")
log = logging.getLogger(__name__)

_LONGEST_PAUSE_S = 15.0


def _texts(prefix: str, **flags: str) -> Callable[[Any], Any]:
    """Options that take any text and are empty by default; those named after a password are secret."""

    def add(command: Any) -> Any:
        for name, meaning in reversed(flags.items()):
            option = click.option(
                f"--{prefix}{name}", default="", help=meaning, metavar="TEXT", hide_input="password" in name
            )
            command = option(command)
        return command

    return add


@click.command(
    cls=GflagsCommand,
    epilog="""\b
Examples:
  headwater mlmd-server --grpc_port=8080 --mysql_config_host=mysql --mysql_config_port=3306 \\
      --mysql_config_database=metadb --mysql_config_user=root --fromenv=mysql_config_password
  headwater mlmd-server --metadata_store_server_config_file=/etc/mlmd/config.pbtxt
""",
)
@click.option(
    "--grpc_port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="Port to listen on."
)
@click.option(
    "--grpc_channel_arguments",
    default="",
    metavar="NAME=VALUE,...",
    help="Arguments of gRPC's server, for example grpc.max_receive_message_length=104857600.",
)
@click.option(
    "--metadata_source_config_type",
    default="default",
    show_default=True,
    type=click.Choice(SOURCES),
    help="Which flags say where the database is. default: the configuration file if it can be read, else "
    "the MySQL flags, else a store in memory.",
)
@click.option(
    "--metadata_store_server_config_file",
    default="",
    metavar="FILE",
    help="A MetadataStoreServerConfig in protobuf's text format: database, TLS, migration.",
)
@click.option(
    "--metadata_store_connection_retries",
    default=5,
    show_default=True,
    metavar="COUNT",
    type=click.IntRange(min=0),
    help="How often to try again to reach the database, after 1, 2, 4, 8 and then every 15 seconds.",
)
@_texts("mysql_config_", host="Host of the MySQL or MariaDB server.")
@click.option(
    "--mysql_config_port",
    default=0,
    metavar="PORT",
    type=click.IntRange(0, 65535),
    help="Its port; 0 is 3306.",
)
@_texts(
    "mysql_config_",
    database="Name of the database; made if it is not there.",
    user="User to connect as.",
    password="The user's password.",
)
@_texts(
    "postgres_config_",
    host="Host of the PostgreSQL server, or a directory with its socket.",
    hostaddr="The server's address, in place of its host.",
    port="Its port; 5432 if empty.",
    user="User to connect as.",
    password="The user's password.",
    passfile="File with passwords, as libpq's passfile.",
    dbname="Name of the database; made if it is not there.",
)
@click.option(
    "--postgres_config_skip_db_creation",
    default=False,
    type=bool,
    help="Do not make the database, only the tables in it.",
)
@_texts(
    "postgres_config_",
    sslmode="disable, allow, prefer, require, verify-ca or verify-full.",
    sslcert="File with the client's certificate.",
    sslkey="File with the client's private key.",
    sslpassword="Password of the private key.",
    sslrootcert="File with certificate authorities to check the server with.",
)
@click.option(
    "--enable_database_upgrade",
    default=False,
    type=bool,
    help="Upgrade a database of an older schema version before it is served.",
)
@click.option(
    "--downgrade_db_schema_version",
    default=-1,
    metavar="VERSION",
    type=int,
    help="Refused unless -1: headwater does not downgrade.",
)
@_texts("", **BRINGING)
@serving_settings
def mlmd_server(log_format: str, log_level: str, config: Path | None, **flags: Any) -> None:
    """Serve a store over gRPC, called as ML Metadata's metadata_store_server.

    A deployment changes its image and keeps its arguments. Flags may be spelled --flag=value, --flag value
    and -flag=value, booleans also --flag and --noflag; of a flag that is given twice the last wins. Listens
    on 0.0.0.0. The ready line, the logs and the end are those of "headwater serve".
    """
    logs.configure(log_format=log_format, log_level=log_level)
    grpc_options = grpc_options_of(flags["grpc_channel_arguments"])
    wanted = wanted_by(flags)
    _refuse_what_is_not_done(flags, wanted)
    # Loads protobuf and SQLAlchemy; what is wrong with the usage was said before.
    from headwater.mlmd.opening import database_url, may_create_database

    settings: dict[str, Any] = {
        name: flags[name] for name in ServerConfig.__dataclass_fields__ if name in flags
    }
    settings |= {
        "database_url": database_url(wanted.connection_config),
        "host": "0.0.0.0",
        "port": flags["grpc_port"],
        "grpc_options": grpc_options,
        "create_database": may_create_database(wanted.connection_config),
    }
    opening = _opening(
        retries=flags["metadata_store_connection_retries"],
        upgrade=flags["enable_database_upgrade"] or wanted.migration_options.enable_upgrade_migration,
    )
    with _tls(wanted) as files:
        run(ServerConfig(**(settings | files)), opening, log_format=log_format, log_level=log_level)


def _refuse_what_is_not_done(flags: dict[str, Any], wanted: "pb.MetadataStoreServerConfig") -> None:
    version = max(flags["downgrade_db_schema_version"], wanted.migration_options.downgrade_to_schema_version)
    if version >= 0:
        raise click.UsageError(
            f"headwater does not downgrade a database (to schema version {version} was asked for): leave out "
            "--downgrade_db_schema_version; to go back to an older ML Metadata, restore the backup from "
            "before the upgrade, or use downgrade_schema of ml-metadata 1.17.1"
        )
    sqlite = wanted.connection_config.sqlite
    if sqlite.connection_mode == sqlite.READONLY:
        raise click.UsageError(
            "connection_mode READONLY is for programs that open a store in process; a server writes: "
            "choose READWRITE or READWRITE_OPENCREATE"
        )


@contextmanager
def _tls(wanted: "pb.MetadataStoreServerConfig") -> Iterator[dict[str, Path]]:
    """The settings of TLS for an ``ssl_config``, which has the contents of files and not their names."""
    if not wanted.HasField("ssl_config"):
        yield {}
        return
    ssl_config = wanted.ssl_config
    if not ssl_config.server_key or not ssl_config.server_cert:
        raise InvalidRequest(
            "ssl_config in the configuration file needs server_key and server_cert, as PEM text"
        )
    if ssl_config.client_verify and not ssl_config.custom_ca:
        raise InvalidRequest(
            "ssl_config in the configuration file has client_verify, which needs custom_ca: the authorities "
            "that sign the clients' certificates, as PEM text"
        )
    contents = {"tls_cert_file": ssl_config.server_cert, "tls_key_file": ssl_config.server_key}
    # Without client_verify the original asks clients for nothing, custom_ca or not.
    if ssl_config.client_verify:
        contents["tls_client_ca_file"] = ssl_config.custom_ca
    with ExitStack() as stack:
        files = {name: stack.enter_context(_private_file(text)) for name, text in contents.items()}
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
                files["tls_cert_file"], files["tls_key_file"], password=lambda: b""
            )
        except (ssl.SSLError, OSError):
            raise InvalidRequest(
                "server_cert and server_key in ssl_config of the configuration file are not a readable "
                "certificate and the private key that belongs to it, both PEM text and without a password"
            ) from None
        yield files


@contextmanager
def _private_file(text: str) -> Iterator[Path]:
    """A file that nobody else may read. Python's ssl module takes certificates and keys from files only."""
    if sys.platform == "linux":
        # In memory: it is gone with the process, even one that is killed.
        with os.fdopen(os.memfd_create("headwater-tls"), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            yield Path(f"/proc/{os.getpid()}/fd/{file.fileno()}")
    else:
        with tempfile.NamedTemporaryFile("w", prefix="headwater-tls-", encoding="utf-8") as named:
            named.write(text)
            named.flush()
            yield Path(named.name)


def _opening(*, retries: int, upgrade: bool) -> Opening:
    """Opens a database, and tries again while it is not up yet: pods start in any order."""
    import tenacity

    def open_once(config: ServerConfig, open_: Callable[[ServerConfig], T], /) -> T:
        from headwater.mlmd.opening import opened_upgraded

        if upgrade:
            return opened_upgraded(config.database_url, lambda: open_(config))
        try:
            return open_(config)
        except SchemaTooOld as error:
            raise SchemaTooOld(f"{error}; or start with --enable_database_upgrade=true") from error

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type((Unavailable, Aborted)),
        stop=tenacity.stop_after_attempt(retries + 1),
        wait=tenacity.wait_exponential(max=_LONGEST_PAUSE_S),
        before_sleep=_log_attempt,
        reraise=True,
    ).wraps(open_once)


def _log_attempt(state: "tenacity.RetryCallState") -> None:
    error = state.outcome and state.outcome.exception()
    log.warning(
        "the database cannot be opened yet",
        extra={
            "reason": str(error),
            "attempt": state.attempt_number,
            "next_in_s": round(state.upcoming_sleep, 1),
        },
    )
