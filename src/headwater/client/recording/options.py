"""What an author says about a step, and how the cache is to be used."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from headwater.client.recording.outputs import Output
from headwater.errors import InvalidRequest
from headwater.v1 import pipelines_pb2 as pp

_Mode = pp.CachePolicy.Mode
_MODES: Mapping[object, "pp.CachePolicy.Mode"] = {
    True: _Mode.READ_AND_WRITE,
    "on": _Mode.READ_AND_WRITE,
    False: _Mode.OFF,
    "off": _Mode.OFF,
    "read": _Mode.READ,
    "write": _Mode.WRITE,
}
_LONGEST_NAME = 200


@dataclass(frozen=True)
class CacheOptions:
    """How a step uses the cache. ``None`` takes what the run says."""

    cache: "bool | str | None" = None
    """``"on"``, ``"read"`` (hits, is not hit by others), ``"write"`` (runs, others may hit it), ``"off"``."""
    max_age: "timedelta | float | None" = None
    """Executions that finished longer ago are not hit. Seconds, or a timedelta."""
    salt: str | None = None
    """Text in the fingerprint: another one makes all earlier executions miss."""
    environment: "Sequence[str] | Mapping[str, str] | None" = None
    """What of the environment counts in the fingerprint: names of ``capture.environment.as_components`` such
    as ``lock_file`` and ``python``, or texts by name."""
    wait_timeout: "float | None" = None
    """How long to wait, in seconds, for another that is computing the same; then it is computed here too."""
    never_waits: bool | None = None
    persist: bool | None = None
    """Keep objects that a function returns, pickled, in the run's directory, so that they can be reused."""

    def over(self, other: "CacheOptions") -> "CacheOptions":
        """These options, and those of ``other`` where these say nothing."""
        given = {name: value for name, value in vars(self).items() if value is not None}
        return replace(other, **given)

    def policy(self, *, force: bool = False) -> pp.CachePolicy:
        """As it is asked.

        Raises:
            InvalidRequest: a mode that does not exist, or a negative age.
        """
        cache = True if self.cache is None else self.cache
        if cache not in _MODES:
            raise InvalidRequest(f"cache={cache!r} is not a mode; use 'on', 'off', 'read' or 'write'")
        mode = _MODES[cache]
        if force and mode != _Mode.OFF:
            mode = _Mode.OFF if mode == _Mode.READ else _Mode.WRITE
        max_age = self.max_age
        seconds = max_age.total_seconds() if isinstance(max_age, timedelta) else max_age
        if seconds is not None and seconds <= 0:
            raise InvalidRequest(
                f"max_age={self.max_age!r} must be above 0; use force=True to run a step whatever was done"
            )
        return pp.CachePolicy(
            mode=mode,
            max_age_ms=max(1, round(seconds * 1000)) if seconds is not None else 0,
            never_waits=bool(self.never_waits),
        )


@dataclass(frozen=True)
class StepOptions:
    """One step, as its author describes it."""

    name: str
    inputs: "Mapping[str, Any] | Sequence[str]" = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    """Declared outputs: type by name."""
    version: str | None = None
    code: "str | Callable[..., Any] | Sequence[Callable[..., Any]] | None" = None
    exclude: frozenset[str] = frozenset()
    """Parameters that are neither recorded nor part of the fingerprint."""
    force: bool = False
    lazy: bool = False
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    cache: CacheOptions = CacheOptions()
    components: Mapping[str, str] = field(default_factory=dict)
    """Further texts that decide about hits, by name; in the fingerprint they are ``environment:NAME``."""
    check: "Callable[[Mapping[str, Output]], Mapping[str, str]] | None" = None
    """Looks at the outputs of a hit, instead of what is done otherwise: by output what is wrong with it."""
    reason: str = ""
    """Why it has its cache policy."""

    def __post_init__(self) -> None:
        check_name(self.name, "step")


def step_options(
    name: str,
    *,
    inputs: "Mapping[str, Any] | Sequence[str]" = (),
    params: Mapping[str, Any] | None = None,
    outputs: "str | Sequence[str] | Mapping[str, str] | None" = None,
    exclude: "str | Sequence[str]" = (),
    cache: CacheOptions = CacheOptions(),
    force: bool = False,
    tags: Mapping[str, str] | None = None,
    **others: Any,
) -> StepOptions:
    """The options of a step from what an author may write for them; ``others`` are fields as they are.

    Raises:
        InvalidRequest: a name or an option that cannot be.
    """
    cache.policy(force=force)
    return StepOptions(
        name,
        inputs=inputs,
        params=dict(params or {}),
        outputs=declared_outputs(outputs),
        exclude=frozenset([exclude] if isinstance(exclude, str) else exclude),
        cache=cache,
        force=force,
        tags=dict(tags or {}),
        **others,
    )


def name_of(function: Callable[..., Any]) -> str:
    """The name of a step that was given none: that of its function.

    Raises:
        InvalidRequest: the function has none.
    """
    while hasattr(function, "func"):  # A partial.
        function = function.func
    name = getattr(function, "__name__", "")
    if not name or name == "<lambda>":
        raise InvalidRequest(
            f"{function!r} has no name of its own; give the step one: run.step('name')(function)"
        )
    return str(name)


def declared_outputs(outputs: "str | Sequence[str] | Mapping[str, str] | None") -> dict[str, str]:
    """Type by name, from a name, names, or names with types; the type is empty where none was given."""
    if outputs is None:
        return {}
    if isinstance(outputs, str):
        outputs = [outputs]
    named = dict(outputs) if isinstance(outputs, Mapping) else dict.fromkeys(outputs, "")
    for name in named:
        check_name(name, "output")
    return named


def check_name(name: object, what: str) -> None:
    """Refuse what cannot be the name of a step or an output before anything is done."""
    if not isinstance(name, str) or not name:
        raise InvalidRequest(f"the name of {what} must be text that is not empty, and is {name!r}")
    if len(name) > _LONGEST_NAME:
        raise InvalidRequest(
            f"the name of {what} has {len(name)} characters, and at most {_LONGEST_NAME}: {name!r:.60}"
        )
