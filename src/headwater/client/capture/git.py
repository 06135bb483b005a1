"""Which commit a step's code is of, and where it came from.

Asked of the ``git`` program if there is one; otherwise read from the repository's own files, and last from
what continuous integration says in its variables. Credentials in addresses are removed before anyone sees
them.
"""

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from headwater.client.capture.programs import output_of

_COMMIT = re.compile(r"[0-9a-fA-F]{7,64}")
# Set by git for its hooks; they would lead to the repository whose hook this is.
_MISLEADING = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR")


@dataclass(frozen=True)
class Repository:
    """A checkout. What could not be found out is ``None``."""

    url: str | None
    """Address of ``origin``, else of the first remote by name, without credentials."""
    commit: str | None
    """The full hexadecimal name; ``None`` before the first commit."""
    is_dirty: bool | None
    """Whether tracked files differ from the commit. New files do not count: steps write some all the time."""
    root: str | None
    """The top directory of the checkout."""


@dataclass(frozen=True)
class _Service:
    """The variables in which a service says what it checked out."""

    commit: str
    url: str | None = None
    root: str | None = None


_SERVICES = (
    _Service("HEADWATER_GIT_COMMIT", "HEADWATER_GIT_URL"),
    _Service("GITHUB_SHA", None, "GITHUB_WORKSPACE"),
    _Service("CI_COMMIT_SHA", "CI_PROJECT_URL", "CI_PROJECT_DIR"),
    _Service("GIT_COMMIT", "GIT_URL", "WORKSPACE"),
    _Service("BUILD_SOURCEVERSION", "BUILD_REPOSITORY_URI", "BUILD_SOURCESDIRECTORY"),
    _Service("BITBUCKET_COMMIT", "BITBUCKET_GIT_HTTP_ORIGIN", "BITBUCKET_CLONE_DIR"),
    _Service("CIRCLE_SHA1", "CIRCLE_REPOSITORY_URL"),
    _Service("BUILDKITE_COMMIT", "BUILDKITE_REPO", "BUILDKITE_BUILD_CHECKOUT_PATH"),
    _Service("TRAVIS_COMMIT", None, "TRAVIS_BUILD_DIR"),
    _Service("DRONE_COMMIT_SHA", "DRONE_GIT_HTTP_URL"),
)

# By process, because a child may live in another directory tree and long after its parent's first look.
_known: dict[tuple[int, str], Repository | None] = {}


def repository_state(path: str | os.PathLike[str]) -> Repository | None:
    """The repository that ``path`` (a file or a directory) lies in; ``None`` if there is none.

    Looked up once per process and repository, so an edit while the program runs is not seen. Runs at most two
    programs, of two seconds each. Never raises.
    """
    try:
        root = _root_of(Path(path))
        if root is None:
            return from_variables(os.environ)
        key = (os.getpid(), str(root))
        if key not in _known:
            _known[key] = _state_of(root) or from_variables(os.environ)
        return _known[key]
    except (OSError, ValueError, RuntimeError):
        return None


def from_variables(variables: Mapping[str, str]) -> Repository | None:
    """What a service of continuous integration says it checked out; ``None`` if none says anything."""
    for service in _SERVICES:
        commit = variables.get(service.commit, "")
        if not _COMMIT.fullmatch(commit):
            continue
        url = variables.get(service.url or "")
        if service.commit == "GITHUB_SHA" and "GITHUB_REPOSITORY" in variables:
            server = variables.get("GITHUB_SERVER_URL", "https://github.com")
            url = f"{server}/{variables['GITHUB_REPOSITORY']}"
        root = variables.get(service.root or "")
        return Repository(without_credentials(url) if url else None, commit, None, root or None)
    return None


def without_credentials(url: str) -> str:
    """An address without user, password, query and fragment.

    The user name stays for ``ssh``, where it is part of the address and the secret is a key.
    """
    url = url.strip()
    if "::" in url.partition("/")[0]:
        # A program to run ("ext::ssh ..."), with anything in its arguments.
        return url.partition("::")[0] + "::"
    if "://" not in url:
        # "user@host:path" as ssh has it, or a path.
        before, at, rest = url.rpartition("@")
        if at and ":" in before and "/" not in before:
            return f"{before.partition(':')[0]}@{rest}"
        return url
    try:
        parts = urlsplit(url)
        is_odd = parts.port is None and parts.netloc.rpartition("@")[2].rpartition("]")[2].endswith(":")
    except ValueError:
        is_odd = True
    if is_odd:
        # A slash or a hash sign in a password ends the host too early.
        scheme, _, rest = url.partition("://")
        return f"{scheme}://{re.split('[?#]', rest.rpartition('@')[2])[0] if '@' in rest else ''}"
    user, at, host = parts.netloc.rpartition("@")
    if at and parts.scheme in ("ssh", "git+ssh", "ssh+git"):
        host = f"{user.partition(':')[0]}@{host}"
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def _root_of(path: Path) -> Path | None:
    start = path.absolute()
    return next((parent for parent in (start, *start.parents) if (parent / ".git").exists()), None)


def _state_of(root: Path) -> Repository | None:
    program = shutil.which("git")
    variables = {name: value for name, value in os.environ.items() if name not in _MISLEADING}
    # No lock that would make the user's own git fail, no question on the terminal, no translated words.
    variables |= {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}

    def ask(*arguments: str) -> str | None:
        if program is None:
            return None
        # A repository may name a program to watch its files. It is not for us to start it.
        command = [program, "-c", "core.fsmonitor=false", *arguments]
        return output_of(command, cwd=root, environment=variables)

    status = ask("status", "--porcelain=v2", "--branch", "--untracked-files=no")
    if status is None:
        # No git, too slow, or a repository that belongs to someone else, which git does not enter.
        try:
            return _from_files(root)
        except (OSError, ValueError):
            return None
    commit, is_dirty = None, False
    for line in status.splitlines():
        if line.startswith("# branch.oid "):
            name = line.removeprefix("# branch.oid ")
            commit = name if _COMMIT.fullmatch(name) else None
        elif not line.startswith("#"):
            is_dirty = True
    remotes = ask("config", "--get-regexp", r"^remote\..*\.url$") or ""
    urls: dict[str, str] = {}
    for line in remotes.splitlines():
        name, _, url = line.partition(" ")
        urls.setdefault(name.removeprefix("remote.").removesuffix(".url"), url)
    return Repository(_chosen(urls), commit, is_dirty, str(root))


def _chosen(urls: Mapping[str, str]) -> str | None:
    if not urls:
        return None
    name = "origin" if "origin" in urls else min(urls)
    return without_credentials(urls[name])


def _from_files(root: Path) -> Repository | None:
    """Commit and address as git stores them; whether files were changed is git's secret."""
    directory = root / ".git"
    if directory.is_file():
        # A linked work tree or a submodule.
        directory = root / directory.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
    common = directory
    if (directory / "commondir").is_file():
        common = directory / (directory / "commondir").read_text(encoding="utf-8").strip()
    head = (directory / "HEAD").read_text(encoding="utf-8").strip()
    commit = _resolved(head, directory, common)
    config = common / "config"
    urls: dict[str, str] = {}
    remote = None
    for line in config.read_text(encoding="utf-8", errors="replace").splitlines() if config.is_file() else ():
        section = re.match(r'\s*\[\s*(\w+)(?:\s+"(.*)")?\s*\]', line)
        if section:
            remote = section[2] if section[1].lower() == "remote" else None
        setting = re.match(r"\s*url\s*=\s*(\S+)", line)
        if setting and remote is not None:
            urls.setdefault(remote, setting[1])
    return Repository(_chosen(urls), commit, None, str(root))


def _resolved(head: str, *directories: Path) -> str | None:
    if not head.startswith("ref:"):
        return head if _COMMIT.fullmatch(head) else None
    name = head.removeprefix("ref:").strip()
    for directory in directories:
        if (directory / name).is_file():
            found = (directory / name).read_text(encoding="utf-8").strip()
            return found if _COMMIT.fullmatch(found) else None
        packed = directory / "packed-refs"
        for line in packed.read_text(encoding="utf-8").splitlines() if packed.is_file() else ():
            commit, _, packed_name = line.partition(" ")
            if packed_name == name and _COMMIT.fullmatch(commit):
                return commit
    return None
