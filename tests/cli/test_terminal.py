"""What a person at a terminal sees: tables and trees that fit, colours unless they are unwanted."""

import os
import pty
import re
import subprocess
import sys

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def seen(*arguments, columns, **environment):
    """What ``headwater`` writes to a terminal of so many columns."""
    terminal, child_side = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "headwater.cli", *map(str, arguments)],
        stdout=child_side,
        env={**os.environ, "COLUMNS": str(columns), "TERM": "xterm", **environment},
    )
    os.close(child_side)
    written = b""
    try:
        while chunk := os.read(terminal, 65536):
            written += chunk
    except OSError:  # How Linux tells that the other side is closed.
        pass
    os.close(terminal)
    assert process.wait() == 0
    return written.decode().replace("\r\n", "\n")


def test_a_table_fits_the_terminal_and_breaks_long_cells_rather_than_cut_them(taxi):
    shown = ESCAPE.sub("", seen("artifact", "list", "--target", taxi.url, columns=72))

    lines = shown.splitlines()
    assert lines[0].split() == ["id", "type", "name", "uri", "state", "updated"]
    assert max(map(len, lines)) <= 72
    uris = "".join(line[lines[0].index("uri") : lines[0].index("state")].strip() for line in lines[2:])
    assert uris == "s3://b/taxi.csvs3://b/report.html"


def test_a_narrow_terminal_is_spared_the_columns_that_matter_least(taxi):
    shown = ESCAPE.sub("", seen("artifact", "list", "--target", taxi.url, columns=52))

    assert shown.splitlines()[0].split() == ["id", "type", "name", "uri", "state"]


def test_a_tree_is_folded_under_its_guides(taxi):
    shown = ESCAPE.sub("", seen("lineage", "up", taxi.train, "--target", taxi.url, columns=48))

    assert shown.splitlines() == [
        "artifact 2  Dataset  taxi/train  rows=800",
        "└─ parts[0]: execution 1  Split  split  COMPLETE",
        "   └─ data: artifact 1  Dataset  taxi",
        "         s3://b/taxi.csv  rows=1000",
        "         owner=data team",
        '         tags={"city": "Chicago"}',
    ]


def test_colours_are_left_out_when_no_color_is_set(taxi):
    asked = ("lineage", "up", taxi.train, "--target", taxi.url)

    assert ESCAPE.search(seen(*asked, columns=100))
    assert not ESCAPE.search(seen(*asked, columns=100, NO_COLOR="1"))
