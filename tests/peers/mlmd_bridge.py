"""ML Metadata's C++ engine behind a thin gRPC front: the peer to compare with.

Runs in a virtual environment of its own that has the ``ml-metadata`` wheel (``make peers``), since that
wheel pins protobuf below 5. One engine is kept open for the life of the process and takes one request at
a time; requests and answers pass through as bytes. ``/peer/Reset`` with an empty request replaces a store in
memory by a fresh one, and with a database URL opens that database instead, so that a series of tests needs
one process only.

    python mlmd_bridge.py --database /tmp/peer.db     # prints "ready PORT"
    python mlmd_bridge.py --database-url postgresql://user@127.0.0.1:5432/store
    python mlmd_bridge.py --database-url mysql://root@127.0.0.1:3306/store
    python mlmd_bridge.py                             # in memory
"""

import argparse
import getpass
import threading
from concurrent import futures
from urllib.parse import parse_qs, quote, unquote, urlsplit

import grpc
from ml_metadata.metadata_store.pywrap.metadata_store_extension import metadata_store as engine
from ml_metadata.proto import metadata_store_pb2 as pb

SERVICE = "ml_metadata.MetadataStoreService"
CODES = {code.value[0]: code for code in grpc.StatusCode}


def connection_config(url: str) -> pb.ConnectionConfig:
    """The engine's settings for the database at a URL, which must exist; its tables need not."""
    config = pb.ConnectionConfig()
    parts = urlsplit(url)
    backend, database = parts.scheme.partition("+")[0], unquote(parts.path[1:])
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if backend == "sqlite":
        config.sqlite.SetInParent()
        if database:
            config.sqlite.filename_uri = database
            config.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    elif backend in ("postgresql", "postgres"):
        theirs = config.postgresql
        theirs.host, theirs.port = query.get("host") or parts.hostname or "", str(parts.port or 5432)
        theirs.user, theirs.password, theirs.dbname = user or getpass.getuser(), password, database
        theirs.skip_db_creation = True
        for name in ("sslmode", "sslcert", "sslkey", "sslpassword", "sslrootcert"):
            if name in query:
                setattr(theirs.ssloption, name, query[name])
    elif backend in ("mysql", "mariadb"):
        theirs = config.mysql
        if "unix_socket" in query:
            theirs.socket = query["unix_socket"]
        else:
            theirs.host, theirs.port = parts.hostname or "127.0.0.1", parts.port or 3306
        theirs.user, theirs.password, theirs.database = user, password, database
        theirs.skip_db_creation = True
        for name in ("key", "cert", "ca"):
            if f"ssl_{name}" in query:
                setattr(theirs.ssl_options, name, query[f"ssl_{name}"])
    else:
        raise SystemExit(f"ML Metadata opens sqlite, postgresql and mysql URLs, not {parts.scheme!r}")
    return config


class Bridge(grpc.GenericRpcHandler):
    def __init__(self, config: pb.ConnectionConfig) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._open()

    def _open(self) -> None:
        self._store = engine.CreateMetadataStore(
            self._config.SerializeToString(), pb.MigrationOptions().SerializeToString()
        )

    def _reset(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        if not request and (not self._config.HasField("sqlite") or self._config.sqlite.filename_uri):
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "only a store in memory can be reset")
        with self._lock:
            if request:
                self._config = connection_config(request.decode())
            # The old store goes first: it may hold the connection that keeps its database from being dropped.
            self._store = None
            self._open()
        return b""

    def service(self, handler_call_details):
        if handler_call_details.method == "/peer/Reset":
            return grpc.unary_unary_rpc_method_handler(self._reset)
        service, _, rpc = handler_call_details.method.lstrip("/").partition("/")
        function = getattr(engine, rpc, None) if service == SERVICE else None
        if function is None:
            return None

        def call(request: bytes, context: grpc.ServicerContext) -> bytes:
            with self._lock:
                answer, message, code = function(self._store, request)
            if code:
                context.abort(CODES[code], message.decode("utf-8", "replace"))
            return answer

        return grpc.unary_unary_rpc_method_handler(call)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--database", help="SQLite file; in memory when left out")
    where.add_argument("--database-url", help="a sqlite, postgresql or mysql URL of a database that exists")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--threads", type=int, default=4)
    arguments = parser.parse_args()
    config = connection_config(arguments.database_url or "sqlite://")
    if arguments.database:
        config = connection_config(f"sqlite:///{quote(arguments.database)}")
    server = grpc.server(
        futures.ThreadPoolExecutor(arguments.threads),
        options=[("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)],
    )
    server.add_generic_rpc_handlers([Bridge(config)])
    port = server.add_insecure_port(f"127.0.0.1:{arguments.port}")
    server.start()
    print(f"ready {port}", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
