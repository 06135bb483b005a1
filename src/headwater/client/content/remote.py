"""Reading objects of other stores through fsspec: in pieces, with the store's own mark of a version."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from headwater.client.content.algorithms import Content, digest_text, hasher, tree_digest
from headwater.client.content.uris import canonical_uri, quoted_path, scheme_of, without_secrets
from headwater.errors import (
    Aborted,
    FailedPrecondition,
    HeadwaterError,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    Unavailable,
)

BLOCK_BYTES = 4 << 20

_TIMES = ("created", "mtime", "modified", "updated", "LastModified", "Last-Modified", "last_modified")
_ATTEMPTS = 3
_AT_A_TIME = 8
_SHORTEST_SECRET = 4
# Errors of drivers that are no PermissionError and mean one.
_DENIED = (
    "NoCredentialsError",
    "ClientAuthenticationError",
    "DefaultCredentialsError",
    "AuthenticationException",
)


@dataclass(frozen=True)
class RemoteFile:
    """An object: its percent-encoded path below the place, its path in the file system, and its state."""

    relative: str
    path: str
    size_bytes: int | None
    stamp: str | None
    times: tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """What is found at a URI: one file, whose ``relative`` path is empty, or the files of a directory.

    ``size_bytes`` is ``None`` where the store does not tell before it is read.
    """

    uri: str
    is_directory: bool
    files: list[RemoteFile]
    filesystem: Any = field(compare=False, repr=False)  # Any: fsspec has no types

    @property
    def size_bytes(self) -> int | None:
        sizes = [file.size_bytes for file in self.files]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    @property
    def stamp(self) -> str | None:
        if not self.is_directory:
            return self.files[0].stamp
        if any(file.stamp is None for file in self.files):
            return None
        lines = (f"{file.relative} {file.size_bytes} {file.stamp}\n" for file in self.files)
        return f"tree:{sha256(''.join(lines).encode()).hexdigest()}"


def look(uri: str, *, storage_options: Mapping[str, Any] | None = None) -> Place:
    """What is at ``uri`` now, without reading it; listings that fsspec remembers are dropped first.

    Raises:
        NotFound, PermissionDenied, Unavailable: the object is not there, is closed to these credentials,
            or the store did not answer.
        FailedPrecondition: the package for this scheme is not installed.
        InvalidRequest: fsspec does not know the scheme.
    """
    name = canonical_uri(uri)
    with store_errors(uri, storage_options):
        filesystem, path = _open(uri, name, storage_options or {})
        filesystem.invalidate_cache(path)
        info = filesystem.info(path)
        if info.get("type") != "directory":
            return Place(name, False, [_file("", path, info)], filesystem)
        found = filesystem.find(path, detail=True)
    # A name that ends with a slash marks a directory in an object store.
    files = [
        _file(quoted_path(_below(key, path)), key, each)
        for key, each in found.items()
        if each.get("type") != "directory" and not key.endswith("/")
    ]
    return Place(name, True, sorted(files, key=lambda file: file.relative), filesystem)


def content_of(
    uri: str, *, algorithm: str, storage_options: Mapping[str, Any] | None = None, place: Place | None = None
) -> Content:
    """What is at ``uri``. ``place`` is what ``look`` has just found there.

    At most a few blocks are in memory at a time. The errors are those of ``look``, and Aborted if it
    was replaced while it was read, several times in a row.
    """
    hasher(algorithm)
    for _ in range(_ATTEMPTS):
        before = place or look(uri, storage_options=storage_options)
        place = None
        with store_errors(uri, storage_options):
            files = _read(before, algorithm)
        whole = all(
            file.size_bytes in (None, size) for file, (_, size, _) in zip(before.files, files, strict=True)
        )
        if whole and look(uri, storage_options=storage_options) == before:
            size_bytes = sum(size for _, size, _ in files)
            if before.is_directory:
                return Content(tree_digest(algorithm, files), size_bytes, True, before.stamp)
            return Content(digest_text(algorithm, files[0][2]), size_bytes, False, before.stamp)
    raise Aborted(f"{canonical_uri(uri)} was written to while it was read; take its digest when that is done")


@contextmanager
def store_errors(uri: str, storage_options: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Say what went wrong at ``uri`` in headwater's errors, without the secrets that drivers print."""
    try:
        yield
    except HeadwaterError:
        raise
    # Each driver has errors of its own, with no class in common.
    except Exception as exc:
        name = canonical_uri(uri)
        cause = _cause(exc, scheme_of(name))
        status = getattr(cause, "status", None)
        hidden = [text for text in _texts_in(storage_options) if text in f"{exc} {cause}"]
        # Tracebacks are logged and recorded, with what an error came from.
        shown = None if hidden else exc
        if isinstance(cause, FileNotFoundError | NotADirectoryError) or status in (404, 410):
            raise NotFound(f"{name} is not there") from shown
        said = str(cause).replace(uri, name)
        for text in hidden:
            said = said.replace(text, "...")
        said = without_secrets(said) or type(cause).__name__
        if isinstance(cause, PermissionError) or type(cause).__name__ in _DENIED or status in (401, 403):
            raise PermissionDenied(f"{name} may not be read with these credentials: {said}") from shown
        raise Unavailable(f"{name} cannot be read now: {said}") from shown


def _texts_in(options: object) -> list[str]:
    """The texts in options that may be credentials, longest first."""
    found: set[str] = set()
    waiting = [options]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str) and len(one) >= _SHORTEST_SECRET:
            found.add(one)
        elif isinstance(one, Mapping):
            waiting += one.values()
        elif isinstance(one, list | tuple):
            waiting += one
    return sorted(found, key=len, reverse=True)


def _cause(exc: Exception, scheme: str) -> BaseException:
    # fsspec's driver for the web says "not found" whatever went wrong, a refused connection included.
    if scheme in ("http", "https") and isinstance(exc, FileNotFoundError) and exc.__cause__ is not None:
        return exc.__cause__
    return exc


def _open(uri: str, name: str, options: Mapping[str, Any]) -> tuple[Any, str]:
    import fsspec
    from fsspec.registry import known_implementations, registry

    scheme = scheme_of(name)
    # The registry has those that a program brings along.
    if scheme not in fsspec.available_protocols() and scheme not in registry:
        raise InvalidRequest(f"{name!r} has the scheme {scheme!r}, which fsspec does not know; pass a digest")
    try:
        filesystem, path = fsspec.core.url_to_fs(uri, **options)
    except ImportError as exc:
        advice = (
            known_implementations.get(scheme, {}).get("err") or f"install the driver of {scheme!r}: {exc}"
        )
        raise FailedPrecondition(f"{name} cannot be read without a package: {advice}") from exc
    return filesystem, path


def _file(relative: str, path: str, info: Mapping[str, Any]) -> RemoteFile:
    size = info.get("size")
    # Too coarse to trust for long, and good enough to see a writer at work.
    times = tuple(str(info[name]) for name in _TIMES if name in info)
    return RemoteFile(relative, path, size if isinstance(size, int) else None, _stamp(info), times)


def _stamp(info: Mapping[str, Any]) -> str | None:
    """The mark of a version, if every change of content is sure to change it.

    fsspec's own ``ukey`` is not: by default it is a digest of whatever ``info`` holds.
    """
    if info.get("generation"):
        return f"generation:{info['generation']}"
    tag = info.get("ETag") or info.get("etag")
    # A weak tag promises the same meaning, not the same bytes.
    if not tag or str(tag).startswith("W/"):
        return None
    return f"etag:{str(tag).strip(chr(34))}"


def _below(key: str, path: str) -> str:
    if not key.startswith(path):
        raise Unavailable(f"the store lists {key!r} below {path!r}; its driver cannot be relied on here")
    return key[len(path) :].lstrip("/")


def _read(place: Place, algorithm: str) -> list[tuple[str, int, str]]:
    """Relative path, size and hexadecimal digest of each file, in their order."""

    def read(file: RemoteFile) -> tuple[str, int, str]:
        digest = hasher(algorithm)
        count = 0
        with place.filesystem.open(file.path, "rb") as stream:
            while block := stream.read(BLOCK_BYTES):
                digest.update(block)
                count += len(block)
        return file.relative, count, digest.hexdigest()

    # Only file systems that work on fsspec's own loop are sure to bear several threads.
    if len(place.files) > 1 and getattr(place.filesystem, "async_impl", False):
        with ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="headwater-content") as threads:
            return list(threads.map(read, place.files))
    return [read(file) for file in place.files]
