"""Which files a model package consists of."""

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

#: How many files are listed at most.
MAX_FILES = 1_000

#: How many bytes are read at most for digests, all in all.
MAX_BYTES = 16 * 1024**3

# A directory with more entries than this is not a model package, and sorting it would take long.
_MOST_ENTRIES = 100_000
_BLOCK_BYTES = 1024 * 1024


class ModelFile(TypedDict):
    """One file of a package."""

    path: str
    """Relative to the package, with ``/`` between its parts; the name alone if the package is one file."""
    size_bytes: int
    digest: str | None
    """``sha256:`` and 64 hexadecimal digits; ``None`` if the file could not be read, or not any more."""


@dataclass(frozen=True)
class Manifest:
    """The files of a package."""

    files: list[ModelFile] = field(default_factory=list)
    """By path, in the order of code points."""
    left_out: int = 0
    """How many more files there are. Where there are more than 100,000, at least that many."""


def manifest(
    path: str | os.PathLike[str], *, max_files: int = MAX_FILES, max_bytes: int = MAX_BYTES
) -> Manifest:
    """The files below ``path`` (a directory or one file), the first ``max_files`` of them by path.

    Files behind the first ``max_bytes`` have no digest, because reading takes time: about a second for a
    gigabyte. Links to files count as files, links to directories are not followed, and what is neither
    (pipes, devices) is skipped. Empty if there is nothing. Never raises.
    """
    root = Path(path)
    try:
        found = {root.name: root} if root.is_file() else dict(_files_below(root))
    except (OSError, ValueError):
        return Manifest()
    files: list[ModelFile] = []
    bytes_left = max_bytes
    for name in sorted(found)[:max_files]:
        try:
            size = found[name].stat().st_size
            digest = _digest(found[name], size) if size <= bytes_left else None
        except OSError:
            size, digest = 0, None
        bytes_left -= size if digest is not None else 0
        files.append({"path": name, "size_bytes": size, "digest": digest})
    return Manifest(files, max(0, len(found) - len(files)))


def _files_below(root: Path) -> Iterator[tuple[str, Path]]:
    count = 0
    for directory, directories, names in os.walk(root):
        directories.sort()
        for name in sorted(names):
            found = Path(directory, name)
            if not _is_regular(found):
                continue
            count += 1
            if count > _MOST_ENTRIES:
                return
            # What is no text in the system's encoding still needs a name that can be stored.
            relative = found.relative_to(root).as_posix().encode("utf-8", "surrogateescape")
            yield relative.decode("utf-8", "replace"), found


def _is_regular(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False


def _digest(path: Path, size: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        # No further than it was long: it may be growing.
        while size > 0 and (block := file.read(min(size, _BLOCK_BYTES))):
            digest.update(block)
            size -= len(block)
    return f"sha256:{digest.hexdigest()}"
