"""Stores that runs of this process are recorded in."""

import os
from typing import Any

import headwater

_LONGEST_QUESTION_S = 2.0
_stores: dict[tuple[int, str], Any] = {}


def store_at(target: str) -> Any:
    """The store, opened once in each process."""
    key = (os.getpid(), target)
    if key not in _stores:
        store = headwater.connect(target, lazy=True)
        # Questions are not worth waiting for either; what runs tell has a limit of its own.
        _stores[key] = store.with_timeout(_LONGEST_QUESTION_S)
    return _stores[key]
