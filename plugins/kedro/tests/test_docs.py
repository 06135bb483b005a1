"""docs/kedro.md and the README of the example: commands print what is shown, and nothing is left out."""

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from headwater_kedro.commands import headwater_group
from headwater_kedro.config import CachePolicy, Settings, parse_settings
from headwater_kedro.datasets import Declared, declared_of
from kedro.io import MemoryDataset

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "examples" / "kedro"
PAGE = ROOT / "docs" / "kedro.md"
TEXT = PAGE.read_text(encoding="utf-8")
PLUGIN = ROOT / "plugins" / "kedro"
PORT = "8080"
"""Of the server in the page, where another one may be at home."""
FAILS = "kedro headwater run --params lag_days=2,mill.highest_cm=400"


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Each command with the output that is shown."""
    for block in blocks(text, "console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command, output


VARYING = [
    (r"\d{4}-\d\d-\d\dT[\d.]+Z-[0-9a-f]{6}", "RUN"),
    (r"\d{4}-\d\d-\d\dT[\d.]+Z", "VERSION"),
    (r"\d{4}-\d\d-\d\dT[\d:.]+", "TIME"),
    (r"\b\d+(\.\d+)? (ms|s)\b", "TOOK"),
    (r"\b(artifact|executions?) \d+", r"\1 ID"),
    (r"^\d+ RUN", "ID RUN"),
]


def settled(output: str) -> str:
    """Without what is different each time, and without the widths of columns."""
    lines = []
    for line in output.splitlines():
        text = " ".join(line.split())
        for pattern, name in VARYING:
            text = re.sub(pattern, name, text)
        lines.append(text)
    return "\n".join([*lines, ""])


def is_shown(shown: str, output: str) -> bool:
    """Whether that is the output: ``...`` is any text of a line, or, alone in it, any lines."""
    pattern = ""
    for line in settled(shown).splitlines():
        if line == "...":
            pattern += r"(?:.*\n)*"
        else:
            pattern += ".*".join(map(re.escape, line.split("..."))) + r"\n"
    return re.fullmatch(pattern, settled(output)) is not None


class Reader:
    """Somebody who types what a page says, in a copy of the example."""

    def __init__(self, home: Path) -> None:
        self.directory = home / "rivers"
        made = shutil.ignore_patterns(".headwater", "__pycache__", "0[2-8]_*")
        shutil.copytree(EXAMPLE, self.directory, ignore=made)
        # Somebody may have tried the page in the example itself.
        (self.directory / "conf" / "local" / "headwater.yml").unlink(missing_ok=True)
        clean = {name: text for name, text in os.environ.items() if not name.startswith("HEADWATER_")}
        self.environment = {
            **clean,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), clean["PATH"]]),
            "XDG_STATE_HOME": str(home / "state"),
            "DO_NOT_TRACK": "1",
            "NO_COLOR": "1",
            "PYTHONIOENCODING": "utf-8",
            "PIP_NO_INDEX": "1",
        }
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = str(free.getsockname()[1])
        self.server: subprocess.Popen[str] | None = None

    def types(self, command: str) -> tuple[int, str]:
        """The exit code, and what is printed."""
        command = command.replace(PORT, self.port)
        if command.startswith("export "):
            name, _, value = command.removeprefix("export ").partition("=")
            self.environment[name] = value
            return 0, ""
        if command.endswith("&"):
            return 0, self._starts(command.removesuffix("&"))
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=self.directory,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            check=False,
            timeout=120,
        )
        return done.returncode, done.stdout.replace(self.port, PORT)

    def _starts(self, command: str) -> str:
        self.server = subprocess.Popen(
            ["sh", "-c", f"exec {command}"],
            cwd=self.directory,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.server.stdout is not None
        return self.server.stdout.readline().replace(self.port, PORT)

    def leaves(self) -> None:
        if self.server is not None:
            self.server.kill()
            self.server.communicate(timeout=60)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path)
    yield reader
    reader.leaves()


@pytest.mark.parametrize("page", [PAGE, EXAMPLE / "README.md"], ids=["guide", "example"])
def test_the_commands_print_one_after_the_other_what_the_page_shows(reader: Reader, page: Path) -> None:
    for command, shown in commands(page.read_text(encoding="utf-8")):
        code, output = reader.types(command)

        assert bool(code) == (command == FAILS), f"$ {command}\n{output}"
        # What shows nothing says nothing, or nothing that matters here.
        assert not shown or is_shown(shown, output), f"$ {command}\n{settled(output)}"


def test_what_differs_from_the_page_is_seen() -> None:
    shown = "took  3 ms  ...\n...\nend\n"

    assert is_shown(shown, "took 12 ms  more\nend\n")
    assert is_shown(shown, "took 12 ms  more\nany\nlines\nend\n")
    assert not is_shown(shown, "took 12 ms  more\nany\nlines\n")
    assert not is_shown(shown, "gave 12 ms  more\nend\n")


def test_the_line_for_settings_py_turns_the_plugin_off(reader: Reader) -> None:
    (line,) = blocks(TEXT, "python")
    (reader.directory / "src" / "rivers" / "settings.py").write_text(line)

    code, output = reader.types("kedro run")

    assert code == 0, output
    assert not (reader.directory / ".headwater").exists()


def test_the_page_shows_a_file_of_settings_with_every_key() -> None:
    settings = parse_settings(yaml.safe_load(blocks(TEXT, "yaml")[0]))

    unset = [one.name for one in fields(Settings) if getattr(settings, one.name) in ("", (), {}, None)]
    unset += [one.name for one in fields(CachePolicy) if getattr(settings.cache, one.name) is None]
    assert unset == []


def test_the_page_shows_what_a_catalog_can_say() -> None:
    (entry,) = yaml.safe_load(blocks(TEXT, "yaml")[1]).values()

    assert declared_of(MemoryDataset(metadata=entry["metadata"])) == Declared(version="2026-11")
    assert all(f"{{{name}: " in TEXT for name in ("cache", "version"))


KEYS = [
    *[one.name for one in fields(Settings) if one.name not in ("exclude", "cache", "nodes")],
    *["parameters.exclude", "cache.nodes"],
    *[f"cache.{one.name}" for one in fields(CachePolicy)],
]


@pytest.mark.parametrize("key", KEYS)
def test_every_key_of_the_settings_is_in_the_table(key: str) -> None:
    assert f"\n| `{key}` |" in TEXT


@pytest.mark.parametrize("command", sorted([*headwater_group.commands, "run", "plan", "spool replay"]))
def test_every_command_is_on_the_page(command: str) -> None:
    assert f"$ kedro headwater {command}" in TEXT


def test_every_variable_that_the_plugin_reads_is_on_the_page() -> None:
    code = "\n".join(path.read_text() for path in (PLUGIN / "src").rglob("*.py"))
    variables = set(re.findall(r'"(HEADWATER_[A-Z_]+)"', code))

    assert variables
    assert [name for name in variables if f"`{name}`" not in TEXT] == []


def anchors(page: Path) -> set[str]:
    """Of the headings, as they become links."""
    headings = re.findall(r"^#+ (.*)", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    "page",
    [PAGE, EXAMPLE / "README.md", PLUGIN / "README.md", ROOT / "plugins" / "README.md"],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_what_the_pages_link_is_there(page: Path) -> None:
    links = re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8"))

    missing = []
    for link in links:
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if "://" not in link and (not target.exists() or (anchor and anchor not in anchors(target))):
            missing.append(link)
    assert missing == []
