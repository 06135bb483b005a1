"""A few rows of a data set, small enough to be stored beside it.

Asked for by the user, never taken unasked, because rows may hold what must not be copied: columns can be
redacted by name. Data frames are recognised by what they are called, so no library is imported for it.
"""

import datetime
import decimal
import fnmatch
import json
import math
import os
import pathlib
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from headwater.client.capture.tables import Table, table_of_file, table_of_value

#: Bounds of one preview. Its JSON text has at most ``MAX_BYTES`` bytes of UTF-8.
MAX_ROWS = 100
MAX_COLUMNS = 100
MAX_CELL = 200
MAX_BYTES = 64 * 1024

REDACTED = "(redacted)"

_MOST_DEPTH = 4
_MOST_ITEMS = 20
# Whose text is short and says what the value is. Others may print anything, and take their time.
_PRINTED = (decimal.Decimal, datetime.date, datetime.time, datetime.timedelta, uuid.UUID, pathlib.PurePath)


def preview(value_or_path: Any, *, rows: int = 5, redact: Sequence[str] | str = ()) -> dict[str, Any] | None:
    """The columns with their types, the number of rows and the first ``rows`` of a data set.

    Takes frames of pandas, polars and pyarrow, lists of mappings, and paths of CSV (``.csv``, ``.tsv``, with
    a header), JSON lines (``.jsonl``, ``.ndjson``), both also with ``.gz``, and Parquet files if pyarrow is
    installed. ``redact`` has patterns (``*mail*``) of names, regardless of case: values under these become
    "(redacted)", within nested values too.

    The answer is plain JSON::

        {"columns": [{"name": "age", "type": "int64"}], "row_count": 3, "rows": [[41], [null]],
         "left_out": {"columns": 0, "rows": 1}}

    Rows align with the columns. ``row_count`` is ``null`` where counting takes too long. NaN and infinities
    are the texts "NaN", "Infinity" and "-Infinity"; long texts end in "...". ``left_out`` counts what was
    dropped to stay within the bounds: columns, and rows of those asked for.

    ``None`` for what is no table or cannot be read. Never raises.
    """
    try:
        count = max(0, min(int(rows), MAX_ROWS))
        if isinstance(value_or_path, str | os.PathLike):
            table = table_of_file(pathlib.Path(value_or_path), count, MAX_COLUMNS)
        else:
            table = table_of_value(value_or_path, count, MAX_COLUMNS)
        return _fitting(table, [redact] if isinstance(redact, str) else list(redact)) if table else None
    except Exception:  # Files may hold anything, and so may the objects in a frame.
        return None


def _fitting(table: Table, redact: Sequence[str]) -> dict[str, Any]:
    hidden = [_is_hidden(name, redact) for name in table.names]
    columns = [
        {"name": _shortened(name), "type": _shortened(kind)}
        for name, kind in zip(table.names, table.types, strict=True)
    ]
    rows = [
        [REDACTED if is_hidden else _plain(cell, redact) for cell, is_hidden in zip(row, hidden, strict=True)]
        for row in table.rows
    ]
    found: dict[str, Any] = {
        "columns": columns,
        "row_count": table.row_count,
        "rows": rows,
        "left_out": {"columns": table.columns_left_out, "rows": 0},
    }
    while _size(found) > MAX_BYTES:
        if rows:
            rows.pop()
            found["left_out"]["rows"] += 1
        else:
            columns.pop()
            found["left_out"]["columns"] += 1
    return found


def _size(found: Mapping[str, Any]) -> int:
    return len(json.dumps(found, ensure_ascii=False).encode())


def _is_hidden(name: object, redact: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(str(name).lower(), pattern.lower()) for pattern in redact)


def _shortened(text: str) -> str:
    text = text if len(text) <= MAX_CELL else f"{text[: MAX_CELL - 3]}..."
    # A lone surrogate has no UTF-8.
    return text.encode("utf-8", "backslashreplace").decode()


def _plain(value: Any, redact: Sequence[str], depth: int = 0) -> Any:
    """``value`` as JSON has it, bounded."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _shortened(str(value))
    if isinstance(value, int):
        # JavaScript and JSON's struct type know no longer integers.
        return (
            int(value)
            if abs(value) <= 2**53
            else _shortened(str(value))
            if abs(value) < 10**1000
            else "(int)"
        )
    if isinstance(value, float):
        if math.isfinite(value):
            return float(value)
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, bytes | bytearray):
        return _shortened(bytes(value[:MAX_CELL]).hex())
    if isinstance(value, _PRINTED):
        return _shortened(str(value))
    if depth >= _MOST_DEPTH:
        return "..."
    if isinstance(value, Mapping):
        pairs = list(value.items())[:_MOST_ITEMS]
        return {
            _shortened(str(key)): REDACTED if _is_hidden(key, redact) else _plain(item, redact, depth + 1)
            for key, item in pairs
        }
    if isinstance(value, list | tuple):
        items = [_plain(item, redact, depth + 1) for item in value[:_MOST_ITEMS]]
        return [*items, "..."] if len(value) > _MOST_ITEMS else items
    if getattr(value, "ndim", None) == 0 and callable(getattr(value, "item", None)):
        return _plain(value.item(), redact, depth + 1)  # A number of numpy.
    if callable(getattr(value, "tolist", None)) and getattr(value, "size", _MOST_ITEMS + 1) <= _MOST_ITEMS:
        return _plain(value.tolist(), redact, depth + 1)
    return f"({type(value).__name__})"
