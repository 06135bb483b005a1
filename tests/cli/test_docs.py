"""The documents name every command, option and setting, and their examples do what they show."""

import re
import shlex
from pathlib import Path

import click
import pytest

from headwater.cli import main
from headwater.cli.settings import Setting

DOCS = Path(__file__).parents[2] / "docs"
CLI = (DOCS / "cli.md").read_text(encoding="utf-8")
SETTINGS = (DOCS / "settings.md").read_text(encoding="utf-8")
MLMD_SERVER = (DOCS / "mlmd-server.md").read_text(encoding="utf-8")


def commands(command=main, path=()):
    """Every command with the words that call it."""
    if isinstance(command, click.Group):
        for name, part in command.commands.items():
            yield from commands(part, (*path, name))
    else:
        yield " ".join(path), command


COMMANDS = dict(commands())


def settings():
    """Every setting, once, by its flag."""
    return {
        option.opts[0]: option
        for command in COMMANDS.values()
        for option in command.params
        if isinstance(option, Setting)
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented_and_its_help_has_an_example(name):
    command = COMMANDS[name]

    assert f"{name}`" in CLI or f"headwater {name} " in CLI
    assert f"headwater {name}" in (command.epilog or "")
    assert all(option.help for option in command.params if isinstance(option, click.Option))


def test_every_option_is_documented():
    flags = {
        option.opts[0]
        for command in COMMANDS.values()
        for option in command.params
        if isinstance(option, click.Option) and option.opts[0].startswith("--")
    }

    assert sorted(flag for flag in flags if f"`{flag}" not in CLI + SETTINGS + MLMD_SERVER) == []


def test_the_table_of_settings_is_what_the_command_line_has():
    rows = [
        tuple(cell.strip(" `") for cell in line.strip("|").split("|"))
        for line in SETTINGS.splitlines()
        if line.startswith("| `--")
    ]

    documented = {(flag, envvar, key, default) for flag, envvar, key, _, default, _ in rows}

    assert documented == {
        (flag, option.envvar, option.name, default_of(option)) for flag, option in settings().items()
    }


def test_the_table_of_flags_is_what_the_stand_in_for_mlmds_server_has():
    (section,) = re.findall(r"^## Flags\n(.*?)^## ", MLMD_SERVER, re.MULTILINE | re.DOTALL)
    documented = re.findall(r"^\| `(--\w+)` \| `?([^`|]*?)`? ?\|", section, re.MULTILINE)

    assert documented == [
        (option.opts[0], str(option.default).lower())
        for option in COMMANDS["mlmd-server"].params
        if not isinstance(option, Setting) and option.name != "config"
    ]


def default_of(option):
    if option.is_flag:
        return "off"
    default = option.to_info_dict()["default"]
    return "none" if default is None else str(default)


@pytest.fixture
def _in_the_directory_of_the_store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def examples():
    """The commands in blocks of ``console``, each with the output shown below it; ``None`` if none is."""
    for block in re.findall(r"^```console\n(.*?)^```", CLI, re.MULTILINE | re.DOTALL):
        for command, output in re.findall(r"^\$ headwater (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
            yield pytest.param(shlex.split(command), output or None, id=command)


@pytest.mark.parametrize(("arguments", "output"), list(examples()))
@pytest.mark.usefixtures("_in_the_directory_of_the_store")
def test_an_example_does_what_it_shows(run, taxi, arguments, output):
    result = run(*arguments, env={"HEADWATER_TARGET": taxi.url})

    assert result.exit_code == 0, result.output
    if output is not None:
        assert result.stdout == output


def test_the_example_of_a_settings_file_is_read(run, tmp_path):
    (example,) = re.findall(r"^```toml\n(.*?)^```", SETTINGS, re.MULTILINE | re.DOTALL)
    file = tmp_path / "headwater.toml"
    file.write_text(example)

    result = run("serve", "--config", file, "--host", "192.0.2.1", "--database-url", "sqlite://")

    assert "cannot listen on 192.0.2.1:8080" in result.stderr
