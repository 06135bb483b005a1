"""The first rows of frames and files, as one kind of table."""

import csv
import gzip
import importlib
import io
import itertools
import json
import math
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

# So many rows decide what type a column of text has.
_SAMPLED_ROWS = 100
_COUNTING_S = 1.0
_LINE_CHARACTERS = 1024 * 1024

_INTEGER = re.compile(r"[+-]?\d+")
_DELIMITERS = ",;\t|"


@dataclass
class Table:
    """Column names and types, and rows that align with them."""

    names: list[str]
    types: list[str]
    rows: Sequence[Sequence[Any]]
    row_count: int | None
    columns_left_out: int = 0


def table_of_value(value: Any, count: int, most_columns: int) -> Table | None:
    """The first ``count`` rows of a frame or of a list of mappings; ``None`` for anything else."""
    for kind in type(value).__mro__:
        library, name = kind.__module__.partition(".")[0], kind.__name__
        if (library, name) == ("pandas", "Series"):
            return _of_pandas(value.to_frame(), count, most_columns)
        if (library, name) == ("pandas", "DataFrame"):
            return _of_pandas(value, count, most_columns)
        if (library, name) == ("polars", "Series"):
            return _of_polars(value.to_frame(), count, most_columns)
        if (library, name) == ("polars", "DataFrame"):
            return _of_polars(value, count, most_columns)
        if library == "pyarrow" and name in ("Table", "RecordBatch"):
            return _of_arrow(value, count, most_columns)
    if isinstance(value, list | tuple) and value and isinstance(value[0], Mapping):
        return _of_mappings(value[:count], len(value), most_columns, sample=value[:_SAMPLED_ROWS])
    return None


def table_of_file(path: Path, count: int, most_columns: int) -> Table | None:
    """The first ``count`` rows of a file, by the end of its name; ``None`` for other names."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    is_packed = suffixes[-1:] == [".gz"]
    kind = (suffixes[:-1] if is_packed else suffixes)[-1:]
    if kind in ([".parquet"], [".pq"]) and not is_packed:
        return _of_parquet(path, count, most_columns)
    if kind not in ([".csv"], [".tsv"], [".jsonl"], [".ndjson"]) or not path.is_file():
        return None
    # gzip gives a file of its own kind, which reads as others do.
    with cast("IO[bytes]", gzip.open(path, "rb")) if is_packed else path.open("rb") as file:
        if kind in ([".jsonl"], [".ndjson"]):
            return _of_json_lines(file, count, most_columns)
        return _of_csv(file, count, most_columns, "\t" if kind == [".tsv"] else None)


def _of_pandas(frame: Any, count: int, most_columns: int) -> Table:
    part = frame.iloc[:count, :most_columns]
    names = [str(name) for name in frame.columns[:most_columns]]
    types = [str(kind) for kind in frame.dtypes.iloc[:most_columns]]
    columns = [_cells_of_pandas(part.iloc[:, place]) for place in range(len(names))]
    rows = [list(row) for row in zip(*columns, strict=True)] if columns else []
    return Table(names, types, rows, len(frame), frame.shape[1] - len(names))


def _cells_of_pandas(column: Any) -> list[Any]:
    # pandas has missing values of its own, and writes NaN for missing text. Among numbers NaN stays, because
    # a computation may have made it.
    is_numeric = getattr(column.dtype, "kind", "O") in "fc"

    def is_missing(cell: Any) -> bool:
        if type(cell).__name__ in ("NaTType", "NAType"):
            return True
        return isinstance(cell, float) and math.isnan(cell) and not is_numeric

    return [None if is_missing(cell) else cell for cell in column.tolist()]


def _of_polars(frame: Any, count: int, most_columns: int) -> Table:
    names = list(frame.columns[:most_columns])
    part = frame.select(names).head(count)
    types = [str(frame.schema[name]) for name in names]
    return Table(names, types, list(part.rows()), frame.height, frame.width - len(names))


def _of_arrow(table: Any, count: int, most_columns: int) -> Table:
    fields = list(table.schema)[:most_columns]
    columns = [table.column(place).slice(0, count).to_pylist() for place in range(len(fields))]
    return Table(
        [field.name for field in fields],
        [str(field.type) for field in fields],
        [list(row) for row in zip(*columns, strict=True)],
        table.num_rows,
        len(table.schema) - len(fields),
    )


def _of_parquet(path: Path, count: int, most_columns: int) -> Table | None:
    try:
        pyarrow = importlib.import_module("pyarrow")
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError:
        return None
    with parquet.ParquetFile(path) as file:
        schema = file.schema_arrow
        fields = list(schema)[:most_columns]
        names = [field.name for field in fields]
        batches = file.iter_batches(batch_size=max(count, 1), columns=names, use_threads=False)
        batch = next(iter(batches), None) if count else None
        first = pyarrow.Table.from_batches([batch]) if batch is not None else schema.empty_table()
        table = _of_arrow(first.select(names), count, most_columns)
        return Table(table.names, table.types, table.rows, file.metadata.num_rows, len(schema) - len(fields))


def _lines(file: IO[str]) -> Iterator[str]:
    """The lines of a text file, none of them longer than can be read at once."""
    while line := file.readline(_LINE_CHARACTERS):
        if len(line) == _LINE_CHARACTERS and not line.endswith(("\n", "\r")):
            raise ValueError("a line is too long to be read")
        yield line


def _of_csv(file: IO[bytes], count: int, most_columns: int, delimiter: str | None) -> Table | None:
    text = io.TextIOWrapper(file, "utf-8-sig", "replace", newline="")
    first_line = next(_lines(text), "")
    if not first_line.strip():
        return None
    delimiter = delimiter or max(_DELIMITERS, key=first_line.count)
    reader = csv.reader(itertools.chain([first_line], _lines(text)), delimiter=delimiter)
    names = next(reader)
    sample = [row for row in itertools.islice(reader, max(count, _SAMPLED_ROWS)) if row]
    more = _count(row for row in reader if row)
    width = len(names)
    even = [(row + [""] * width)[:width] for row in sample]
    types = [_type_of_texts([row[place] for row in even]) for place in range(min(width, most_columns))]
    # Typed as they look, so that a number is a number in whatever shows it.
    rows = [
        [_typed(text, kind) for text, kind in zip(row[:most_columns], types, strict=True)]
        for row in even[:count]
    ]
    row_count = None if more is None else len(sample) + more
    return Table(names[:most_columns], types, rows, row_count, max(0, width - most_columns))


def _count(rows: Iterator[object]) -> int | None:
    """How many there are; ``None`` if counting takes too long."""
    deadline_s = time.monotonic() + _COUNTING_S
    count = 0
    for _ in rows:
        count += 1
        if count % 1000 == 0 and time.monotonic() > deadline_s:
            return None
    return count


def _type_of_texts(texts: Sequence[str]) -> str:
    filled = [text.strip() for text in texts if text.strip()]
    if not filled:
        return "string"
    if all(_INTEGER.fullmatch(text) for text in filled):
        # "007" is a name of something.
        return "string" if any(re.match(r"[+-]?0\d", text) for text in filled) else "integer"
    if all(text.lower() in ("true", "false") for text in filled):
        return "boolean"
    return "number" if all(map(_is_number, filled)) else "string"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def _typed(text: str, kind: str) -> Any:
    if kind == "string":
        return text
    if not text.strip():
        return None
    if kind == "boolean":
        return text.strip().lower() == "true"
    return float(text) if kind == "number" or len(text) > 300 else int(text)


def _of_json_lines(file: IO[bytes], count: int, most_columns: int) -> Table | None:
    text = io.TextIOWrapper(file, "utf-8-sig", "replace")
    lines = (line for line in _lines(text) if line.strip())
    found = [json.loads(line) for line in itertools.islice(lines, max(count, _SAMPLED_ROWS))]
    if not found or not all(isinstance(value, dict) for value in found):
        return None
    more = _count(lines)
    row_count = None if more is None else len(found) + more
    return _of_mappings(found[:count], row_count, most_columns, sample=found)


def _of_mappings(
    rows: Sequence[Mapping[Any, Any]],
    row_count: int | None,
    most_columns: int,
    *,
    sample: Sequence[Mapping[Any, Any]],
) -> Table:
    keys = list(dict.fromkeys(key for row in sample for key in row))
    shown = keys[:most_columns]
    types = [_type_of_values([row.get(key) for row in sample]) for key in shown]
    cells = [[row.get(key) for key in shown] for row in rows]
    return Table([str(key) for key in shown], types, cells, row_count, len(keys) - len(shown))


def _type_of_values(values: Sequence[Any]) -> str:
    names = {bool: "boolean", int: "integer", float: "number", str: "string", dict: "object", list: "array"}
    found = {names.get(type(value), type(value).__name__) for value in values if value is not None}
    if found == {"integer", "number"}:
        return "number"
    return " | ".join(sorted(found)) or "null"
