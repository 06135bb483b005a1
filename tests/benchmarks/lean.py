"""A gRPC client that costs little: unary calls, one after the other, on one plain HTTP/2 connection.

The clients of a concurrent load share the cores with the server. grpc's own client takes about a quarter
of a millisecond of a core for each call, and its threads wait for one another; with this one, many
connections live in one thread, and a call costs a fifth of that. It knows only what a unary call needs:

- The server is told to keep no table of headers, so a call's headers are the same bytes every time, and a
  status is found in the trailers by its name (RFC 7541, section 6.2.2).
- The server may send as much as it likes; requests must stay below 16 kB, which is one frame (RFC 9113).

``tests/benchmarks/test_benchmarks_run.py`` compares its answers with those of grpc's client.
"""

import socket
import struct
from collections.abc import Iterator

MAX_REQUEST_BYTES = 16_000

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _ACK, _END_HEADERS, _PADDED, _PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20
_MAX_WINDOW = 2**31 - 1
_STATUS = b"grpc-status"


class ConnectionLost(Exception):
    """The server closed the connection, or said that it will."""


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">IBI", len(payload) << 8 | kind, flags, stream) + payload


def _literal(index: int, value: str) -> bytes:
    """A header whose name is in HPACK's static table, and which no table is to remember."""
    name = bytes([index]) if index < 15 else bytes([15, index - 15])
    return name + bytes([len(value)]) + value.encode()


def _named(name: str, value: str) -> bytes:
    return b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


class Connection:
    """One connection to ``target`` (``host:port``). Not blocking once it is open; ask the selector."""

    def __init__(self, target: str, *, timeout_s: float = 60) -> None:
        host, _, port = target.rpartition(":")
        self._target = target
        self._socket = socket.create_connection((host, int(port)), timeout=timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # No table of headers, no push, any amount of data in a stream.
        settings = struct.pack(">HIHIHI", 1, 0, 2, 0, 4, _MAX_WINDOW)
        window = struct.pack(">I", _MAX_WINDOW - 65_535)
        self._socket.sendall(
            _PREFACE + _frame(_SETTINGS, 0, 0, settings) + _frame(_WINDOW_UPDATE, 0, 0, window)
        )
        self._received = b""
        self._stream = -1
        self._headers: dict[str, bytes] = {}
        self._answer: list[bytes] = []
        self._is_ready = False
        while not self._is_ready:
            self.receive()
        self._socket.setblocking(False)

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, method: str, request: bytes) -> None:
        """Start a call of ``method``, a path such as ``/package.Service/Method``."""
        if len(request) > MAX_REQUEST_BYTES:
            raise ValueError(f"a request of {len(request)} bytes is more than one frame")
        if method not in self._headers:
            # :method POST, :scheme http, :path, :authority, content-type, te
            self._headers[method] = (
                b"\x83\x86"
                + _literal(4, method)
                + _literal(1, self._target)
                + _literal(31, "application/grpc")
                + _named("te", "trailers")
            )
        self._stream += 2
        self._answer = []
        message = b"\x00" + struct.pack(">I", len(request)) + request
        # What is on its way is little and was answered before more is sent, so the buffer has room.
        self._socket.sendall(
            _frame(_HEADERS, _END_HEADERS, self._stream, self._headers[method])
            + _frame(_DATA, _END_STREAM, self._stream, message)
        )

    def receive(self) -> tuple[int, bytes] | None:
        """Read what has come: the call's status and its answer, or ``None`` when it is still under way.

        Raises:
            ConnectionLost: it will not answer any more.
        """
        try:
            received = self._socket.recv(1 << 18)
        except BlockingIOError:
            return None
        if not received:
            raise ConnectionLost(f"{self._target} closed the connection")
        self._received += received
        outcome = None
        for kind, flags, stream, payload in self._frames():
            if kind == _DATA and stream == self._stream:
                self._answer.append(payload)
            elif kind == _HEADERS and stream == self._stream and flags & _END_STREAM:
                outcome = _status(payload), b"".join(self._answer)[5:]
            elif kind == _RST_STREAM and stream == self._stream:
                outcome = 1, b""
            elif kind == _SETTINGS and not flags & _ACK:
                self._is_ready = True
                self._socket.sendall(_frame(_SETTINGS, _ACK, 0, b""))
            elif kind == _PING and not flags & _ACK:
                self._socket.sendall(_frame(_PING, _ACK, 0, payload))
            elif kind == _GOAWAY:
                raise ConnectionLost(f"{self._target} said goodbye")
        return outcome

    def _frames(self) -> Iterator[tuple[int, int, int, bytes]]:
        buffer, at = self._received, 0
        while len(buffer) - at >= 9:
            length_and_kind, flags, stream = struct.unpack_from(">IBI", buffer, at)
            end = at + 9 + (length_and_kind >> 8)
            if end > len(buffer):
                break
            yield length_and_kind & 0xFF, flags, stream, buffer[at + 9 : end]
            at = end
        self._received = buffer[at:]

    def close(self) -> None:
        self._socket.close()


def _status(trailers: bytes) -> int:
    at = trailers.find(_STATUS)
    if at < 0:
        return 2  # UNKNOWN, as grpc takes an answer without a status
    at += len(_STATUS)
    return int(trailers[at + 1 : at + 1 + trailers[at]])
