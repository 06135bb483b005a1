"""Errors as text, without what must not be recorded."""

from collections.abc import Iterable, Mapping
from typing import Any

from headwater.client.content.uris import without_secrets
from headwater.client.recording.ending import error_text

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


def redacted(error: BaseException, secrets: Iterable[str]) -> str:
    """The traceback, without these texts and without what looks like a password in a URL."""
    text = error_text(error)
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return without_secrets(text)
