import csv
import datetime
import gzip
import json

import pytest

from headwater.client.capture.preview import preview

ROWS = [
    {"id": 1, "name": "Ada", "score": 0.5, "ok": True},
    {"id": 2, "name": "Grace", "score": float("nan"), "ok": False},
    {"id": 3, "name": None, "score": float("inf"), "ok": True},
]
CELLS = [[1, "Ada", 0.5, True], [2, "Grace", "NaN", False]]
NOTHING_LEFT_OUT = {"columns": 0, "rows": 0}


def columns(*pairs):
    return [{"name": name, "type": kind} for name, kind in pairs]


def test_mappings_have_columns_types_and_rows():
    assert preview(ROWS, rows=2) == {
        "columns": columns(("id", "integer"), ("name", "string"), ("score", "number"), ("ok", "boolean")),
        "row_count": 3,
        "rows": CELLS,
        "left_out": NOTHING_LEFT_OUT,
    }
    assert preview(ROWS, rows=9)["rows"] == [*CELLS, [3, None, "Infinity", True]]
    assert preview(ROWS, rows=0)["rows"] == []
    assert preview(ROWS, rows=-1)["rows"] == []


def test_pandas():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(ROWS)
    frame["day"] = pandas.to_datetime(["2024-01-02", None, "2024-01-03"])
    frame["small"] = pandas.array([1, None, 3], dtype="Int8")

    found = preview(frame, rows=3)

    assert [column["name"] for column in found["columns"]] == ["id", "name", "score", "ok", "day", "small"]
    assert found["columns"][0]["type"] == "int64"
    assert found["rows"] == [
        [1, "Ada", 0.5, True, "2024-01-02 00:00:00", 1],
        [2, "Grace", "NaN", False, None, None],
        [3, None, "Infinity", True, "2024-01-03 00:00:00", 3],
    ]
    assert found["row_count"] == 3
    assert preview(frame["id"])["rows"] == [[1], [2], [3]]
    twice = pandas.concat([frame["id"], frame["id"]], axis=1)
    assert preview(twice)["rows"][0] == [1, 1]
    assert preview(pandas.DataFrame())["rows"] == []


def test_polars():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(ROWS)

    found = preview(frame, rows=2)

    assert found["columns"] == columns(
        ("id", "Int64"), ("name", "String"), ("score", "Float64"), ("ok", "Boolean")
    )
    assert found["rows"] == CELLS
    assert found["row_count"] == 3
    assert preview(frame["name"])["rows"] == [["Ada"], ["Grace"], [None]]
    assert preview(frame.lazy()) is None  # It would have to be computed.


def test_pyarrow_and_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pyarrow.Table.from_pylist(ROWS)
    parquet.write_table(table, tmp_path / "a.parquet")
    parquet.write_table(table.slice(0, 0), tmp_path / "empty.parquet")

    found = preview(table, rows=2)

    assert found["columns"] == columns(
        ("id", "int64"), ("name", "string"), ("score", "double"), ("ok", "bool")
    )
    assert found["rows"] == CELLS
    assert preview(table.to_batches()[0], rows=2) == found
    assert preview(tmp_path / "a.parquet", rows=2) == found
    assert preview(str(tmp_path / "a.parquet"), rows=0)["row_count"] == 3
    assert preview(tmp_path / "empty.parquet")["rows"] == []


def write_csv(path, rows, **options):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, **options).writerows(rows)
    return path


def test_csv_files(tmp_path):
    rows = [["id", "name", "score", "code"], [1, "Ada, the\nfirst", 0.5, "007"], [2, 'a "b"', "", "010"]]
    expected = {
        "columns": columns(("id", "integer"), ("name", "string"), ("score", "number"), ("code", "string")),
        "row_count": 2,
        "rows": [[1, "Ada, the\nfirst", 0.5, "007"], [2, 'a "b"', None, "010"]],
        "left_out": NOTHING_LEFT_OUT,
    }

    assert preview(write_csv(tmp_path / "a.csv", rows)) == expected
    assert preview(write_csv(tmp_path / "b.CSV", rows, delimiter=";")) == expected
    assert preview(write_csv(tmp_path / "c.tsv", rows, delimiter="\t")) == expected
    packed = tmp_path / "d.csv.gz"
    packed.write_bytes(gzip.compress((tmp_path / "a.csv").read_bytes()))
    assert preview(packed) == expected


@pytest.mark.parametrize(
    ("text", "rows", "row_count"),
    [
        ("a,b\n", [], 0),
        ("\ufeffa,b\n1,2\n\n3\n", [[1, 2], [3, None]], 2),
        ("a,b\n1,2,9\n4,5\n", [[1, 2], [4, 5]], 2),
        ("a,b\r\n1,x\r\n2,5\" pipe\r\n3,y", [[1, "x"], [2, '5" pipe'], [3, "y"]], 3),
        ("a\nTrue\nfalse\n", [[True], [False]], 2),
        ("a\nnan\n1e400\n-inf\n", [["NaN"], ["Infinity"], ["-Infinity"]], 3),
        ("a\n1_000\n", [["1_000"]], 1),
    ],
    ids=["header only", "byte order mark, empty line, short line", "long line", "quote within", "boolean",
         "not finite", "underscore"],
)  # fmt: skip
def test_uneven_csv_files(tmp_path, text, rows, row_count):
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode())
    found = preview(path)

    assert (found["rows"], found["row_count"]) == (rows, row_count)
    assert found["columns"][0]["name"] == "a"


def test_json_lines(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1, "b": {"c": [1, 2]}}\n\n{"a": 2.5}\n{"d": NaN}', encoding="utf-8")

    assert preview(path) == {
        "columns": columns(("a", "number"), ("b", "object"), ("d", "number")),
        "row_count": 3,
        "rows": [[1, {"c": [1, 2]}, None], [2.5, None, None], [None, None, "NaN"]],
        "left_out": NOTHING_LEFT_OUT,
    }


def test_columns_are_redacted_by_pattern():
    rows = [{"E-Mail": "a@b.c", "user": {"email": "x", "age": 3}, "n": 1, "iban": "DE"}]

    found = preview(rows, redact=["*MAIL*", "iban"])

    assert found["rows"] == [["(redacted)", {"email": "(redacted)", "age": 3}, 1, "(redacted)"]]
    assert [column["name"] for column in found["columns"]] == ["E-Mail", "user", "n", "iban"]
    assert preview(rows, redact="*")["rows"] == [["(redacted)"] * 4]
    assert "a@b.c" not in json.dumps(found)


def test_cells_columns_rows_and_bytes_are_bounded():
    long = preview([{"a": "x" * 10_000}])
    assert long["rows"] == [["x" * 197 + "..."]]

    wide = preview([{f"c{n}": n for n in range(5_000)}])
    assert len(wide["columns"]) == 100
    assert wide["left_out"] == {"columns": 4_900, "rows": 0}

    big = preview([{f"c{n}": "ü" * 500 for n in range(100)}] * 50, rows=50)
    assert len(json.dumps(big, ensure_ascii=False).encode()) <= 64 * 1024
    assert len(big["rows"]) + big["left_out"]["rows"] == 50
    assert big["row_count"] == 50

    huge_names = preview([{f"{n}" + "ü" * 5_000: 1 for n in range(100)}])
    assert len(json.dumps(huge_names, ensure_ascii=False).encode()) <= 64 * 1024


def test_every_cell_is_plain_json():
    class Odd:
        def __repr__(self):
            raise RuntimeError

    numpy = pytest.importorskip("numpy")
    row = {
        "bytes": b"\x00\xff", "day": datetime.date(2024, 1, 2), "big": 2**70, "odd": Odd(), "half": "\ud800",
        "number": numpy.float32(0.5), "array": numpy.arange(3), "large": numpy.zeros(10_000),
        "list": list(range(30)), "deep": [[[[[[1]]]]]], "minus": float("-inf"),
    }  # fmt: skip

    (cells,) = preview([row])["rows"]

    assert cells == [
        "00ff", "2024-01-02", str(2**70), "(Odd)", "\\ud800", 0.5, [0, 1, 2], "(ndarray)",
        [*range(20), "..."], [[[["..."]]]], "-Infinity",
    ]  # fmt: skip
    assert json.loads(json.dumps(cells, allow_nan=False)) == cells


@pytest.mark.parametrize(
    "value",
    [None, 3, "", [], [1, 2], {"a": 1}, object(), b"x", "no/such/file.csv", "s3://bucket/a.csv", "\0.csv"],
    ids=[
        "none",
        "number",
        "text",
        "empty-list",
        "list",
        "dict",
        "object",
        "bytes",
        "no-file",
        "uri",
        "no-path",
    ],
)
def test_what_is_no_table_has_no_preview(value):
    assert preview(value) is None


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.parquet", b"not parquet"),
        ("a.jsonl", b"[1]\n"),
        ("b.jsonl", b"{broken\n"),
        ("a.csv", b""),
        ("b.csv", b"a,b\n" + b"x" * 3_000_000),
        ("a.csv.gz", b"not gzip"),
        ("a.bin", b"a,b\n1,2\n"),
    ],
)
def test_files_that_are_something_else_have_no_preview(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)

    assert preview(tmp_path / name) is None


def test_a_directory_has_no_preview(tmp_path):
    (tmp_path / "a.csv").mkdir()

    assert preview(tmp_path / "a.csv") is None


def test_a_large_file_is_counted_or_left_uncounted_in_bounded_time(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b\n" + b"1,2\n" * 300_000)

    found = preview(path, rows=1)

    assert found["rows"] == [[1, 2]]
    assert found["row_count"] in (300_000, None)
