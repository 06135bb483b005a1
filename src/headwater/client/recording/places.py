"""Where spools are: a directory of the user's, and in it one for each store."""

import functools
import hashlib
import json
import os
import re
import socket
import sys
import tempfile
from pathlib import Path

from headwater.client.content import Memo

DIRECTORY_VARIABLE = "HEADWATER_SPOOL_DIR"

# Greedy up to the last @, since a password may hold what it should not.
_PASSWORD = re.compile(r"(://[^:/@\s]*):.*@", re.DOTALL)
# A colon that is not that of a port.
_HAS_PASSWORD = re.compile(r"://[^:/@?\s]*:(?!\d*[/?])")
_TARGET_FILE = "store.json"


def spool_root() -> Path:
    """The directory of all spools: ``HEADWATER_SPOOL_DIR``, or where the system keeps a user's state."""
    chosen = os.environ.get(DIRECTORY_VARIABLE)
    return Path(chosen).expanduser() if chosen else _state_directory() / "headwater" / "spool"


def _state_directory() -> Path:
    try:
        home = Path.home()
    except RuntimeError:  # A user without an entry in the system's list, as in many containers.
        home = Path(tempfile.gettempdir()) / f"user-{getattr(os, 'getuid', lambda: 0)()}"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    if sys.platform == "darwin":
        return home / "Library" / "Application Support"
    return Path(os.environ.get("XDG_STATE_HOME") or home / ".local" / "state")


@functools.lru_cache(maxsize=1)
def memo() -> Memo:
    """The digests of files that this user's processes know already."""
    return Memo(_state_directory() / "headwater" / "digests.db")


def shown_target(target: str) -> str:
    """A store's address as it may be shown and kept: without password and options, files by whole paths.

    One that has no address, as a database in memory, is known by the process.
    """
    if not is_address(target):
        return f"memory of {socket.gethostname()}:{os.getpid()}"
    shown = target
    if "://" in target:
        # Options begin behind the password, which may hold a question mark too.
        user, at, rest = target.partition("@")
        if "?" in user and not _HAS_PASSWORD.search(user):
            shown = user.partition("?")[0]
        else:
            shown = _PASSWORD.sub(r"\1@", f"{user}{at}{rest.partition('?')[0]}")
    scheme, slashes, path = shown.partition(":///")
    if slashes and scheme.startswith("sqlite") and path:
        return f"sqlite:///{Path(path).absolute().as_posix()}"
    return shown


def is_address(target: str) -> bool:
    """Whether a target names a store that other processes know by it too."""
    return bool(target) and target not in ("sqlite://", "sqlite:///:memory:")


def spool_directory(target: str, root: Path | None = None) -> Path:
    """The directory of a store's spool; it need not exist."""
    name = hashlib.sha256(shown_target(target).encode()).hexdigest()[:16]
    return (root or spool_root()) / name


def make_spool_directory(directory: Path, target: str) -> None:
    """Make the directory of a store's spool, for this user alone, and note in it whose it is.

    Raises:
        OSError: it cannot be made.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    named = directory / _TARGET_FILE
    if not named.exists():
        named.write_text(json.dumps({"target": shown_target(target)}))


def target_of(directory: Path) -> str:
    """The store that a spool is for; empty where that cannot be read."""
    try:
        return str(json.loads((directory / _TARGET_FILE).read_text())["target"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
