"""The gRPC server around ``headwater.service``: listening, TLS, health, reflection, logs, a clean stop."""

import logging
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from headwater.config import ServerConfig
from headwater.errors import (
    Cancelled,
    DeadlineExceeded,
    FailedPrecondition,
    HeadwaterError,
    InvalidRequest,
)
from headwater.service.descriptors import descriptors_as_served
from headwater.service.dispatch import Service
from headwater.service.rpcs import load_all
from headwater.service.status import code_of
from headwater.storage.callers import Caller
from headwater.storage.opening import open_database
from headwater.wire import METHODS, SERVICES

log = logging.getLogger(__name__)

_LONGEST_DEADLINE_S = 7 * 24 * 3600
REQUEST_ID = "headwater-request-id"
"""Metadata of a write: an id of the caller's choice, under which it may be sent again."""


class _GrpcCaller(Caller):
    """The client of one call."""

    def __init__(self, context: grpc.ServicerContext) -> None:
        self._context = context

    def still_waits(self) -> bool:
        return bool(self._context.is_active())

    def remaining_s(self) -> float | None:
        # Of a call without deadline gRPC says that it has some hundred million years.
        remaining = self._context.time_remaining()
        return remaining if remaining is not None and remaining < _LONGEST_DEADLINE_S else None

    def why_not(self) -> HeadwaterError:
        remaining = self._context.time_remaining()
        if remaining is not None and remaining <= 0:
            return DeadlineExceeded("the deadline passed before the answer was ready")
        return Cancelled("the caller went away")


class _Methods(grpc.GenericRpcHandler):
    """The RPCs by path. Requests and answers pass as bytes, so that a bad request is ours to refuse."""

    def __init__(self, service: Service, slow_request_ms: int, most_streams: int) -> None:
        self._slow_request_ms = slow_request_ms
        # A stream keeps its thread for as long as its reader takes; others must get theirs.
        self._streams = threading.BoundedSemaphore(most_streams)
        self._methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            method.path: grpc.unary_stream_rpc_method_handler(self._streaming(service, method.name))
            if method.is_stream
            else grpc.unary_unary_rpc_method_handler(self._answering(service, method.name))
            for method in METHODS.values()
        }

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        return self._methods.get(handler_call_details.method)

    def _answering(self, service: Service, name: str):  # type: ignore[no-untyped-def]  # grpc's own behaviour type
        def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
            began = time.perf_counter()
            code = grpc.StatusCode.OK
            try:
                request_id = _request_id(context)
                if request_id is not None:
                    # So the client knows that this server recognises a request that is sent again.
                    context.set_trailing_metadata(((REQUEST_ID, request_id),))
                return service.answer_bytes(name, request, _GrpcCaller(context), request_id)
            except HeadwaterError as error:
                code = code_of(error)
                context.abort(code, _fit(str(error)))
            finally:
                self._log(name, code, began, len(request))

        return answer

    def _streaming(self, service: Service, name: str):  # type: ignore[no-untyped-def]  # grpc's own behaviour type
        def answer(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
            began = time.perf_counter()
            code = grpc.StatusCode.OK
            if not self._streams.acquire(blocking=False):
                context.abort(
                    grpc.StatusCode.RESOURCE_EXHAUSTED,
                    "as many streams as this server keeps threads for are being read; try again",
                )
            try:
                yield from service.stream_bytes(name, request, _GrpcCaller(context))
            except HeadwaterError as error:
                code = code_of(error)
                context.abort(code, _fit(str(error)))
            finally:
                self._streams.release()
                self._log(name, code, began, len(request))

        return answer

    def _log(self, name: str, code: grpc.StatusCode, began: float, size_bytes: int) -> None:
        took_ms = (time.perf_counter() - began) * 1_000
        is_slow = took_ms >= self._slow_request_ms
        level = logging.WARNING if is_slow else logging.DEBUG
        if log.isEnabledFor(level):
            log.log(
                level,
                "slow request" if is_slow else "request",
                extra={
                    "rpc": name,
                    "code": code.name,
                    "took_ms": round(took_ms, 3),
                    "request_bytes": size_bytes,
                },
            )


def _request_id(context: grpc.ServicerContext) -> str | None:
    for key, value in context.invocation_metadata():
        if key == REQUEST_ID:
            return value if isinstance(value, str) else value.decode("ascii", "replace")
    return None


# gRPC's clients refuse metadata past 8 KiB, in which a byte beyond ASCII takes three.
_LONGEST_DETAILS = 2_000


def _fit(details: str) -> str:
    encoded = details.encode()
    return (
        details
        if len(encoded) <= _LONGEST_DETAILS
        else encoded[:_LONGEST_DETAILS].decode(errors="ignore") + "..."
    )


class Server:
    """A store served over gRPC. ``port`` is the one it listens on once it is made.

    Raises:
        DatabaseRefused, InvalidRequest: the database cannot be served.
        FailedPrecondition: the address is taken, or a TLS file cannot be read.
    """

    def __init__(self, config: ServerConfig, *, private: bool = False) -> None:
        credentials = _credentials(config)
        load_all()
        self._config = config
        self._database = open_database(
            config.database_url,
            create_database=config.create_database,
            private=private,
            cache_bytes=config.cache_bytes,
            connections=config.database_connections,
        )
        self._grpc = grpc.server(
            futures.ThreadPoolExecutor(config.threads, thread_name_prefix="rpc"),
            options=_options(config),
        )
        self._health = health.HealthServicer()
        most_streams = max(1, config.threads // 2)
        self._grpc.add_generic_rpc_handlers(
            [_Methods(Service(self._database), config.slow_request_ms, most_streams)]
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._grpc)
        names = (*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._grpc, pool=descriptors_as_served())
        host = f"[{config.host}]" if ":" in config.host and "[" not in config.host else config.host
        address = f"{host}:{config.port}"
        try:
            if credentials is None:
                self.port = self._grpc.add_insecure_port(address)
            else:
                self.port = self._grpc.add_secure_port(address, credentials)
        except RuntimeError as error:
            self._database.close()
            raise FailedPrecondition(
                f"cannot listen on {address}: the port is taken or the address is not of this machine; "
                "choose another with --port or --host"
            ) from error

    def start(self) -> None:
        self._grpc.start()
        for name in ("", *SERVICES):
            self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    def stop(self) -> None:
        """Refuse new calls with UNAVAILABLE, let those in flight finish, close the database."""
        self._health.enter_graceful_shutdown()
        self._grpc.stop(self._config.stop_grace_s).wait()
        self._database.close()


def _options(config: ServerConfig) -> list[tuple[str, int | str]]:
    """Arguments of gRPC's server, each once: which of two it would take is not promised."""
    options: dict[str, int | str] = {
        "grpc.max_receive_message_length": config.max_message_bytes,
        "grpc.max_send_message_length": -1,
        # Unless it is meant, a second server on the same port would start, and take half of the calls.
        "grpc.so_reuseport": int(config.workers > 1),
    }
    return list({**options, **dict(config.grpc_options)}.items())


def _credentials(config: ServerConfig) -> grpc.ServerCredentials | None:
    if config.tls_cert_file is None and config.tls_key_file is None:
        if config.tls_client_ca_file is not None:
            raise InvalidRequest("tls_client_ca_file needs tls_cert_file and tls_key_file too")
        return None
    if config.tls_cert_file is None or config.tls_key_file is None:
        raise InvalidRequest("TLS needs both tls_cert_file and tls_key_file")
    ca_file = config.tls_client_ca_file
    key, cert = _content(config.tls_key_file), _content(config.tls_cert_file)
    try:
        # gRPC would take any bytes and fail later, as if the port were taken.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            config.tls_cert_file, config.tls_key_file, password=lambda: b""
        )
    except (ssl.SSLError, OSError) as error:
        raise FailedPrecondition(
            f"{str(config.tls_cert_file)!r} and {str(config.tls_key_file)!r} are not a readable certificate "
            "and the private key that belongs to it, both in PEM and without a password"
        ) from error
    return grpc.ssl_server_credentials(
        [(key, cert)],
        root_certificates=None if ca_file is None else _content(ca_file),
        require_client_auth=ca_file is not None,
    )


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FailedPrecondition(f"cannot read the TLS file {str(path)!r}: {error.strerror}") from error
