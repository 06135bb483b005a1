"""The intended disagreements with MLMD's engine, each with its number in quirks.md or filter-query.md."""

from collections.abc import Callable
from dataclasses import dataclass

from .compare import Exchange
from .steps import Step


@dataclass(frozen=True)
class Intended:
    """``holds`` says whether what the engine and headwater answered to a step is this disagreement.

    After one with ``diverges`` the two stores differ for good; the sequence ends there.
    """

    name: str
    why: str
    holds: Callable[[Step, Exchange, Exchange], bool]
    diverges: bool = False


INTENDED: tuple[Intended, ...] = ()


def find_intended(step: Step, engine: Exchange, ours: Exchange) -> Intended | None:
    return next((intended for intended in INTENDED if intended.holds(step, engine, ours)), None)
