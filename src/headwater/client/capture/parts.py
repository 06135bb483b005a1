"""The parts that a step's code is made of, numbered in the order in which they are met.

Parts refer to each other by number, so cycles end and names of modules stay out of the digest: what runs as
``__main__`` today and is imported tomorrow has the same one.
"""

import hashlib
import json
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from headwater.fingerprint import canonical

#: More parts than this are not told apart: what is met later counts with the whole of its file.
MAX_PARTS = 2_000

_VERSION = "headwater code 1"
_REFERENCE = re.compile(r'\{"\$part":\d+\}')


@dataclass
class Part:
    """One function, class, constant or module. ``own`` is what it says, ``references`` what it uses."""

    name: str
    own: str = ""
    references: list[tuple[str, str]] = field(default_factory=list)

    def text(self) -> str:
        return json.dumps([self.own, self.references])


class Parts:
    """Collects parts. ``key`` says when two are the same; ``keep`` is held so that ids stay unique."""

    def __init__(self) -> None:
        self._parts: list[Part] = []
        self._places: dict[object, int] = {}
        self._kept: list[object] = []
        self._waiting: deque[Callable[[], None]] = deque()
        self._waiting_longest: deque[Callable[[], None]] = deque()
        self.left_out = 0
        self.doubts: list[str] = []
        """What could not be looked at, a sentence each."""

    def refer(
        self, key: object, name: str, fill: Callable[[Part], None], *, keep: object = None, last: bool = False
    ) -> str | None:
        """The text that refers to the part ``key``, which is filled in later; ``None`` for one too many.

        ``last``: when all others that are known by then are filled in.
        """
        place = self._places.get(key)
        if place is None:
            if len(self._parts) >= MAX_PARTS:
                self.left_out += 1
                return None
            place = self._places[key] = len(self._parts)
            part = Part(name)
            self._parts.append(part)
            self._kept.append(keep)
            # Not at once: helpers call helpers deeper than Python's stack is.
            (self._waiting_longest if last else self._waiting).append(lambda: fill(part))
        return tagged("part", str(place))

    def complete(self) -> None:
        """Fill in all parts, those met on the way too."""
        while self._waiting or self._waiting_longest:
            (self._waiting or self._waiting_longest).popleft()()

    def digest(self, root: str) -> str:
        """The digest of the whole, given the text that stands for the step."""
        whole = json.dumps([_VERSION, root, [part.text() for part in self._parts]])
        return f"sha256:{hashlib.sha256(whole.encode()).hexdigest()}"

    def names(self) -> tuple[str, ...]:
        """``name=digest`` of each part by itself, sorted, so that two lists show which part differs.

        The digests are the first 12 hexadecimal digits.
        """
        named = sorted(f"{part.name}={short_digest(_REFERENCE.sub('', part.text()))}" for part in self._parts)
        return (*named, f"({self.left_out} more)") if self.left_out else tuple(named)


def tagged(tag: str, text: str) -> str:
    """A text that no plain value has: the canonical form doubles the dollar of a key that has one."""
    return f'{{"${tag}":{text}}}'


def quoted(text: str) -> str:
    """The canonical text of a string, whatever is in it."""
    return canonical(text.encode("utf-8", "backslashreplace").decode(), what="name")


def short_digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:12]
