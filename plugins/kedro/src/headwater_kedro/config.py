"""``conf/<env>/headwater.yml``: where runs are recorded, and how. All of it is optional."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from kedro.config import MissingConfigException

from headwater.errors import InvalidRequest

PATTERNS = ["headwater*", "headwater*/**"]
"""Names of the files, as Kedro's own configuration loader looks for them in ``conf``."""
ADDRESS = "HEADWATER_ADDRESS"
DIRECTORY = ".headwater"


@dataclass(frozen=True)
class CachePolicy:
    """How nodes use the cache. ``None`` leaves it to what holds for all nodes."""

    policy: "bool | str | None" = None
    """``on``, ``off``, ``read`` (is not hit by others) or ``write`` (runs; others may hit it)."""
    max_age_s: "float | None" = None
    """What finished longer ago is not reused. Seconds."""
    salt: "str | None" = None
    """Another text makes all earlier executions miss."""
    environment: "Sequence[str] | None" = None
    """What of the surroundings decides too: ``python``, ``lock_file``, ``platform``, ``distributions`` ..."""

    def over(self, other: "CachePolicy") -> "CachePolicy":
        """This one, and ``other`` where this says nothing."""
        given = {name: value for name, value in vars(self).items() if value is not None}
        return CachePolicy(**{**vars(other), **given})


@dataclass(frozen=True)
class Settings:
    """What ``headwater.yml`` says."""

    address: str = ""
    """``HOST:PORT`` of a server or the URL of a database; empty for the project's own store."""
    project: str = ""
    """Name of the project in the store; empty for that of its directory."""
    record: bool = True
    """Whether runs are recorded at all."""
    skip: bool = False
    """Whether every run skips what is proven done, whichever runner it has."""
    strict: bool = False
    """Whether a run fails where it cannot be recorded."""
    timeout_s: "float | None" = None
    """How long recording may take before and after each node."""
    exclude: Sequence[str] = ()
    """Parameters that are neither recorded nor decide: names with dots, ``*`` for any text."""
    cache: CachePolicy = CachePolicy()
    """What holds for all nodes."""
    nodes: Mapping[str, CachePolicy] = field(default_factory=dict)
    """What holds for nodes by name, ``*`` for any text; of several that fit, the last one counts."""

    def policy_of(self, node: str) -> CachePolicy:
        """How the node of this name uses the cache."""
        found = self.cache
        for pattern, policy in self.nodes.items():
            if fnmatchcase(node, pattern):
                found = policy.over(found)
        return found

    def is_excluded(self, parameter: str) -> bool:
        """Whether the parameter, named with dots, is left out, or something that it is part of."""
        parts = parameter.split(".")
        names = [".".join(parts[:end]) for end in range(1, len(parts) + 1)]
        return any(fnmatchcase(name, pattern) for pattern in self.exclude for name in names)


def register(config_loader: Any) -> None:
    """Let a configuration loader of Kedro's know the name of our file."""
    patterns = getattr(config_loader, "config_patterns", None)
    if patterns is not None and "headwater" not in patterns:
        patterns["headwater"] = PATTERNS


def read_settings(config_loader: Any) -> Settings:
    """What the project says in the environment of this configuration loader.

    Raises:
        InvalidRequest: a key that there is not, or a value that cannot be.
    """
    return parse_settings(read_file(config_loader))


def read_file(config_loader: Any) -> dict[str, Any]:
    """The content of ``headwater.yml``; empty where there is none."""
    try:
        return dict(config_loader["headwater"])
    except (MissingConfigException, KeyError):
        return {}


def parse_settings(given: Mapping[str, Any]) -> Settings:
    """Settings from the content of ``headwater.yml``. Raises as ``read_settings``."""
    top = _checked(
        given, "", ["address", "project", "record", "skip", "strict", "timeout_s", "parameters", "cache"]
    )
    parameters = _checked(top.pop("parameters", None), "parameters", ["exclude"])
    cache = _checked(top.pop("cache", None), "cache", [*_POLICY_KEYS, "nodes"])
    nodes = _mapping(cache.pop("nodes", None), "cache.nodes")
    for key in ("record", "skip", "strict"):
        if not isinstance(top.get(key, False), bool):
            raise InvalidRequest(f"headwater.yml: {key} is true or false, and not {top[key]!r}")
    timeout_s = top.get("timeout_s")
    if timeout_s is not None:
        _check_positive(timeout_s, "timeout_s")
    for key in ("address", "project"):
        if not isinstance(top.get(key, ""), str):
            raise InvalidRequest(f"headwater.yml: {key} is a text, and not {top[key]!r}")
    return Settings(
        **top,
        exclude=_texts(parameters.get("exclude"), "parameters.exclude"),
        cache=_policy(cache, "cache"),
        nodes={
            str(name): _policy(_checked(one, f"cache.nodes.{name}", _POLICY_KEYS), f"cache.nodes.{name}")
            for name, one in nodes.items()
        },
    )


_POLICY_KEYS = [one.name for one in fields(CachePolicy)]
_POLICIES = (True, False, "on", "off", "read", "write")


def _policy(given: Mapping[str, Any], where: str) -> CachePolicy:
    policy = given.get("policy")
    if policy is not None and policy not in _POLICIES:
        raise InvalidRequest(f"headwater.yml: {where}.policy is on, off, read or write, and not {policy!r}")
    max_age_s = given.get("max_age_s")
    if max_age_s is not None:
        _check_positive(max_age_s, f"{where}.max_age_s")
    salt, environment = given.get("salt"), given.get("environment")
    return CachePolicy(
        policy,
        max_age_s,
        None if salt is None else str(salt),
        None if environment is None else _texts(environment, f"{where}.environment"),
    )


def _check_positive(given: Any, where: str) -> None:
    if isinstance(given, bool) or not isinstance(given, int | float) or given <= 0:
        raise InvalidRequest(f"headwater.yml: {where} is a number of seconds above 0, and not {given!r}")


def _mapping(given: Any, where: str) -> dict[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InvalidRequest(f"headwater.yml: {where or 'it'} holds keys and values, and not {given!r:.100}")
    return dict(given)


def _checked(given: Any, where: str, known: Sequence[str]) -> dict[str, Any]:
    found = _mapping(given, where)
    for key in found:
        if key not in known:
            place = f" in {where}" if where else ""
            raise InvalidRequest(
                f"headwater.yml: there is no key {key!r}{place}; it knows {', '.join(known)}"
            )
    return found


def _texts(given: Any, where: str) -> tuple[str, ...]:
    if given is None:
        return ()
    if isinstance(given, str):
        return (given,)
    if not isinstance(given, Sequence):
        raise InvalidRequest(f"headwater.yml: {where} is a list of texts, and not {given!r:.100}")
    return tuple(str(one) for one in given)


def target_of(settings: Settings, project: Path) -> str:
    """Where runs of the project are recorded: what the environment says, the file, or its own store.

    Raises:
        InvalidRequest: it is neither ``HOST:PORT`` nor a URL.
    """
    told = {ADDRESS: os.environ.get(ADDRESS), "headwater.yml: address": settings.address}
    for where, target in told.items():
        if target:
            if ":" not in target:
                raise InvalidRequest(f"{where} is HOST:PORT or the URL of a database, and not {target!r}")
            return target
    return own_store(project)


def own_store(project: Path) -> str:
    """The URL of the project's own store."""
    return f"sqlite:///{(project.absolute() / DIRECTORY).as_posix()}/headwater.db"


def own_directory(project: Path) -> Path:
    """The project's directory for what is headwater's, which git leaves alone. Made if it is not there."""
    directory = project.absolute() / DIRECTORY
    directory.mkdir(exist_ok=True)
    ignored = directory / ".gitignore"
    if not ignored.exists():
        ignored.write_text("*\n", encoding="utf-8")
    return directory


def project_name(settings: Settings, project: Path) -> str:
    """The first part of the names of its pipelines in the store."""
    return settings.project or project.absolute().name
