"""In which environment a step runs: Python, system, lock file, container image, installed distributions."""

import functools
import hashlib
import importlib.metadata
import os
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from headwater.errors import InvalidRequest

#: Names of lock files; the first that is found in a directory counts.
LOCK_FILES = (
    "uv.lock",
    "poetry.lock",
    "pdm.lock",
    "Pipfile.lock",
    "pylock.toml",
    "pixi.lock",
    "conda-lock.yml",
    "requirements.lock",
)

#: Larger lock files are not read.
MAX_LOCK_BYTES = 64 * 1024 * 1024

# The user's own word; what GitLab says of a job's image; what Flyte's images say of themselves.
_IMAGE_VARIABLES = ("HEADWATER_CONTAINER_IMAGE", "CI_JOB_IMAGE", "FLYTE_INTERNAL_IMAGE")


@dataclass(frozen=True)
class Environment:
    """What a program runs in. ``None`` where there is none, or none was found."""

    python: str
    """The version, ``3.12.1``."""
    implementation: str
    """``cpython``, ``pypy``."""
    platform: str
    """System and release, ``Linux 6.1.0``."""
    machine: str
    """``x86_64``, ``arm64``."""
    lock_file: str | None
    """The name of the lock file, without its directory."""
    lock_digest: str | None
    """``sha256:`` and the digest of its text with ``\\n`` at the ends of lines, as every checkout has it."""
    container_image: str | None

    @property
    def distributions_digest(self) -> str:
        """``sha256:`` and the digest of ``name==version`` of all that is installed. Slow at first."""
        return distributions_digest()


def environment(start: str | os.PathLike[str] | None = None) -> Environment:
    """The environment of this process. The lock file is looked for from ``start`` (the working directory)
    upwards, up to the root of its repository. Looked up once per process and start. Never raises.
    """
    try:
        directory = str(Path(start if start is not None else Path.cwd()).absolute())
    except OSError:  # The working directory was removed.
        directory = os.sep
    return _environment(directory, _first_image())


@functools.lru_cache(maxsize=64)
def _environment(directory: str, image: str | None) -> Environment:
    lock_file, lock_digest = _lock(Path(directory))
    system, machine = _system()
    return Environment(
        python=".".join(map(str, sys.version_info[:3])),
        implementation=sys.implementation.name,
        platform=system,
        machine=machine,
        lock_file=lock_file,
        lock_digest=lock_digest,
        container_image=image,
    )


@functools.lru_cache(maxsize=1)
def distributions_digest() -> str:
    """The digest over ``name==version``, sorted, of what Python would import; computed once per process."""
    found: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        try:
            name = re.sub(r"[-_.]+", "-", str(distribution.metadata["Name"])).lower()
            # The first on the path is the one that is imported.
            found.setdefault(name, distribution.version)
        except Exception:  # A broken distribution may raise anything.
            continue
    lines = "\n".join(f"{name}=={version}" for name, version in sorted(found.items()))
    return f"sha256:{hashlib.sha256(lines.encode('utf-8', 'replace')).hexdigest()}"


#: The parts of an environment that may be made part of a fingerprint, and how each becomes text. Of Python
#: without the last number, and of the system without its release: they change too often to mean much.
_COMPONENTS: dict[str, Callable[[Environment], str | None]] = {
    "python": lambda found: ".".join(found.python.split(".")[:2]),
    "implementation": lambda found: found.implementation,
    "platform": lambda found: found.platform.partition(" ")[0],
    "machine": lambda found: found.machine,
    "lock_file": lambda found: found.lock_digest,
    "container_image": lambda found: found.container_image,
    "distributions": lambda found: found.distributions_digest,
}


def as_components(names: Iterable[str], start: str | os.PathLike[str] | None = None) -> dict[str, str]:
    """The texts of fingerprint components, by name, for the parts of the environment that a step depends on.

    Names are python (``3.12``), implementation, platform, machine, lock_file, container_image and
    distributions. A part that is not there has the text ``none``.

    Raises:
        InvalidRequest: one of ``names`` is none of these. It is a mistake in the program and not in its
            surroundings.
    """
    names = list(names)
    for name in names:
        if name not in _COMPONENTS:
            known = ", ".join(_COMPONENTS)
            raise InvalidRequest(f"{name!r} is no part of an environment; expected some of {known}")
    found = environment(start)
    return {name: _COMPONENTS[name](found) or "none" for name in names}


def _first_image() -> str | None:
    return next((os.environ[name] for name in _IMAGE_VARIABLES if os.environ.get(name)), None)


def _lock(start: Path) -> tuple[str | None, str | None]:
    try:
        for directory in (start, *start.parents):
            for name in LOCK_FILES:
                if (directory / name).is_file():
                    return name, _digest(directory / name)
            if (directory / ".git").exists():
                break
    except OSError:
        pass
    return None, None


def _digest(path: Path) -> str | None:
    try:
        if path.stat().st_size > MAX_LOCK_BYTES:
            return None
        text = path.read_bytes().replace(b"\r\n", b"\n")
        return f"sha256:{hashlib.sha256(text).hexdigest()}"
    except OSError:
        return None


def _system() -> tuple[str, str]:
    # Not the platform module: on Windows it starts a program or asks a service that may hang.
    if sys.platform == "win32":
        version = sys.getwindowsversion()
        machine = os.environ.get("PROCESSOR_ARCHITEW6432") or os.environ.get("PROCESSOR_ARCHITECTURE") or ""
        return f"Windows {version.major}.{version.minor}.{version.build}", machine
    system = os.uname()
    return f"{system.sysname} {system.release}", system.machine
