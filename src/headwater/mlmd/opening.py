"""From ML Metadata's configuration messages to a transport."""

from urllib.parse import parse_qsl, quote

import grpc
from google.protobuf.message import Message

from headwater.client import GrpcTransport, Transport
from headwater.errors import FailedPrecondition, HeadwaterError
from headwater.v1 import metadata_store_pb2 as pb

SCHEMA_VERSION = 10
"""The version of the database's tables that headwater serves, MLMD's newest."""

_IN_MEMORY = ("", ":memory:")
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


def open_database(config: pb.ConnectionConfig) -> Transport:
    """A transport to the database that ``config`` names, opened in this process.

    ``fake_database``, and ``sqlite`` without a file name, are an empty store of the caller's own.

    Raises:
        RuntimeError: it cannot be opened, as the original raises; the message says what to do.
    """
    which = config.WhichOneof("config")
    if which == "fake_database":
        return _open("sqlite://")
    if which == "sqlite":
        return _open_sqlite(config.sqlite)
    if which == "mysql":
        raise RuntimeError("a mysql connection in process needs headwater[mysql], which is not released yet")
    if which == "postgresql":
        raise RuntimeError(
            "a postgresql connection in process needs headwater[postgresql], which is not released yet"
        )
    raise RuntimeError(
        "the ConnectionConfig is empty: set one of fake_database, sqlite, mysql and postgresql"
    )


def _open_sqlite(config: _Sqlite) -> Transport:
    if config.filename_uri in _IN_MEMORY:
        return _open("sqlite://")
    mode = config.connection_mode
    transport = _open(
        _sqlite_url(config.filename_uri, mode), create=mode not in (_Sqlite.READONLY, _Sqlite.READWRITE)
    )
    return _ReadOnly(transport) if mode == _Sqlite.READONLY else transport


def _sqlite_url(filename_uri: str, mode: _Sqlite.ConnectionMode) -> str:
    """The database URL of a path, or of a URI as SQLite reads them (https://sqlite.org/uri.html)."""
    # Only where a database is opened in process, which needs SQLAlchemy anyway.
    import sqlalchemy

    name, query = filename_uri, ""
    if filename_uri.startswith("file:"):
        name, _, query = filename_uri.partition("?")
    elif "?" in filename_uri:  # In a URL a question mark ends the path.
        name = f"file:{quote(filename_uri)}"
    parameters = dict(parse_qsl(query))
    if name.startswith("file:"):
        parameters["uri"] = "true"
        if mode in (_Sqlite.READONLY, _Sqlite.READWRITE):
            parameters.setdefault("mode", "rw")
    return sqlalchemy.URL.create("sqlite", database=name, query=parameters).render_as_string()


def _open(database_url: str, *, create: bool = True) -> Transport:
    # Only an in-process store loads storage and SQLAlchemy.
    from headwater.embedded import open_transport

    try:
        return open_transport(database_url, create=create, private=True)
    except HeadwaterError as error:
        raise RuntimeError(str(error)) from error


class _ReadOnly:
    """A transport that refuses to write."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def call(self, rpc: str, request: Message, *, timeout_s: float | None = None) -> Message:
        if rpc.startswith("Put"):
            raise FailedPrecondition(f"{rpc} is refused: the store was opened with connection_mode READONLY")
        return self._transport.call(rpc, request, timeout_s=timeout_s)

    def close(self) -> None:
        self._transport.close()
