"""The examples of the documents about runs and the cache show what the commands print."""

import re
import shlex
import time
from pathlib import Path

import pytest
from cli.churn import record_churn

CLI = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
EXAMPLE = re.compile(r"^```console churn\n\$ headwater (.*)\n((?:(?!```).*\n)*)```", re.MULTILINE)


@pytest.fixture
def url(database_url):
    """The URL of a database on each backend: what these commands show must not depend on it."""
    return database_url


@pytest.fixture
def _in_utc(monkeypatch):
    """Times on the command line are local."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(("command", "shown"), EXAMPLE.findall(CLI), ids=lambda text: text.splitlines()[0])
@pytest.mark.usefixtures("_in_utc")
def test_an_example_about_runs_shows_what_is_printed(run, url, command, shown):
    record_churn(url)

    result = run(*shlex.split(command), "--target", url)

    assert result.exit_code == 0, result.output
    assert without_ids(result.stdout, url) == without_ids(shown, url)


def without_ids(text, url):
    """On servers ids have gaps, all of one digit here."""
    return text if url.startswith("sqlite") else re.sub(r"\b\d\b", "N", text)
