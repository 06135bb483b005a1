"""What tests share beside fixtures: calls over a channel, and ML Metadata's engine as a peer."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
import sqlalchemy as sa
from google.protobuf.message import Message

from headwater.wire import METHODS

PEERS_PYTHON = os.environ.get("HEADWATER_PEERS_PYTHON", ".venv-peers/bin/python")

Call = Callable[[str, Message], Message]
Connect = Callable[[str], sa.Connection]


def calls_over(channel: grpc.Channel) -> Call:
    """Calls RPCs over a channel; failures are ``grpc.RpcError``."""

    def call(rpc: str, request: Message) -> Message:
        return channel.unary_unary(
            METHODS[rpc].path,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=METHODS[rpc].response_class.FromString,
        )(request, timeout=60)

    return call


@contextmanager
def mlmd_engine(database: Path | str | None = None) -> Iterator[Call]:
    """Calls RPCs of ML Metadata's C++ engine, on a SQLite file, on the database at a URL, or in memory.

    At a URL the database must exist; the engine makes its tables.
    """
    script = Path(__file__).parent / "peers" / "mlmd_bridge.py"
    flag = "--database-url" if "://" in str(database) else "--database"
    arguments = [] if database is None else [flag, str(database)]
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(
            [PEERS_PYTHON, str(script), *arguments], stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        try:
            word, _, port = process.stdout.readline().strip().partition(" ")
            if word != "ready":
                process.wait()
                log.seek(0)
                raise RuntimeError(f"ML Metadata's engine did not open {database}:\n{log.read()[-2000:]}")
            with grpc.insecure_channel(
                f"127.0.0.1:{port}", options=[("grpc.max_receive_message_length", -1)]
            ) as channel:
                yield calls_over(channel)
        finally:
            process.terminate()


needs_mlmd = pytest.mark.skipif(
    not Path(PEERS_PYTHON).exists(),
    reason="ML Metadata's wheel is not installed: run 'make peers', or set HEADWATER_PEERS_PYTHON",
)
