"""The store of a server, over gRPC."""

import json
import os
import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import grpc
from google.protobuf.message import Message

from headwater import errors
from headwater.config import MIB
from headwater.wire import METHODS, SERVICES

_Method: TypeAlias = "grpc.UnaryUnaryMultiCallable[bytes, Message]"
_StreamMethod: TypeAlias = "grpc.UnaryStreamMultiCallable[bytes, Message]"

ERRORS: Mapping[grpc.StatusCode, type[errors.HeadwaterError]] = {
    # We cancel nothing: a server that stops just now says this of calls that it has not begun.
    grpc.StatusCode.CANCELLED: errors.Unavailable,
    grpc.StatusCode.UNKNOWN: errors.HeadwaterError,
    grpc.StatusCode.INVALID_ARGUMENT: errors.InvalidRequest,
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.DeadlineExceeded,
    grpc.StatusCode.NOT_FOUND: errors.NotFound,
    grpc.StatusCode.ALREADY_EXISTS: errors.AlreadyExists,
    grpc.StatusCode.PERMISSION_DENIED: errors.PermissionDenied,
    grpc.StatusCode.UNAUTHENTICATED: errors.Unauthenticated,
    grpc.StatusCode.RESOURCE_EXHAUSTED: errors.ResourceExhausted,
    grpc.StatusCode.FAILED_PRECONDITION: errors.FailedPrecondition,
    grpc.StatusCode.ABORTED: errors.Aborted,
    grpc.StatusCode.OUT_OF_RANGE: errors.OutOfRange,
    grpc.StatusCode.UNIMPLEMENTED: errors.Unimplemented,
    grpc.StatusCode.INTERNAL: errors.Internal,
    grpc.StatusCode.UNAVAILABLE: errors.Unavailable,
    grpc.StatusCode.DATA_LOSS: errors.DataLoss,
}
"""What each status code other than OK is raised as."""

REQUEST_ID = "headwater-request-id"
"""Metadata of a write: an id under which the server recognises it when it is sent again (decision 0010)."""

MOST_RETRIES = 4
"""gRPC makes five attempts at most, whatever a service config asks."""

# How long a write is repeated that has no time limit of its own: a server is started again in less.
_PATIENCE_S = 30.0
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0
_UNTIL_CLOSED_S = 0.05


class GrpcTransport:
    """Calls a server at ``target``, for example ``localhost:8080``. Safe for threads.

    Safe across fork too, if no call is in flight in another thread: a child has a connection of its own.

    Nothing is sent before the first call, so a wrong address shows there, as ``Unavailable``.

    Args:
        target: ``host:port``, or any other name that gRPC resolves.
        timeout_s: limit of a call that names none of its own; ``None`` waits for ever.
        tls: encrypt, and check the server's certificate. On when any of the three files is given.
        ca_file: certificate authorities in PEM; those of gRPC when left out.
        cert_file, key_file: this client's certificate chain and private key in PEM, for a server that asks.
        max_message_bytes: largest answer that is accepted; a larger one is ``ResourceExhausted``.
        retries: how often a call is repeated, 0 to 4, with pauses that double from 0.1 s. Repeated are
            calls that were ``Aborted``, and reads that met ``Unavailable``. A write that met
            ``Unavailable`` may have been carried out. A server of headwater's recognises it when it is
            sent again, and answers as it did then; so there, unless this is 0, it is repeated until
            ``timeout_s`` is over, or for 30 s if there is no limit. Elsewhere, or if no call was answered
            before, it is repeated only where gRPC knows that it never reached the server.

    Raises:
        InvalidRequest: ``retries`` out of range, or one of ``cert_file`` and ``key_file`` without the other.
        FailedPrecondition: a file cannot be read.
    """

    def __init__(
        self,
        target: str,
        *,
        timeout_s: float | None = None,
        tls: bool = False,
        ca_file: str | Path | None = None,
        cert_file: str | Path | None = None,
        key_file: str | Path | None = None,
        max_message_bytes: int = 256 * MIB,
        retries: int = 3,
    ) -> None:
        options = [
            ("grpc.max_receive_message_length", max_message_bytes),
            ("grpc.max_send_message_length", -1),
            # Otherwise the channel of a forked child goes on with its parent's connection.
            ("grpc.use_local_subchannel_pool", 1),
            *_retry_options(retries),
        ]
        if tls or ca_file or cert_file or key_file:
            credentials = _credentials(ca_file, cert_file, key_file)
            self._open = lambda: grpc.secure_channel(target, credentials, options=options)
        else:
            self._open = lambda: grpc.insecure_channel(target, options=options)
        self._attach(self._open(), timeout_s, repeats_writes=retries > 0)
        self.target = target

    @classmethod
    def over(cls, channel: grpc.Channel, *, timeout_s: float | None = None) -> "GrpcTransport":
        """A transport over a channel made elsewhere, with its options. ``close`` closes the channel.

        What is repeated is only what those options say.
        """
        transport = cls.__new__(cls)
        transport._open = None
        transport._attach(channel, timeout_s, repeats_writes=False)
        return transport

    _open: Callable[[], grpc.Channel] | None

    def _attach(self, channel: grpc.Channel, timeout_s: float | None, *, repeats_writes: bool) -> None:
        self._process_id = os.getpid()
        self._is_resting = False
        self.target = ""
        self._channel = channel
        self._timeout_s = timeout_s
        self._repeats_writes = repeats_writes
        self._is_recognised = False
        """Whether the server has shown that it recognises a write that is sent again."""
        self._closed = False
        self._methods: dict[str, _Method] = {
            name: channel.unary_unary(
                method.path,
                # Requests are serialized once, since they must be the same bytes when they are sent again.
                request_serializer=None,
                response_deserializer=method.response_class.FromString,
            )
            for name, method in METHODS.items()
            if not method.is_stream
        }
        self._streams: dict[str, _StreamMethod] = {
            name: channel.unary_stream(
                method.path,
                request_serializer=None,
                response_deserializer=method.response_class.FromString,
            )
            for name, method in METHODS.items()
            if method.is_stream
        }

    def call(self, rpc: str, request: Message, *, timeout_s: float | None = None) -> Message:
        """The response of the server. See ``Transport.call``."""
        self._be_own()
        method = self._methods.get(rpc)
        if method is None:
            raise errors.Unimplemented(f"there is no RPC named {rpc!r}")
        limit_s = self._limit_s(rpc, timeout_s)
        data = request.SerializeToString()
        if not self._repeats_writes:
            return self._send(method, data, limit_s)
        if METHODS[rpc].is_read:
            # A read needs no id; but the answer shows what kind of server this is.
            return self._send(method, data, limit_s, None if self._is_recognised else uuid.uuid4().hex)
        return self._write(method, data, limit_s)

    def stream(self, rpc: str, request: Message, *, timeout_s: float | None = None) -> Iterator[Message]:
        """The messages of the server. See ``Transport.stream``."""
        self._be_own()
        method = self._streams.get(rpc)
        if method is None:
            raise errors.Unimplemented(f"there is no streaming RPC named {rpc!r}")
        try:
            messages = method(request.SerializeToString(), timeout=self._limit_s(rpc, timeout_s))
        except ValueError as error:  # What grpc raises on a closed channel.
            raise errors.Unavailable("the connection to the store is closed") from error
        try:
            yield from messages
        except grpc.RpcError as error:
            raise _as_ours(error) from error
        finally:
            messages.cancel()

    def rest(self) -> None:
        """Break the connection. The next call makes another; calls in flight fail.

        For a process that is about to fork while a server takes connections and says nothing: gRPC waits for
        its first word in threads of its own, and a child that is forked meanwhile may crash.
        """
        if self._open is None or self._is_resting or self._process_id != os.getpid():
            return
        self._is_resting = True
        self._channel.close()
        # It is closed by those threads, and there is no way to wait for them.
        time.sleep(_UNTIL_CLOSED_S)

    def _be_own(self) -> None:
        """After a rest open another channel; in a forked child too, which leaves its parent's alone."""
        is_own = self._process_id == os.getpid()
        if self._open is None or (is_own and not self._is_resting):
            return
        if not is_own:
            # Neither closed nor collected: that would be the parent's to do.
            _inherited.append(self._channel)
        target, was_closed = self.target, self._closed
        self._attach(self._open(), self._timeout_s, repeats_writes=self._repeats_writes)
        self.target = target
        if was_closed:
            self.close()

    def _limit_s(self, rpc: str, timeout_s: float | None) -> float | None:
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        if limit_s is not None and limit_s <= 0:  # gRPC may be faster than its own clock.
            raise errors.DeadlineExceeded(f"{rpc} was given no time: its timeout is {limit_s} s")
        return limit_s

    def _write(self, method: _Method, data: bytes, limit_s: float | None) -> Message:
        """Send a write, again and again if need be, under one id."""
        request_id = uuid.uuid4().hex
        deadline = None if limit_s is None else time.monotonic() + limit_s
        try:
            return self._send(method, data, limit_s, request_id)
        except errors.Unavailable as error:
            if not self._is_recognised:
                raise
            failure = error
        if deadline is None:
            deadline = time.monotonic() + _PATIENCE_S
        pause_s = _FIRST_PAUSE_S
        while not self._closed and time.monotonic() + pause_s < deadline:
            # Not all clients of a server that was restarted should come at the same moment.
            time.sleep(pause_s * random.uniform(0.5, 1.0))
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            try:
                return self._send(method, data, deadline - time.monotonic(), request_id, waits=True)
            except errors.Unavailable as error:
                failure = error
            except errors.DeadlineExceeded:
                # There was nobody to connect to.
                break
        raise failure

    def _send(
        self,
        method: _Method,
        data: bytes,
        timeout_s: float | None,
        request_id: str | None = None,
        *,
        waits: bool = False,
    ) -> Message:
        """Send a request once; ``waits`` is for a connection to be made, if there is none now."""
        metadata = None if request_id is None else ((REQUEST_ID, request_id),)
        try:
            answer, call = method.with_call(
                data, timeout=timeout_s, metadata=metadata, wait_for_ready=waits or None
            )
        except grpc.RpcError as error:
            self._learn(error)
            raise _as_ours(error) from error
        except ValueError as error:  # What grpc raises on a closed channel.
            raise errors.Unavailable("the connection to the store is closed") from error
        self._learn(call)
        return answer

    def _learn(self, call: grpc.Call | grpc.RpcError) -> None:
        if not self._is_recognised and isinstance(call, grpc.Call):
            self._is_recognised = any(name == REQUEST_ID for name, _ in call.trailing_metadata() or ())

    def close(self) -> None:
        self._closed = True
        self._channel.close()

    def __enter__(self) -> "GrpcTransport":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_inherited: list[grpc.Channel] = []


def _as_ours(error: grpc.RpcError) -> errors.HeadwaterError:
    assert isinstance(error, grpc.Call)  # As every error that a call raises is.
    details = error.details() or ""
    if "Received message larger than max" in details:  # Older releases of gRPC do not say on which side.
        details += (
            "; send or ask for fewer nodes at a time, or raise max_message_bytes, "
            "here for answers and at the server for requests"
        )
    return ERRORS[error.code()](details)


def _retry_options(retries: int) -> list[tuple[str, int | str]]:
    if not 0 <= retries <= MOST_RETRIES:
        raise errors.InvalidRequest(f"retries must be from 0 to {MOST_RETRIES}, and is {retries}")
    if retries == 0:
        return [("grpc.enable_retries", 0)]
    policy = {
        "maxAttempts": retries + 1,
        "initialBackoff": "0.1s",
        "maxBackoff": "2s",
        "backoffMultiplier": 2,
    }
    reads = [
        {"service": method.service, "method": method.name} for method in METHODS.values() if method.is_read
    ]
    config = {
        "methodConfig": [
            {"name": reads, "retryPolicy": {**policy, "retryableStatusCodes": ["ABORTED", "UNAVAILABLE"]}},
            {
                "name": [{"service": service} for service in SERVICES],
                "retryPolicy": {**policy, "retryableStatusCodes": ["ABORTED"]},
            },
        ]
    }
    return [("grpc.enable_retries", 1), ("grpc.service_config", json.dumps(config))]


def _credentials(
    ca_file: str | Path | None, cert_file: str | Path | None, key_file: str | Path | None
) -> grpc.ChannelCredentials:
    if (cert_file is None) != (key_file is None):
        raise errors.InvalidRequest("a client certificate needs both cert_file and key_file")
    return grpc.ssl_channel_credentials(
        root_certificates=_content(ca_file),
        private_key=_content(key_file),
        certificate_chain=_content(cert_file),
    )


def _content(path: str | Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise errors.FailedPrecondition(
            f"cannot read the TLS file {str(path)!r}: {error.strerror}"
        ) from error
