"""The examples of docs/caching.md print what they say."""

import os
import re
import subprocess
import sys
from pathlib import Path

CACHING = Path(__file__).resolve().parents[2] / "docs" / "caching.md"


def test_the_examples_print_what_they_say(tmp_path: Path) -> None:
    text = CACHING.read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    expected = [line.removeprefix("# ") for line in lines if line.startswith("# ")]
    script = tmp_path / "caching.py"
    script.write_text("\n".join(lines), encoding="utf-8")

    finished = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path), "LOCALAPPDATA": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert finished.stdout.splitlines() == expected, finished.stderr
    assert finished.stderr == ""
