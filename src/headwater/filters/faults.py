"""Saying where a filter is wrong.

Every module of the package raises ``Fault`` with an offset in the text; ``located`` turns it into the
error that callers see, with the line and a caret under the place.
"""

import difflib
from collections.abc import Iterable

from headwater.errors import InvalidRequest

_SHOWN = 80
_BEFORE = 50


class Fault(Exception):
    """What is wrong, and the offset in the text where it shows; ``None`` if it shows nowhere."""

    def __init__(self, message: str, at: int | None) -> None:
        super().__init__(message)
        self.message = message
        self.at = at


def located(text: str, fault: Fault) -> InvalidRequest:
    """The error for ``fault`` in ``text``.

    ::

        filter, column 9: expected a value after '=', found AND
        state = AND uri = 's3://b/k'
                ^
    """
    if fault.at is None:
        return InvalidRequest(f"filter: {fault.message}")
    line_start = text.rfind("\n", 0, fault.at) + 1
    line_end = text.find("\n", fault.at)
    column = fault.at - line_start
    window_start = line_start + max(0, column - _BEFORE)
    window_end = min(len(text) if line_end < 0 else line_end, window_start + _SHOWN)
    shown = "".join(c if c.isprintable() else " " for c in text[window_start:window_end])
    head = "... " if window_start > line_start else ""
    tail = " ..." if window_end < (len(text) if line_end < 0 else line_end) else ""
    line = text.count("\n", 0, fault.at) + 1
    place = f"line {line}, column {column + 1}" if "\n" in text else f"column {column + 1}"
    caret = " " * (len(head) + fault.at - window_start) + "^"
    return InvalidRequest(f"filter, {place}: {fault.message}\n{head}{shown}{tail}\n{caret}")


def near_miss(word: str, known: Iterable[str]) -> str:
    """``"; did you mean x?"`` if ``word`` looks like one of ``known``, otherwise nothing."""
    close = difflib.get_close_matches(word[:100], list(known), n=1, cutoff=0.7)
    return f"; did you mean {close[0]}?" if close else ""
