"""Credentials of a project as texts, to be left out of what is recorded."""

from collections.abc import Iterable, Mapping
from typing import Any

# Shorter ones, such as a user's initials, would tear holes into any text.
_SHORTEST = 4


def secrets_in(credentials: Any) -> "frozenset[str]":
    """All texts of the credentials of a project, however they are nested."""
    if isinstance(credentials, str):
        return frozenset([credentials] if len(credentials) >= _SHORTEST else [])
    if isinstance(credentials, Mapping):
        credentials = credentials.values()
    if not isinstance(credentials, Iterable) or isinstance(credentials, bytes):
        return frozenset()
    return frozenset().union(*map(secrets_in, credentials))
