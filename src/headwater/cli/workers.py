"""Several processes that answer on one port: what ``--workers`` asks for.

The kernel hands each new connection to one of them (SO_REUSEPORT). Every worker is a fresh interpreter,
because gRPC and the drivers do not survive a fork, and gets its settings through its standard input: what
stands on a command line or in the environment other users of the machine may read, and the URL of the
database may hold a password. The same pipe ends the worker when the parent is gone, however it went.
"""

import logging
import os
import pickle
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import IO

from headwater.cli import cpus, logs, signals
from headwater.config import ServerConfig
from headwater.errors import FailedPrecondition, HeadwaterError, Internal, InvalidRequest

log = logging.getLogger(__name__)

_READY = "ready"
_SHORTEST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 30.0
# A worker that lived so long did not die of how it was started.
_LONG_LIFE_S = 60.0
# Beside the grace of the requests: closing the database, and the end of the interpreter.
_LAST_PATIENCE_S = 15.0


@dataclass(frozen=True)
class _Order:
    """What a worker is told."""

    number: int
    config: ServerConfig
    log_format: str
    log_level: str


class Workers:
    """``config.workers`` servers behind one port, used as one ``Server`` is. Those that die are replaced.

    Raises:
        InvalidRequest: the database is SQLite, or this system cannot share a port.
        FailedPrecondition: the address is taken.
        HeadwaterError: from ``open_database``, which is called once before any worker starts.
    """

    def __init__(
        self,
        config: ServerConfig,
        open_database: Callable[[ServerConfig], None],
        *,
        log_format: str,
        log_level: str,
    ) -> None:
        _refuse_what_one_process_serves_best(config)
        self._taken = _take_port(config.host, config.port)
        self.port = int(self._taken.getsockname()[1])
        try:
            open_database(config)
        except BaseException:
            self._taken.close()
            raise
        config = replace(config, port=self.port)
        self._grace_s = config.stop_grace_s
        self._orders = [
            _Order(number, config, log_format, log_level) for number in range(1, config.workers + 1)
        ]
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._reports: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._keepers = [
            threading.Thread(
                target=self._keep_alive, args=(order,), name=f"worker-{order.number}", daemon=True
            )
            for order in self._orders
        ]

    def start(self) -> None:
        """Start the workers and wait until all of them answer.

        Raises:
            HeadwaterError: one of them could not start; then none is left.
        """
        try:
            for keeper in self._keepers:
                keeper.start()
            for _ in self._keepers:
                said = self._reports.get()
                if said != _READY:
                    raise (
                        FailedPrecondition(said)
                        if said
                        else Internal("a worker ended while it was starting; the log above has the reason")
                    )
        except BaseException:
            self._stopping.set()
            self._signal(subprocess.Popen.kill)
            self._taken.close()
            raise

    def stop(self) -> None:
        """Have every worker refuse new calls and finish those in flight, and wait until all have ended."""
        self._stopping.set()
        self._signal(subprocess.Popen.terminate)
        deadline = time.monotonic() + self._grace_s + _LAST_PATIENCE_S
        for keeper in self._keepers:
            keeper.join(max(0.0, deadline - time.monotonic()))
        if any(keeper.is_alive() for keeper in self._keepers):
            log.error("workers do not end, and are killed")
            self._signal(subprocess.Popen.kill)
        self._taken.close()

    def _signal(self, send: Callable[["subprocess.Popen[bytes]"], None]) -> None:
        with self._lock:
            for process in self._processes.values():
                send(process)

    def _keep_alive(self, order: _Order) -> None:
        pause_s = _SHORTEST_PAUSE_S
        while True:
            began = time.monotonic()
            process = self._begin(order)
            if process is None:
                return
            assert process.stdout
            said = process.stdout.readline().decode(errors="replace").rstrip("\n")
            self._reports.put(said)
            if said == _READY:
                log.debug("worker ready", extra={"worker": order.number, "pid": process.pid})
            code = process.wait()
            for pipe in (process.stdin, process.stdout):
                _close(pipe)
            if time.monotonic() - began > _LONG_LIFE_S:
                pause_s = _SHORTEST_PAUSE_S
            if self._stopping.is_set():
                return
            how = {"signal": -code} if code < 0 else {"exit_code": code}
            why = {"reason": said} if said not in ("", _READY) else {}
            log.error(
                "worker ended, and is started again",
                extra={"worker": order.number, "pid": process.pid, **how, **why, "in_s": pause_s},
            )
            self._stopping.wait(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _begin(self, order: _Order) -> "subprocess.Popen[bytes] | None":
        """Start a worker, unless all are to end."""
        with self._lock:
            if self._stopping.is_set():
                return None
            process = self._processes[order.number] = subprocess.Popen(
                # The path of modules is ours: the default would begin with the current directory.
                [
                    sys.executable,
                    "-c",
                    "import sys; sys.path[:] = sys.argv[1:]; from headwater.cli.workers import work; work()",
                    *sys.path,
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                # Ctrl-C on a terminal is for the parent, which tells the workers.
                start_new_session=True,
            )
        assert process.stdin
        try:
            pickle.dump(order, process.stdin)
            process.stdin.flush()
        except OSError:
            pass  # It has died already, which is noticed in a moment.
        return process


def _close(pipe: IO[bytes] | None) -> None:
    try:
        if pipe:
            pipe.close()
    except OSError:
        pass  # What was to be written to a dead worker is of no use to anybody.


def _refuse_what_one_process_serves_best(config: ServerConfig) -> None:
    from headwater.storage.dialects import dialect_for

    if not dialect_for(config.database_url).is_server:
        raise InvalidRequest(
            f"--workers {config.workers} needs PostgreSQL or MySQL: SQLite has one writer at a time, so one "
            "process serves it fastest; leave --workers out"
        )
    if not hasattr(socket, "SO_REUSEPORT"):
        raise InvalidRequest(
            "--workers needs a system on which processes can share a port (SO_REUSEPORT), such as Linux; "
            "start one server a port, and put a load balancer before them"
        )


def _take_port(host: str, port: int) -> socket.socket:
    """A socket that holds the port for the workers and never listens itself."""
    address = host.strip("[]")
    taken: socket.socket | None = None
    try:
        family, kind, protocol, _, name = socket.getaddrinfo(
            address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        taken = socket.socket(family, kind, protocol)
        # Not yet SO_REUSEPORT: with it a second group of workers would join the first one unnoticed.
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(name)
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        return taken
    except OSError as error:
        if taken is not None:
            taken.close()
        raise FailedPrecondition(
            f"cannot listen on {host}:{port}: the port is taken or the address is not of this machine; "
            "choose another with --port or --host"
        ) from error


# What runs in a worker


def work() -> None:
    """Serve as one of several, until SIGTERM or the end of the parent."""
    order: _Order = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with_the_parent, name="parent", daemon=True).start()
    logs.configure(log_format=order.log_format, log_level=order.log_level, worker=order.number)
    if order.config.cpus == "one":
        cpus.keep_to_one(order.number)
    from headwater.server import Server

    try:
        server = Server(order.config)
    except HeadwaterError as error:
        print(" ".join(str(error).split()), flush=True)
        sys.exit(1)
    received = signals.received()
    server.start()
    print(_READY, flush=True)
    # The parent reads no further.
    os.dup2(2, 1)
    received.get()
    signals.end_at_once_from_now_on()
    server.stop()


def _end_with_the_parent() -> None:
    # Nobody writes to this pipe any more, so it can only end. As after kill -9 of a single server, what was
    # acknowledged is stored, and the port is free at once for the next server.
    while os.read(0, 1):
        pass
    os._exit(1)
