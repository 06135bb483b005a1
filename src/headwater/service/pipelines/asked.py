"""A BeginStepRequest, checked, with what follows from it alone."""

import hashlib
from dataclasses import dataclass

from headwater.errors import InvalidRequest
from headwater.fingerprint import component
from headwater.fingerprint import fingerprint as fingerprint_of
from headwater.service.pipelines.naming import (
    check_key,
    check_parameter,
    check_pipeline,
    check_run,
    check_step,
    check_worker,
)
from headwater.storage.contents import content_key
from headwater.storage.leases import DEFAULT_MS, LONGEST_MS
from headwater.storage.values import checked_text
from headwater.v1 import pipelines_pb2 as pp

_Mode = pp.CachePolicy.Mode


@dataclass(frozen=True)
class Asked:
    """What a step is, and how its cache is to be used."""

    request: pp.BeginStepRequest
    components: dict[str, str]
    """All of them, those of inputs among them, as they are stored; empty for a step without fingerprint."""
    fingerprint: str
    """Empty where there is none."""
    without_fingerprint: str
    """Why there is none."""
    contents: dict[str, str]
    """Content key by name of input, for inputs that are given as a place and a digest."""
    lease_ms: int

    @property
    def may_read(self) -> bool:
        """Whether its policy lets it be a hit."""
        return self.request.cache.mode in (_Mode.READ_AND_WRITE, _Mode.READ)

    @property
    def reads(self) -> bool:
        """Whether it may be a hit."""
        return bool(self.fingerprint) and self.may_read

    @property
    def writes(self) -> bool:
        """Whether others may hit it, once it is complete."""
        return bool(self.fingerprint) and self.request.cache.mode in (_Mode.READ_AND_WRITE, _Mode.WRITE)

    @property
    def waits(self) -> bool:
        """Whether it is worth waiting for somebody who is computing the same."""
        return self.reads and not self.request.cache.never_waits

    @property
    def digest(self) -> str:
        """What tells another request with the same key from this one sent again."""
        request = self.request
        names = (request.pipeline, request.run, request.step, self.fingerprint)
        inputs = sorted(
            (given.name, given.artifact_id, given.uri, given.digest, given.component)
            for given in request.inputs
        )
        return hashlib.sha256(repr((names, inputs)).encode()).hexdigest()


def asked(request: pp.BeginStepRequest, *, has_key: bool = True) -> Asked:
    """Check a request.

    Raises:
        InvalidRequest: with what to mend.
    """
    check_pipeline(request.pipeline)
    if has_key or request.run:
        check_run(request.run)
    check_step(request.step)
    if has_key:
        check_key(request.key)
    check_worker(request.worker)
    if request.cache.mode not in _Mode.values():
        raise InvalidRequest(f"there is no cache mode {request.cache.mode}")
    if request.cache.max_age_ms < 0:
        raise InvalidRequest(f"max_age_ms is negative: {request.cache.max_age_ms}")
    checked_text(request.cache.reason, "the reason of a cache policy")
    contents = _checked_inputs(request)
    components, reason = _components(request)
    return Asked(
        request,
        components,
        fingerprint_of(components) if components else "",
        reason,
        contents,
        checked_lease_ms(request.lease_ms),
    )


def checked_lease_ms(lease_ms: int) -> int:
    """How long a lease is to hold."""
    if not 0 <= lease_ms <= LONGEST_MS:
        raise InvalidRequest(f"lease_ms must be from 0 to {LONGEST_MS}, a day, and is {lease_ms}")
    return lease_ms or DEFAULT_MS


def _checked_inputs(request: pp.BeginStepRequest) -> dict[str, str]:
    contents = {}
    seen = set()
    for given in request.inputs:
        check_parameter(given.name, "the name of an input")
        if given.name in seen:
            raise InvalidRequest(
                f"two inputs have the name {given.name!r}; name several of one parameter "
                f"{given.name}[0], {given.name}[1]"
            )
        seen.add(given.name)
        for field in ("digest", "component", "uri"):
            checked_text(getattr(given, field), f"{field} of input {given.name!r}")
        if not given.HasField("artifact_id"):
            if not given.uri:
                raise InvalidRequest(
                    f"input {given.name!r} has neither artifact_id nor uri; give one, so that it can be found"
                )
            contents[given.name] = content_key(given.uri, given.digest)
    return contents


def _components(request: pp.BeginStepRequest) -> tuple[dict[str, str], str]:
    """The components of the fingerprint, or none and the reason."""
    if not request.components:
        return {}, "no components were given"
    for name in request.components:
        if name.startswith("input:"):
            raise InvalidRequest(
                f"the component {name!r} belongs to the input itself; give it as its digest or its component"
            )
    if request.components.get("step", request.step) != request.step:
        raise InvalidRequest(
            f"the component 'step' is {request.components['step']!r}, and the step {request.step!r}"
        )
    components = {"step": component(request.step)}
    for name, text in request.components.items():
        checked_text(name, "the name of a component")
        components[name] = component(checked_text(text, f"component {name!r}"))
    for given in request.inputs:
        text = given.component or given.digest
        if not text:
            return {}, (
                f"input {given.name!r} has neither digest nor component, so nobody knows whether it changed"
            )
        components[f"input:{given.name}"] = component(text)
    return components, ""
