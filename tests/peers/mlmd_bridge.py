"""ML Metadata's C++ engine behind a thin gRPC front: the peer to compare with.

Runs in a virtual environment of its own that has the ``ml-metadata`` wheel (``make peers``), since that
wheel pins protobuf below 5. One engine is kept open for the life of the process and takes one request at
a time; requests and answers pass through as bytes. ``/peer/Reset`` with an empty request replaces a store in
memory by a fresh one, so that a series of tests needs one process only.

    python mlmd_bridge.py --database /tmp/peer.db     # prints "ready PORT"
    python mlmd_bridge.py                             # in memory
"""

import argparse
import threading
from concurrent import futures

import grpc
from ml_metadata.metadata_store.pywrap.metadata_store_extension import metadata_store as engine
from ml_metadata.proto import metadata_store_pb2 as pb

SERVICE = "ml_metadata.MetadataStoreService"
CODES = {code.value[0]: code for code in grpc.StatusCode}


class Bridge(grpc.GenericRpcHandler):
    def __init__(self, database: str | None) -> None:
        self._config = pb.ConnectionConfig()
        self._config.sqlite.SetInParent()
        if database:
            self._config.sqlite.filename_uri = database
            self._config.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        self._lock = threading.Lock()
        self._open()

    def _open(self) -> None:
        self._store = engine.CreateMetadataStore(
            self._config.SerializeToString(), pb.MigrationOptions().SerializeToString()
        )

    def _reset(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        if self._config.sqlite.filename_uri:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "only a store in memory can be reset")
        with self._lock:
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
    parser.add_argument("--database", help="SQLite file; in memory when left out")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--threads", type=int, default=4)
    arguments = parser.parse_args()
    server = grpc.server(
        futures.ThreadPoolExecutor(arguments.threads),
        options=[("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)],
    )
    server.add_generic_rpc_handlers([Bridge(arguments.database)])
    port = server.add_insecure_port(f"127.0.0.1:{arguments.port}")
    server.start()
    print(f"ready {port}", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
