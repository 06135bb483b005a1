"""Digests: their names, who computes them, and the digest of a tree of files.

A digest is written ``<algorithm>:<hexadecimal digits>``, that of a directory ``<algorithm>-tree:<digits>``.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from headwater.errors import InvalidRequest

DEFAULT = "sha256"
_TREE = "-tree"


@dataclass(frozen=True)
class Content:
    """What is at a URI.

    ``size_bytes`` of a directory is the sum over its files. ``stamp`` is the store's own word for this
    version of the content (an entity tag, a generation), by which a change is seen without reading;
    ``None`` for local files and where a store has none that can be trusted.
    """

    digest: str
    size_bytes: int
    is_directory: bool
    stamp: str | None


class Hasher(Protocol):
    def update(self, data: Any, /) -> Any: ...  # Any: bytes or a buffer, and blake3 gives itself back

    def hexdigest(self) -> str: ...


def _blake2b_256() -> Hasher:
    return hashlib.blake2b(digest_size=32)


def _blake3() -> Hasher:
    import blake3

    hasher: Hasher = blake3.blake3()
    return hasher


def _xxh3_128() -> Hasher:
    import xxhash

    hasher: Hasher = xxhash.xxh3_128()
    return hasher


# Each with the package that computes it, where Python does not.
_ALGORITHMS: dict[str, tuple[Callable[[], Hasher], str | None]] = {
    "sha256": (hashlib.sha256, None),
    "blake2b-256": (_blake2b_256, None),
    "blake3": (_blake3, "blake3"),
    # Fast, and not made to withstand someone who looks for two contents with one digest.
    "xxh3_128": (_xxh3_128, "xxhash"),
}


def hasher(algorithm: str) -> Hasher:
    """A new hasher.

    Raises:
        InvalidRequest: the algorithm is not known, or its package is not installed.
    """
    if algorithm not in _ALGORITHMS:
        known = ", ".join(_ALGORITHMS)
        raise InvalidRequest(
            f"{algorithm!r} is not a digest algorithm that is known here; use one of {known}"
        )
    make, package = _ALGORITHMS[algorithm]
    try:
        return make()
    except ImportError as exc:
        raise InvalidRequest(f"digests by {algorithm!r} need a package: pip install {package}") from exc


def digest_text(algorithm: str, digits: str) -> str:
    return f"{algorithm}:{digits}"


def tree_digest(algorithm: str, files: Iterable[tuple[str, int, str]]) -> str:
    """The digest of a directory from its files: quoted relative path, size in bytes, hexadecimal digest.

    It is taken over one line ``<digits> <size> <path>\\n`` a file, sorted by path. Paths have ``/`` between
    their parts and are percent-encoded as in a file URI, so the lines are ASCII and the same on each
    platform and in an object store. Directories without files leave no trace: object stores have none.
    """
    listing = hasher(algorithm)
    for path, size_bytes, digits in sorted(files):
        listing.update(f"{digits} {size_bytes} {path}\n".encode("ascii"))
    return f"{algorithm}{_TREE}:{listing.hexdigest()}"


def parse_digest(digest: str) -> tuple[str, bool]:
    """The algorithm of ``digest``, and whether it is of a directory. The hasher is tried.

    Raises:
        InvalidRequest: it is not a digest, or of an algorithm that cannot be computed here.
    """
    name, colon, digits = digest.partition(":")
    if not colon or not digits:
        raise InvalidRequest(f"{digest!r} is not a digest; expected '<algorithm>:<hexadecimal digits>'")
    algorithm = name.removesuffix(_TREE)
    hasher(algorithm)
    return algorithm, name.endswith(_TREE)
