"""Logs on stderr: what the library logs with ``extra=``, rendered by structlog."""

import logging
import os
import sys
from typing import Any

FORMATS = ("text", "json")
LEVELS = ("debug", "info", "warning", "error")


def configure(*, log_format: str = "text", log_level: str = "error", worker: int | None = None) -> None:
    """Write log records of ``log_level`` and above to stderr.

    ``text`` is coloured on a terminal, with the local time, and ``key=value`` elsewhere; ``json`` is one
    object a line. Times other than on a terminal are UTC. ``worker`` tells apart processes that log to the
    same place.
    """
    import structlog

    is_terminal = log_format == "text" and sys.stderr.isatty()
    renderers: list[Any]
    if is_terminal:
        renderers = [
            structlog.dev.ConsoleRenderer(
                colors=not os.environ.get("NO_COLOR"), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    elif log_format == "json":
        renderers = [
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(default=str),
        ]
    else:
        renderers = [
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("message"),
            structlog.processors.LogfmtRenderer(
                key_order=("timestamp", "level", "logger", "message"), drop_missing=True, bool_as_flag=False
            ),
        ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.TimeStamper(
                fmt="%H:%M:%S" if is_terminal else "iso", utc=not is_terminal, key="timestamp"
            ),
        ],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    if worker is not None:
        handler.addFilter(_Numbered(worker))
    logging.root.handlers = [handler]
    logging.root.setLevel(log_level.upper())


class _Numbered(logging.Filter):
    """Adds the number of the worker to every record."""

    def __init__(self, worker: int) -> None:
        super().__init__()
        self._worker = worker

    def filter(self, record: logging.LogRecord) -> bool:
        record.worker = self._worker
        return True
