"""Reading files and directories of this machine, and nothing else that has a path.

A device, a FIFO or a socket is never opened: that may wait for ever, or do something. Symbolic links are
followed as a reader of the data follows them, in a directory too; a circle of them is an error.
"""

import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from headwater.client.content.algorithms import Content, digest_text, hasher, tree_digest
from headwater.client.content.memo import Memo
from headwater.client.content.uris import canonical_uri, quoted_path
from headwater.errors import Aborted, HeadwaterError, InvalidRequest, NotFound, PermissionDenied, Unavailable

BLOCK_BYTES = 1 << 20

# How often something that is written to while it is read is begun anew.
_ATTEMPTS = 3


class NotAFile(InvalidRequest):
    """A device, a FIFO or a socket. These are not opened."""


@dataclass(frozen=True)
class LocalFile:
    """A file in a directory: its percent-encoded path from there, where it is, and its state."""

    relative: str
    path: Path
    stat: os.stat_result


#: Raises for a path, with no symbolic link left in it, that may not be read.
Guard = Callable[[Path], None]


def content_of(path: Path, *, algorithm: str, memo: Memo | None) -> Content:
    """What is at ``path``, a file or a directory.

    Raises:
        NotFound: nothing is there.
        PermissionDenied: it is closed to this process.
        Unavailable: reading failed.
        NotAFile: it is a device, a FIFO or a socket.
        InvalidRequest: links in the directory lead in a circle.
        Aborted: it was written to while it was read, several times in a row.
    """
    hasher(algorithm)
    uri = canonical_uri(path)
    with os_errors(uri):
        if is_directory(path.stat(), path):
            return _directory(path, algorithm, memo, None)
        try:
            digits, size_bytes = digest_of_file(path, algorithm, memo)
        finally:
            if memo is not None:
                memo.flush()
    return Content(digest_text(algorithm, digits), size_bytes, False, None)


def content_of_directory(
    path: Path, *, algorithm: str, memo: Memo | None, guard: Guard | None = None
) -> Content:
    """As ``content_of`` for a directory; ``guard`` is asked about each symbolic link in it."""
    with os_errors(canonical_uri(path)):
        return _directory(path, algorithm, memo, guard)


def is_directory(found: os.stat_result, path: Path) -> bool:
    """Whether ``path``, which looks like ``found``, is a directory and not a file.

    Raises:
        NotAFile: it is neither.
    """
    if stat.S_ISDIR(found.st_mode):
        return True
    if stat.S_ISREG(found.st_mode):
        return False
    raise NotAFile(
        f"{canonical_uri(path)} is a device, a FIFO or a socket, which are not opened; "
        "name a file or a directory"
    )


def digest_of_file(path: Path, algorithm: str, memo: Memo | None) -> tuple[str, int]:
    """The hexadecimal digest of a file and its size in bytes; OSErrors are the caller's."""
    uri = ""
    if memo is not None:
        uri = canonical_uri(path)
        found = path.stat()
        known = memo.find(uri, found, algorithm)
        if known is not None:
            return known, found.st_size
    for _ in range(_ATTEMPTS):
        read_at_ns = time.time_ns()
        with _open_regular(path) as file:
            before = os.fstat(file.fileno())
            digits, count = _digest(file, algorithm, before.st_size)
        # By the path, not by the open file: another file may have taken its place.
        if count == before.st_size and _same(before, path.stat()):
            if memo is not None:
                memo.remember(uri, before, algorithm, digits, read_at_ns=read_at_ns)
            return digits, count
    raise _restless(path)


def files_beneath(root: Path, *, guard: Guard | None = None) -> list[LocalFile]:
    """All files in the directory ``root`` and below, in no particular order. OSErrors are the caller's.

    Raises:
        NotFound: a symbolic link leads nowhere.
        NotAFile: there is a device, a FIFO or a socket.
        InvalidRequest: links lead in a circle.
    """
    files: list[LocalFile] = []
    waiting = [(root, "", frozenset([_identity(root.stat())]))]
    while waiting:
        directory, relative, above = waiting.pop()
        with os.scandir(directory) as entries:
            for entry in entries:
                path = Path(entry.path)
                here = f"{relative}{quoted_path(entry.name)}"
                # A junction of Windows is no symbolic link and leads elsewhere all the same.
                if guard is not None and (entry.is_symlink() or os.name == "nt"):
                    guard(Path(os.path.realpath(path)))
                found = _stat_of_entry(path)
                if not is_directory(found, path):
                    files.append(LocalFile(here, path, found))
                    continue
                identity = _identity(found)
                if identity in above:
                    raise InvalidRequest(
                        f"the symbolic links of {canonical_uri(path)} lead in a circle; remove one of them"
                    )
                waiting.append((path, f"{here}/", above | {identity}))
    return files


@contextmanager
def os_errors(uri: str) -> Iterator[None]:
    """Say what went wrong at ``uri`` in headwater's errors."""
    try:
        yield
    except HeadwaterError:
        raise
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise NotFound(f"{uri} is not there") from exc
    except PermissionError as exc:
        raise PermissionDenied(f"{uri} may not be read by this process; check who may read it") from exc
    except OSError as exc:
        raise Unavailable(f"{uri} cannot be read: {exc.strerror or exc}") from exc


def _directory(path: Path, algorithm: str, memo: Memo | None, guard: Guard | None) -> Content:
    try:
        for _ in range(_ATTEMPTS):
            before = files_beneath(path, guard=guard)
            files = [(file.relative, *_sized(digest_of_file(file.path, algorithm, memo))) for file in before]
            if _states(before) == _states(files_beneath(path, guard=guard)):
                size_bytes = sum(size for _, size, _ in files)
                return Content(tree_digest(algorithm, files), size_bytes, True, None)
    finally:
        if memo is not None:
            memo.flush()
    raise _restless(path)


def _restless(path: Path) -> Aborted:
    return Aborted(
        f"{canonical_uri(path)} was written to while it was read; take its digest when the writer is done"
    )


def _sized(digest: tuple[str, int]) -> tuple[int, str]:
    digits, size_bytes = digest
    return size_bytes, digits


def _states(files: list[LocalFile]) -> dict[str, tuple[int, ...]]:
    return {
        file.relative: (*_identity(file.stat), file.stat.st_size, file.stat.st_mtime_ns) for file in files
    }


def _stat_of_entry(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except FileNotFoundError:
        if path.is_symlink():
            raise NotFound(f"{canonical_uri(path)} is a symbolic link that leads nowhere") from None
        raise


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _same(one: os.stat_result, other: os.stat_result) -> bool:
    return (*_identity(one), one.st_size, one.st_mtime_ns) == (
        *_identity(other),
        other.st_size,
        other.st_mtime_ns,
    )


def _open_regular(path: Path) -> FileIO:
    # Looked at before, because opening may already act, and after, because it may have been exchanged;
    # O_NONBLOCK keeps a FIFO that slipped in from waiting.
    if is_directory(path.stat(), path):
        raise IsADirectoryError(None, "it is a directory", os.fspath(path))
    flags = os.O_RDONLY
    for name in ("O_NONBLOCK", "O_NOCTTY", "O_BINARY"):
        flags |= getattr(os, name, 0)
    file = os.fdopen(os.open(path, flags), "rb", buffering=0)
    try:
        is_directory(os.fstat(file.fileno()), path)
    except BaseException:
        file.close()
        raise
    return file


def _digest(file: FileIO, algorithm: str, size_bytes: int) -> tuple[str, int]:
    """The digest and the bytes read, which are more than ``size_bytes`` if the file has grown.

    A loop of its own rather than ``hashlib.file_digest``: that is not in Python 3.10, and reads on for as
    long as a writer writes.
    """
    digest = hasher(algorithm)
    block = memoryview(bytearray(min(BLOCK_BYTES, size_bytes + 1)))
    count = 0
    while count <= size_bytes:
        got = file.readinto(block)
        if got is None:
            raise BlockingIOError(None, "it is not ready to be read")
        if not got:
            break
        digest.update(block[:got])
        count += got
    return digest.hexdigest(), count
