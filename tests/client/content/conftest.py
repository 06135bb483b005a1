"""Files to take digests of, and an ear on which of them are opened."""

import hashlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

_opened: list[list[str]] = []


def _listen(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _opened and isinstance(arguments[0], str | os.PathLike):
        path = os.fspath(arguments[0])
        for heard in _opened:
            heard.append(path if isinstance(path, str) else os.fsdecode(path))


# Python's own word about every file that is opened; a hook stays for the life of the process.
sys.addaudithook(_listen)


@pytest.fixture
def opened() -> Iterator[list[str]]:
    """The paths of all files that were opened so far in this test."""
    heard: list[str] = []
    _opened.append(heard)
    yield heard
    _opened.remove(heard)


@pytest.fixture
def settled(tmp_path: Path) -> Path:
    """A file that was last written a minute ago."""
    path = tmp_path / "settled.bin"
    path.write_bytes(b"settled")
    make_old(path)
    return path


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    """fsspec's file system in memory, empty."""
    filesystem = fsspec.filesystem("memory")
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]
    yield filesystem
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]


def make_old(path: Path, seconds: int = 60) -> None:
    then = time.time_ns() - seconds * 1_000_000_000
    os.utime(path, ns=(then, then))


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
