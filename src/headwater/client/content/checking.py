"""Whether what was recorded at a URI is still there and unaltered, asked before a cache hit is promised.

The URIs come out of a store into which others write, so they are not trusted. Only some schemes are
read, only what lies beneath certain roots if there are any, and of local things only files and
directories. Whoever can exchange directories while they are read is not kept out: such a person can
write what is recorded anyway.
"""

import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from headwater.client.content import local, remote
from headwater.client.content.algorithms import Content, parse_digest
from headwater.client.content.memo import Memo
from headwater.client.content.uris import ALIASES, canonical_uri, local_path, scheme_of, without_secrets
from headwater.errors import HeadwaterError, InvalidRequest, NotFound, PermissionDenied

#: Schemes that are read unless the caller says otherwise. Not the web: any host could be called.
ALLOWED_SCHEMES = frozenset(
    ["file", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "hdfs", "memory"]
)

Reason = Literal["missing", "size", "digest", "unreadable", "not_allowed", "no_digest"]


@dataclass(frozen=True)
class Expected:
    """What was recorded about an output. ``None`` where it was not."""

    uri: str
    digest: str | None
    size_bytes: int | None
    stamp: str | None = None


@dataclass(frozen=True)
class Problem:
    """Why an output cannot be taken; ``text`` is a sentence. What was found, as far as it was looked at."""

    reason: Reason
    text: str
    found_size: int | None = None
    found_digest: str | None = None


@dataclass(frozen=True)
class _Place:
    """What is there, before it is read."""

    is_directory: bool
    size_bytes: int | None
    stamp: str | None
    read: Callable[[str], Content]


def problem_with(
    expected: Expected,
    *,
    memo: Memo | None = None,
    allowed: Collection[str] | None = None,
    roots: Sequence[str | os.PathLike[str]] | None = None,
    storage_options: Mapping[str, Mapping[str, Any]] | None = None,
) -> Problem | None:
    """What is wrong with the output; ``None`` if it is what was recorded.

    Existence is looked at first, then the size, then the store's stamp, and only then the content is
    read: an equal stamp and size are enough. ``allowed`` are the schemes that may be read
    (``ALLOWED_SCHEMES`` by default), ``roots`` the paths and URIs beneath one of which the output has to
    be, symbolic links followed (anywhere by default, and for ``hdfs`` nowhere). ``storage_options`` for
    fsspec, by scheme.
    """
    try:
        uri = _permitted(expected.uri, allowed, roots)
    except InvalidRequest as exc:
        return Problem("not_allowed", str(exc))
    try:
        place = _look(uri, memo, roots, (storage_options or {}).get(scheme_of(uri)))
        return _compare(uri, expected, place)
    except NotFound as exc:
        return Problem("missing", str(exc))
    except (local.NotAFile, _Outside) as exc:
        return Problem("not_allowed", str(exc))
    except HeadwaterError as exc:
        return Problem("unreadable", str(exc))


def check_all(
    expected: Sequence[Expected],
    *,
    max_threads: int = 8,
    memo: Memo | None = None,
    allowed: Collection[str] | None = None,
    roots: Sequence[str | os.PathLike[str]] | None = None,
    storage_options: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[Problem | None]:
    """``problem_with`` for each, in the order of ``expected``, at most ``max_threads`` at a time."""

    def check(each: Expected) -> Problem | None:
        return problem_with(each, memo=memo, allowed=allowed, roots=roots, storage_options=storage_options)

    if len(expected) < 2 or max_threads < 2:
        return [check(each) for each in expected]
    with ThreadPoolExecutor(
        min(max_threads, len(expected)), thread_name_prefix="headwater-content"
    ) as threads:
        return list(threads.map(check, expected))


class _Outside(PermissionDenied):
    """A symbolic link leads out of all roots."""


def _permitted(
    recorded: str, allowed: Collection[str] | None, roots: Sequence[str | os.PathLike[str]] | None
) -> str:
    """The canonical form of ``recorded``, if it may be looked at by what it says."""
    shown = without_secrets(recorded)
    if not re.match(r"[A-Za-z][A-Za-z0-9+.\-]+:/", recorded):
        raise InvalidRequest(f"{shown!r} is not a URI; outputs are recorded with one")
    uri = canonical_uri(recorded)
    schemes = {ALIASES.get(scheme, scheme) for scheme in (ALLOWED_SCHEMES if allowed is None else allowed)}
    scheme = scheme_of(uri)
    if scheme not in schemes:
        raise InvalidRequest(f"{shown!r} is not read: the scheme {scheme!r} is not among those allowed")
    segments = uri.split("/")
    if scheme != "file" and (".." in segments or "." in segments):
        raise InvalidRequest(f"{shown!r} is not read: stores differ in what '.' and '..' mean")
    if roots is not None:
        if not any(_beneath(uri, canonical_uri(root)) for root in roots):
            raise InvalidRequest(
                f"{shown!r} is not read: it is not beneath one of the roots that are allowed"
            )
    elif scheme == "hdfs":
        # Its driver calls any host that the URI names, with this user's name.
        raise InvalidRequest(f"{shown!r} is not read: hdfs is read beneath an allowed root alone")
    elif scheme == "file" and not uri.startswith("file:///"):
        # Windows would send the user's name and a proof of the password there.
        raise InvalidRequest(f"{shown!r} is not read: it is on another host and not beneath an allowed root")
    return uri


def _beneath(uri: str, root: str) -> bool:
    return uri == root or uri.startswith(f"{root.rstrip('/')}/")


def _look(
    uri: str,
    memo: Memo | None,
    roots: Sequence[str | os.PathLike[str]] | None,
    storage_options: Mapping[str, Any] | None,
) -> _Place:
    path = local_path(uri)
    if path is not None:
        return _look_here(uri, path, memo, roots)
    place = remote.look(uri, storage_options=storage_options)

    def read(algorithm: str) -> Content:
        return remote.content_of(uri, algorithm=algorithm, storage_options=storage_options, place=place)

    return _Place(place.is_directory, place.size_bytes, place.stamp, read)


def _look_here(
    uri: str, path: Path, memo: Memo | None, roots: Sequence[str | os.PathLike[str]] | None
) -> _Place:
    guard = None
    with local.os_errors(uri):
        if roots is not None:
            guard = _guard(uri, roots)
            # From here on without links, so that what is checked is what is read.
            path = Path(os.path.realpath(path))
            guard(path)
        found = path.stat()
        if not local.is_directory(found, path):
            return _Place(
                False, found.st_size, None, lambda name: local.content_of(path, algorithm=name, memo=memo)
            )
        size_bytes = sum(file.stat.st_size for file in local.files_beneath(path, guard=guard))

    def read(algorithm: str) -> Content:
        return local.content_of_directory(path, algorithm=algorithm, memo=memo, guard=guard)

    return _Place(True, size_bytes, None, read)


def _guard(uri: str, roots: Sequence[str | os.PathLike[str]]) -> local.Guard:
    places = [place for place in map(local_path, roots) if place is not None]
    real = [Path(os.path.realpath(place)) for place in places]

    def guard(path: Path) -> None:
        if not any(path.is_relative_to(root) for root in real):
            raise _Outside(f"{uri} is not read: a symbolic link leads out of the roots that are allowed")

    return guard


def _compare(uri: str, expected: Expected, place: _Place) -> Problem | None:
    size = place.size_bytes
    if None not in (size, expected.size_bytes) and size != expected.size_bytes:
        return Problem("size", f"{uri} has {size} bytes; {expected.size_bytes} were recorded", size)
    if expected.stamp is not None and place.stamp == expected.stamp and size is not None:
        return None
    if expected.digest is None:
        return Problem(
            "no_digest", f"{uri} was recorded without a digest, so nobody can say if it is the same", size
        )
    try:
        algorithm, is_directory = parse_digest(expected.digest)
    except InvalidRequest as exc:
        return Problem("no_digest", f"{uri} cannot be compared: {exc}", size)
    if is_directory != place.is_directory:
        found, recorded = ("directory", "file") if place.is_directory else ("file", "directory")
        return Problem("digest", f"{uri} is a {found}; a {recorded} was recorded", size)
    content = place.read(algorithm)
    if content.digest != expected.digest:
        return Problem(
            "digest",
            # Not the digest that was found: the text goes to the store, whose writers chose the place.
            f"{uri} has another digest than {expected.digest}, which was recorded",
            content.size_bytes,
            content.digest,
        )
    return None
