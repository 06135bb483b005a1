"""Servers in processes of their own, and clients that call them."""

import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import grpc
from google.protobuf.message import Message

from headwater.wire import METHODS

T = TypeVar("T")

PATIENCE_S = 120


@dataclass
class Client:
    """Calls RPCs over one channel, as calls of ``support`` do, with metadata where it is given."""

    channel: grpc.Channel

    def __call__(
        self,
        rpc: str,
        request: Message,
        *,
        request_id: str | None = None,
        timeout_s: float | None = PATIENCE_S,
    ) -> Message:
        metadata = None if request_id is None else (("headwater-request-id", request_id),)
        return self.future(rpc, request, metadata=metadata, timeout=timeout_s).result()

    def future(self, rpc: str, request: Message, **options: object) -> grpc.Future:
        method = self.channel.unary_unary(
            METHODS[rpc].path,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=METHODS[rpc].response_class.FromString,
        )
        return method.future(request, **options)


def client_of(port: int, name: str = "") -> Client:
    """A client of a server on this machine, with a connection of its own."""
    options = [
        ("grpc.max_receive_message_length", -1),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 500),
        ("grpc.client_name", name),
        ("grpc.use_local_subchannel_pool", 1),
    ]
    return Client(grpc.insecure_channel(f"127.0.0.1:{port}", options=options))


@dataclass
class Serving:
    """``headwater serve`` in a process that has said it is ready."""

    process: subprocess.Popen
    port: int
    _closing: ExitStack = field(default_factory=ExitStack)

    def client(self, name: str = "") -> Client:
        """A client with a connection of its own."""
        client = client_of(self.port, name)
        self._closing.callback(client.channel.close)
        return client

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        self._closing.close()
        self.process.kill()
        self.process.wait()


Serve = Callable[..., Serving]


def at_once(count: int, work: Callable[..., T], *arguments: object) -> list[T]:
    """What ``work(number, *arguments)`` returns for so many numbers, all called at the same moment."""
    start = threading.Barrier(count)

    def waiting(number: int) -> T:
        start.wait()
        return work(number, *arguments)

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(waiting, range(count)))


@contextmanager
def servers() -> Iterator[Serve]:
    """Start servers as ``serve(url, *arguments)``; they end with the block."""
    with ExitStack() as closing, tempfile.TemporaryFile("w+") as log:

        def serve(url: str, *arguments: object) -> Serving:
            command = [sys.executable, "-m", "headwater.cli", "serve", "--database-url", url, "--port", "0"]
            process = subprocess.Popen(
                [*command, *map(str, arguments)], stdout=subprocess.PIPE, stderr=log, text=True
            )
            line = process.stdout.readline()
            if not line.startswith("headwater ready on "):
                process.wait()
                log.seek(0)
                raise AssertionError(f"it ended with {process.returncode}:\n{log.read()[-4000:]}")
            serving = Serving(process, int(line.rpartition(":")[2]))
            closing.callback(serving.close)
            return serving

        yield serve
