"""A user who tries the example that a test module is about."""

from pathlib import Path

import pytest
from examples.readmes import User


@pytest.fixture
def user(request: pytest.FixtureRequest, tmp_path: Path) -> User:
    """For ``test_race.py`` somebody who tries ``examples/race``."""
    return User(request.path.stem.removeprefix("test_"), tmp_path)
