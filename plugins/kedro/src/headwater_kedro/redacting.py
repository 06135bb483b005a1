"""Errors as text, without what must not be recorded."""

from collections.abc import Iterable

from headwater.client.content.uris import without_secrets
from headwater.client.recording.ending import error_text


def redacted(error: BaseException, secrets: Iterable[str]) -> str:
    """The traceback, without these texts and without what looks like a password in a URL."""
    text = error_text(error)
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return without_secrets(text)
