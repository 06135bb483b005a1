"""What ``kedro headwater run`` asks for beyond what Kedro's own ``run`` knows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass
class Wishes:
    """Of the command that this process carries out."""

    skips: bool = False
    """Whether nodes that are proven done are skipped, whichever runner it has."""
    parameters: "Mapping[str, Any] | None" = None
    """All parameters of the project, in the place of those in ``conf``."""
    not_kept: "Sequence[str]" = ()
    """Names of those that are taken from ``conf`` all the same."""
    resumes: str = ""
    """``PIPELINE/RUN`` that is repeated."""


wishes = Wishes()
