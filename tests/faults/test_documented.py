"""The messages that docs/databases.md explains are those that the code says."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

_ROWS = re.findall(r"^\| (`.*?) \|", (ROOT / "docs" / "databases.md").read_text(), re.MULTILINE)
MESSAGES = [
    message
    for row in _ROWS
    if not row.startswith(("`sqlite:", "`postgresql:", "`mysql:"))
    for message in re.findall("`(.*?)`", row)
]


def said() -> str:
    """All that the code says, its literals joined where they are broken into lines."""
    sources = sorted((ROOT / "src" / "headwater" / "storage").rglob("*.py"))
    text = "\n".join(source.read_text() for source in sources)
    return re.sub(r'"\s*\n\s*f?"', "", text)


@pytest.mark.parametrize("message", MESSAGES)
def test_a_documented_message_is_one_that_is_said(message: str) -> None:
    assert message in said()
