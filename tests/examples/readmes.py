"""What the READMEs of the examples promise, and a user who tries it."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def promised(example: str) -> Iterator[tuple[str, str]]:
    """The commands of the README's console blocks, each with the output that is shown."""
    text = (EXAMPLES / example / "README.md").read_text(encoding="utf-8")
    for block in re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command, output


class User:
    """Who tries an example in an empty directory, with nothing left from earlier."""

    def __init__(self, example: str, home: Path) -> None:
        self.example = example
        self.directory = home / "work"
        self.directory.mkdir()
        clean = {name: text for name, text in os.environ.items() if not name.startswith("HEADWATER_")}
        # Where the digests of files are remembered, and what could not be told to a store.
        state = dict.fromkeys(("XDG_STATE_HOME", "LOCALAPPDATA", "HEADWATER_SPOOL_DIR"), str(home / "state"))
        self._environment = {**clean, **state, "NO_COLOR": "1", "COLUMNS": "160", "PYTHONIOENCODING": "utf-8"}

    def runs(self, line: str) -> "subprocess.CompletedProcess[str]":
        """What comes of a line of the README: ``python`` and ``headwater`` are those of this environment."""
        return subprocess.run(
            self._words(line),
            cwd=self.directory,
            env=self._environment,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
            timeout=300,
        )

    def _words(self, line: str) -> list[str]:
        words = []
        for word in shlex.split(line):
            if word == "python":
                words.append(sys.executable)
            elif word == "headwater":
                words += [sys.executable, "-m", "headwater.cli"]
            else:
                words.append(str(EXAMPLES / self.example / word) if word.endswith(".py") else word)
        return words
