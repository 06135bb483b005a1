"""From ML Metadata's configuration messages to a database URL, and to a transport."""

import logging
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar
from urllib.parse import parse_qsl, quote

import grpc
from google.protobuf.message import Message

from headwater.client import GrpcTransport, Transport
from headwater.errors import FailedPrecondition, HeadwaterError, InvalidRequest, SchemaTooOld
from headwater.v1 import metadata_store_pb2 as pb
from headwater.wire import METHODS

Opened = TypeVar("Opened")
log = logging.getLogger(__name__)

SCHEMA_VERSION = 10
"""The version of the database's tables that headwater serves, MLMD's newest."""

_IN_MEMORY = ("", ":memory:")
_IN_MEMORY_URL = "sqlite://"
_MYSQL_PORT = 3306
_POSTGRESQL_PORT = "5432"
_Sqlite = pb.SqliteMetadataSourceConfig


def open_channel(config: pb.MetadataStoreClientConfig) -> GrpcTransport:
    """A transport to the server that ``config`` names. Nothing is sent yet."""
    target = f"{config.host}:{config.port}"
    # Other than in the original, an answer may be of any size unless a limit is asked for.
    options = [("grpc.max_receive_message_length", -1)]
    arguments = config.channel_arguments
    if arguments.HasField("max_receive_message_length"):
        options = [("grpc.max_receive_message_length", arguments.max_receive_message_length)]
    if arguments.HasField("http2_max_ping_strikes"):
        options.append(("grpc.http2.max_ping_strikes", arguments.http2_max_ping_strikes))
    if config.HasField("ssl_config"):
        ssl = config.ssl_config
        credentials = grpc.ssl_channel_credentials(
            root_certificates=ssl.custom_ca.encode() if ssl.HasField("custom_ca") else None,
            private_key=ssl.client_key.encode() if ssl.HasField("client_key") else None,
            certificate_chain=ssl.server_cert.encode() if ssl.HasField("server_cert") else None,
        )
        channel = grpc.secure_channel(target, credentials, options=options)
    else:
        channel = grpc.insecure_channel(target, options=options)
    timeout_s = config.client_timeout_sec if config.HasField("client_timeout_sec") else None
    return GrpcTransport.over(channel, timeout_s=timeout_s)


def open_database(config: pb.ConnectionConfig, *, enable_upgrade: bool = False) -> Transport:
    """A transport to the database that ``config`` names, opened in this process.

    ``fake_database``, and ``sqlite`` without a file name, are an empty store of the caller's own. With
    ``enable_upgrade`` a database of an older schema version is upgraded first.

    Raises:
        RuntimeError: it cannot be opened, as the original raises; the message says what to do.
    """
    mode = config.sqlite.connection_mode
    # Only an in-process store loads storage and SQLAlchemy.
    from headwater.embedded import open_transport

    try:
        url = database_url(config)
        open_it = partial(
            open_transport,
            url,
            create=mode not in (_Sqlite.READONLY, _Sqlite.READWRITE),
            create_database=may_create_database(config),
            private=True,
        )
        transport = opened_upgraded(url, open_it) if enable_upgrade else open_it()
    except HeadwaterError as error:
        raise RuntimeError(str(error)) from error
    return _ReadOnly(transport) if mode == _Sqlite.READONLY else transport


def opened_upgraded(url: str, open_it: Callable[[], Opened]) -> Opened:
    """What ``open_it`` opens; if the database at ``url`` has an older schema version, once it is upgraded.

    Raises:
        HeadwaterError: from ``open_it``, or from the upgrade.
    """
    try:
        return open_it()
    except SchemaTooOld:
        pass
    from headwater.storage import upgrading

    for step in upgrading.upgrade(url):
        log.info("the database was upgraded", extra={"step": step.title})
    return open_it()


def database_url(config: pb.ConnectionConfig) -> str:
    """The URL of the database that ``config`` names, with its passwords: it is not for logs.

    Raises:
        InvalidRequest: it names none, lacks a part, or two parts contradict each other.
    """
    which = config.WhichOneof("config")
    if which == "fake_database":
        return _IN_MEMORY_URL
    if which == "sqlite":
        return _sqlite_url(config.sqlite)
    if which == "mysql":
        return _mysql_url(config.mysql)
    if which == "postgresql":
        return _postgresql_url(config.postgresql)
    raise InvalidRequest(
        "the ConnectionConfig is empty: set one of fake_database, sqlite, mysql and postgresql"
    )


def may_create_database(config: pb.ConnectionConfig) -> bool:
    """Whether a database that its server does not have yet is to be made. Tables are made in any case."""
    return not (config.mysql.skip_db_creation or config.postgresql.skip_db_creation)


def _sqlite_url(config: _Sqlite) -> str:
    """The database URL of a path, or of a URI as SQLite reads them (https://sqlite.org/uri.html)."""
    if config.filename_uri in _IN_MEMORY:
        return _IN_MEMORY_URL
    name, query = config.filename_uri, ""
    must_exist = config.connection_mode in (_Sqlite.READONLY, _Sqlite.READWRITE)
    if name.startswith("file:"):
        name, _, query = name.partition("?")
    elif "?" in name or must_exist:  # In a URL a question mark ends the path.
        name = f"file:{quote(name)}"
    parameters = dict(parse_qsl(query))
    if name.startswith("file:"):
        parameters["uri"] = "true"
        if must_exist:
            parameters.setdefault("mode", "rw")
    return _url("sqlite", database=name, query=parameters)


def _mysql_url(config: pb.MySQLDatabaseConfig) -> str:
    if bool(config.host) == bool(config.socket):
        raise InvalidRequest("a MySQL configuration needs exactly one of host and socket")
    if not config.database:
        raise InvalidRequest("a MySQL configuration needs the name of the database")
    ssl = config.ssl_options
    query = {
        "unix_socket": config.socket,
        "ssl_key": ssl.key,
        "ssl_cert": ssl.cert,
        "ssl_ca": ssl.ca,
        "ssl_capath": ssl.capath,
        "ssl_cipher": ssl.cipher,
        "ssl_verify_identity": "true" if ssl.verify_server_cert else "",
    }
    return _url(
        "mysql",
        username=config.user or None,
        password=config.password or None,
        host=config.host or None,
        port=(config.port or _MYSQL_PORT) if config.host else None,
        database=config.database,
        query=query,
    )


def _postgresql_url(config: pb.PostgreSQLDatabaseConfig) -> str:
    if bool(config.host) == bool(config.hostaddr):
        raise InvalidRequest("a PostgreSQL configuration needs exactly one of host and hostaddr")
    for part, value in (("user", config.user), ("dbname", config.dbname)):
        if not value:
            raise InvalidRequest(f"a PostgreSQL configuration needs {part}")
    port = config.port or _POSTGRESQL_PORT
    ssl = config.ssloption
    # What a URL's own place for a host cannot hold, libpq takes as parameters: a directory with a socket,
    # or several hosts with a port each. https://www.postgresql.org/docs/current/libpq-connect.html
    is_plain = bool(config.host) and not config.host.startswith(("/", "@")) and "," not in config.host
    if is_plain and not port.isdecimal():
        raise InvalidRequest(f"a PostgreSQL configuration has the port {port!r}, which is not a number")
    query = {
        "host": "" if is_plain else config.host,
        "hostaddr": config.hostaddr,
        "port": "" if is_plain else port,
        "passfile": config.passfile,
        "sslmode": ssl.sslmode,
        "sslcert": ssl.sslcert,
        "sslkey": ssl.sslkey,
        "sslpassword": ssl.sslpassword,
        "sslrootcert": ssl.sslrootcert,
    }
    return _url(
        "postgresql",
        username=config.user,
        password=config.password or None,
        host=config.host if is_plain else None,
        port=int(port) if is_plain else None,
        database=config.dbname,
        query=query,
    )


def _url(backend: str, *, query: dict[str, str], **parts: Any) -> str:
    """A URL in which any character of a name or password survives; empty parameters are left out."""
    # Only where a database is opened in process, which needs SQLAlchemy anyway.
    import sqlalchemy

    given = {name: value for name, value in query.items() if value}
    return sqlalchemy.URL.create(backend, **parts, query=given).render_as_string(hide_password=False)


class _ReadOnly:
    """A transport that refuses to write."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.target = transport.target

    def call(self, rpc: str, request: Message, *, timeout_s: float | None = None) -> Message:
        if not METHODS[rpc].is_read:
            raise FailedPrecondition(f"{rpc} is refused: the store was opened with connection_mode READONLY")
        return self._transport.call(rpc, request, timeout_s=timeout_s)

    def stream(self, rpc: str, request: Message, *, timeout_s: float | None = None) -> Iterator[Message]:
        return self._transport.stream(rpc, request, timeout_s=timeout_s)

    def close(self) -> None:
        self._transport.close()
