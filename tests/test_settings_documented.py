"""docs/settings.md names every environment variable that the SDK reads."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CODE = "\n".join(path.read_text() for path in (ROOT / "src" / "headwater" / "client").rglob("*.py"))
# In quotation marks of code, not in sentences.
VARIABLES = sorted(set(re.findall(r'"(HEADWATER_[A-Z_]+)"', CODE)))


@pytest.mark.parametrize("variable", VARIABLES)
def test_every_variable_of_the_sdk_is_documented(variable):
    assert f"`{variable}`" in (ROOT / "docs" / "settings.md").read_text()


def test_there_are_variables():
    assert "HEADWATER_TRIGGER" in VARIABLES
