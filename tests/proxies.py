"""A proxy between a client and a server that is far away, breaks, or loses an answer.

Each direction is late by the same delay: what is sent in one go also arrives in one go, as on a long line.
Used from tests as ``with Proxy(target) as proxy``; for benchmarks it is a program of its own:

    python tests/proxies.py --target 127.0.0.1:5432 --delay-ms 1      # prints "ready 127.0.0.1:PORT"

An address is ``host:port`` or, for a socket in the file system, ``unix:/path``.
"""

import argparse
import asyncio
import selectors
import signal
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

PATIENCE_S = 30
_TIMER_LATENESS_S = 0.0001
"""How late a timer goes off; what is due that soon is due now."""


class Proxy:
    """Forwards connections to ``target`` until told otherwise. Its methods may be called from any thread."""

    def __init__(self, target: str, *, listen: str = "127.0.0.1:0", delay_ms: float = 0) -> None:
        self.target = target
        self.delay_ms = delay_ms
        """How late each direction is; a change holds for what is sent after it. Connecting is not late."""
        self.connections = 0
        """How many connections were accepted so far."""
        self.round_trips = 0
        """How often a client spoke after it had been spoken to, over all connections so far.

        This counts how often clients waited for an answer only if the delay is long beside their own work:
        otherwise an answer may overtake what a client sends without waiting for it.
        """
        self._listen = listen
        self._swallows = False
        self._traps: list[Trap] = []
        self._links: set[_Link] = set()
        self._server: asyncio.Server | None = None
        # epoll and poll wait in whole milliseconds, which would make every delay longer.
        self._loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> "Proxy":
        self._thread.start()
        self._ask(self._open)
        return self

    def __exit__(self, *_: object) -> None:
        self._ask(self._close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def address(self) -> str:
        """Where clients connect; ready to be a client's setting."""
        return self._listen

    def url(self, url: str) -> str:
        """A database URL with the proxy in the server's place."""
        parts = urlsplit(url)
        login, at, _ = parts.netloc.rpartition("@")
        return parts._replace(netloc=f"{login}{at}{self.address}").geturl()

    def cut(self) -> None:
        """Break all connections, as when a server dies; new ones are accepted."""
        self._ask(self._cut)

    def refuse(self) -> None:
        """Refuse new connections, as where no server runs; those that stand stay."""
        self._ask(self._refuse)

    def accept(self) -> None:
        """Accept connections again after ``refuse``, at the same address."""
        self._ask(self._open)

    def swallow(self) -> None:
        """Lose whatever is sent on standing and new connections, as where a line is dead."""
        self._swallows = True

    def deliver(self) -> None:
        """Forward again after ``swallow``. What was lost stays lost, so better ``cut`` what stands first."""
        self._swallows = False

    def cut_before(self, sent: bytes) -> "Trap":
        """Break the next connection on which a client sends these bytes; the server never sees them."""
        return self._set(Trap(sent, delivers=False))

    def cut_after(self, sent: bytes) -> "Trap":
        """Break the next connection on which a client sends these bytes, after the server has obeyed them.

        The client gets no answer to them. They are found also where they arrive in pieces.
        """
        return self._set(Trap(sent, delivers=True))

    def _set(self, trap: "Trap") -> "Trap":
        self._traps.append(trap)
        return trap

    def _ask(self, what: Callable[[], Any]) -> None:
        async def asked() -> None:
            await what()

        asyncio.run_coroutine_threadsafe(asked(), self._loop).result(PATIENCE_S)

    async def _open(self) -> None:
        if self._server is not None:
            return
        if self._listen.startswith("unix:"):
            path = self._listen.removeprefix("unix:")
            self._server = await self._loop.create_unix_server(lambda: _Client(self), path)
            return
        host, _, port = self._listen.rpartition(":")
        self._server = await self._loop.create_server(lambda: _Client(self), host, int(port), backlog=500)
        self._listen = f"{host}:{self._server.sockets[0].getsockname()[1]}"

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
            if self._listen.startswith("unix:"):
                Path(self._listen.removeprefix("unix:")).unlink(missing_ok=True)

    async def _cut(self) -> None:
        for link in list(self._links):
            link.cut()

    async def _close(self) -> None:
        await self._refuse()
        await self._cut()
        # The transports close at the loop's next turn.
        await asyncio.sleep(0)


class Trap:
    """Bytes that end a connection when a client sends them."""

    def __init__(self, sent: bytes, *, delivers: bool) -> None:
        self.sent = sent
        self.delivers = delivers
        self._sprung = threading.Event()

    @property
    def sprung(self) -> bool:
        """Whether a connection has been cut by it."""
        return self._sprung.is_set()

    def wait(self, timeout_s: float = PATIENCE_S) -> bool:
        """Wait until a connection has been cut; whether one has."""
        return self._sprung.wait(timeout_s)

    def spring(self) -> None:
        self._sprung.set()


class _End(Protocol):
    transport: asyncio.Transport | None


class _Lane:
    """One direction of a connection: what waits until its time has come."""

    def __init__(self, proxy: Proxy, receiver: _End) -> None:
        self._proxy, self._receiver, self._loop = proxy, receiver, proxy._loop
        self._waiting: deque[tuple[float, Callable[[asyncio.Transport], None]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def send(self, action: Callable[[asyncio.Transport], None]) -> None:
        """Do this to the receiver when the delay has passed, after all that was sent before."""
        self._waiting.append((self._loop.time() + self._proxy.delay_ms / 1000, action))
        self.flush()

    def flush(self) -> None:
        """Do what is due; the rest waits. Nothing is done while the receiver is not connected yet."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        transport = self._receiver.transport
        while transport is not None and self._waiting:
            due, action = self._waiting[0]
            if due > self._loop.time() + _TIMER_LATENESS_S:
                self._timer = self._loop.call_at(due - _TIMER_LATENESS_S, self.flush)
                return
            self._waiting.popleft()
            if not transport.is_closing():
                action(transport)


class _Link:
    """A client's connection and the one to the server that belongs to it."""

    def __init__(self, proxy: Proxy, client: "_Client") -> None:
        self.proxy, self.client, self.server = proxy, client, _Server(self)
        self.upstream, self.downstream = _Lane(proxy, self.server), _Lane(proxy, client)
        self.trap: Trap | None = None
        self._client_spoke = False
        self._tail = b""
        proxy._links.add(self)
        proxy.connections += 1

    async def connect(self) -> None:
        loop, target = self.proxy._loop, self.proxy.target
        try:
            if target.startswith("unix:"):
                await loop.create_unix_connection(lambda: self.server, target.removeprefix("unix:"))
            else:
                host, _, port = target.rpartition(":")
                await loop.create_connection(lambda: self.server, host, int(port))
        except OSError:
            self.cut()
            return
        if self not in self.proxy._links:
            self.cut()
        self.upstream.flush()

    def from_client(self, data: bytes) -> None:
        if not self._client_spoke:
            self._client_spoke = True
            self.proxy.round_trips += 1
        if self.proxy._swallows or self.trap:
            return
        seen = self._tail + data
        self.trap = next((trap for trap in self.proxy._traps if trap.sent in seen), None)
        longest = max((len(trap.sent) for trap in self.proxy._traps), default=1)
        self._tail = seen[len(seen) - longest + 1 :] if longest > 1 else b""
        if self.trap is None:
            self.upstream.send(lambda transport: transport.write(data))
            return
        self.proxy._traps.remove(self.trap)
        if self.trap.delivers:
            # The server reads the end after the rest, so when it hangs up it has done all that it was asked.
            self.upstream.send(lambda transport: (transport.write(data), transport.write_eof()))
        else:
            self.cut()

    def from_server(self, data: bytes) -> None:
        self._client_spoke = False
        if not self.proxy._swallows and not self.trap:
            self.downstream.send(lambda transport: transport.write(data))

    def client_gone(self) -> None:
        if self.trap is None and not self.proxy._swallows:
            self.upstream.send(lambda transport: transport.close())
            self.proxy._links.discard(self)
        elif self.trap is None:
            self.cut()

    def server_gone(self) -> None:
        if self.trap or self.proxy._swallows:
            self.cut()
            return
        self.downstream.send(lambda transport: transport.close())
        self.proxy._links.discard(self)

    def cut(self) -> None:
        """Reset both connections."""
        self.proxy._links.discard(self)
        for end in (self.client, self.server):
            if end.transport is not None:
                end.transport.abort()
        if self.trap:
            self.trap.spring()


class _Client(asyncio.Protocol):
    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self._link = _Link(self._proxy, self)
        self._connecting = self._proxy._loop.create_task(self._link.connect())

    def data_received(self, data: bytes) -> None:
        self._link.from_client(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._link.client_gone()


class _Server(asyncio.Protocol):
    def __init__(self, link: _Link) -> None:
        self._link = link
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._link.from_server(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._link.server_gone()


def main() -> None:
    parser = argparse.ArgumentParser(description="Forward connections to a server that seems far away.")
    parser.add_argument("--target", required=True, help="the server: host:port or unix:/path")
    parser.add_argument(
        "--listen", default="127.0.0.1:0", help="host:port or unix:/path; port 0 takes a free one"
    )
    parser.add_argument("--delay-ms", type=float, default=0, help="how late each direction is")
    arguments = parser.parse_args()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with Proxy(arguments.target, listen=arguments.listen, delay_ms=arguments.delay_ms) as proxy:
        print(f"ready {proxy.address}", flush=True)
        ended.wait()


if __name__ == "__main__":
    main()
