"""MLMD's engine and headwater answer the same, but for what ``expected`` names.

``make differential`` plays many more sequences than these.
"""

from collections.abc import Iterator

import pytest

from .run import Finding, Match
from .sides import Engine, PeerMissing, open_headwater, peer_python
from .special import SEQUENCES

SEEDS = {"sqlite": range(1, 13), "postgresql": range(13, 18), "mysql": range(18, 23)}
STEPS = 250


@pytest.fixture(scope="module")
def match(backend: str) -> Iterator[Match]:
    """headwater on a backend, and the engine in memory."""
    try:
        python = peer_python()
        engine = Engine(python)
    except PeerMissing as missing:
        pytest.skip(str(missing))
    match = Match(engine, open_headwater(backend), lambda: Engine(python))
    yield match
    match.close()


def _told(match: Match, findings: list[Finding]) -> str:
    return "\n\n".join(match.shrink(finding).show() for finding in findings)


@pytest.mark.parametrize("name", SEQUENCES)
def test_a_short_sequence_is_answered_as_by_mlmd_or_as_intended(match: Match, name: str) -> None:
    findings = match.play_special(name)

    assert not findings, _told(match, findings)


@pytest.mark.parametrize(
    ("backend", "seed"),
    [(backend, seed) for backend, seeds in SEEDS.items() for seed in seeds],
    indirect=["backend"],
    scope="module",
)
def test_a_random_sequence_is_answered_as_by_mlmd_or_as_intended(match: Match, seed: int) -> None:
    findings = match.play_seed(seed, STEPS)

    assert not findings, _told(match, findings)
