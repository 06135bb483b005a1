"""What is asked before a step: the request, and asking until it is decided."""

import dataclasses
import logging
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

from headwater.client.capture.code import CodeDigest, code_digest
from headwater.client.capture.environment import as_components
from headwater.client.capture.project import Project
from headwater.client.content import canonical_uri, digest_of, local_path
from headwater.client.recording import keeping
from headwater.client.recording.binding import Given, Place, parameter_components, parameter_values
from headwater.client.recording.options import StepOptions
from headwater.client.recording.outputs import File, Output
from headwater.client.recording.places import memo
from headwater.client.recording.recorder import Manner, Recorder
from headwater.client.recording.replay import JUDGED
from headwater.errors import HeadwaterError, InvalidRequest, NotFound
from headwater.fingerprint import component, fingerprint
from headwater.v1 import pipelines_pb2 as pp

logger = logging.getLogger("headwater")

_Mode = pp.CachePolicy.Mode
BY_VERSION = "by version"
"""The code of a step whose author says with ``version`` when it changes."""
MADE_AGAIN = "made_again"
"""Custom property of an output in memory: the attempt, if that was made although it was done before."""
_MOST_OFFERS = 5
_SAYS_EVERY_S = 60.0
_LONGEST_PAUSE_S = 30.0


def begin_request(
    options: StepOptions,
    given: Given,
    *,
    pipeline: str,
    key: str,
    function: Callable[..., Any] | None,
    storage_options: Mapping[str, Mapping[str, Any]] | None,
    knows_artifacts_of: Callable[[Output], bool] = lambda _: True,
) -> pp.BeginStepRequest:
    """What is known of a step before it runs, without the run's part of it. Reads the content of inputs.

    ``knows_artifacts_of`` says whether the store that is asked is the one that an output is recorded in.

    Raises:
        InvalidRequest: a parameter without canonical form, an input that is not there, a wrong policy.
    """
    policy = options.cache.policy(force=options.force)
    policy.reason = options.reason
    request = pp.BeginStepRequest(
        step=options.name,
        key=key,
        cache=policy,
        description=options.description,
        tags={name: str(text) for name, text in options.tags.items()},
        parameters=parameter_values(given.parameters),
        inputs=[_input(name, place, storage_options) for name, place in given.inputs.items()],
    )
    for message, place in zip(request.inputs, given.inputs.values(), strict=True):
        if isinstance(place, Output) and not knows_artifacts_of(place):
            message.ClearField("artifact_id")
            message.uri = message.uri or place.uri or place.found_by
    code, doubt = _code(options, function, given, pipeline)
    if doubt and policy.mode in (_Mode.READ_AND_WRITE, _Mode.READ):
        request.cache.reason = f"no fingerprint: {doubt}"
    if code:
        request.code.source_digest = code
    if policy.mode != _Mode.OFF and code:
        request.components.update(_components(options, given, code))
    return request


def _code(
    options: StepOptions, function: Callable[..., Any] | None, given: Given, pipeline: str
) -> tuple[str, str]:
    """What stands for the step's code, empty where nothing does; and why nothing can, if it is in doubt."""
    code = options.code
    if isinstance(code, str):
        return component(code), ""
    if code is None and options.version is not None:
        # The author answers for it: that is what a version is for.
        # Only within a pipeline: steps of one name and version in two pipelines need not be the same.
        return component(f"{BY_VERSION} in {pipeline}"), ""
    classes: list[CodeDigest] = []
    if code is not None:
        functions = code if isinstance(code, Sequence) else [code]
    elif function is None:
        return "", ""
    else:
        functions = [function]
        # What a method does is decided by the class of what is given, which the function does not name.
        project = Project(function, str(getattr(function, "__module__", "")))
        classes = [code_digest(one) for one in classes_within(given.parameters) if project.has_class(one)]
    digests = [code_digest(one) for one in functions]
    doubts = [doubt for one in (*digests, *classes) for doubt in one.doubts]
    if doubts:
        return "", doubts[0]
    return component("+".join([one.digest for one in digests] + sorted({one.digest for one in classes}))), ""


def classes_within(value: object) -> set[type]:
    """The classes of a value and of all that it holds: fields of dataclasses, items, keys."""
    found: set[type] = set()
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        found.add(type(one))
        if isinstance(one, Mapping):
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, list | tuple | set | frozenset):
            waiting += one
        elif dataclasses.is_dataclass(one) and not isinstance(one, type):
            waiting += [getattr(one, name.name, None) for name in dataclasses.fields(one)]
    return found


def _components(options: StepOptions, given: Given, code: str) -> dict[str, str]:
    cache = options.cache
    components = {"code": code, **parameter_components(given.parameters)}
    if options.version is not None:
        components["version"] = component(str(options.version))
    if cache.salt is not None:
        components["salt"] = component(cache.salt)
    if isinstance(cache.environment, Mapping):
        texts = {name: component(str(text)) for name, text in cache.environment.items()}
    else:
        texts = as_components(cache.environment or ())
    components.update({f"environment:{name}": text for name, text in texts.items()})
    components.update({f"environment:{name}": component(text) for name, text in options.components.items()})
    components.update({f"output:{name}": type_ or "Dataset" for name, type_ in options.outputs.items()})
    return components


def _input(name: str, place: Place, storage_options: Mapping[str, Mapping[str, Any]] | None) -> pp.StepInput:
    if isinstance(place, Output):
        return _input_of_output(name, place, storage_options)
    return _input_of_file(name, place, storage_options)


def _input_of_output(
    name: str, output: Output, storage_options: Mapping[str, Mapping[str, Any]] | None
) -> pp.StepInput:
    found = pp.StepInput(name=name, digest=output.digest, type=output.type)
    if output.size_bytes is not None:
        found.size_bytes = output.size_bytes
    if output.artifact_id is not None:
        found.artifact_id = output.artifact_id
    # A store that was away knows what is only in memory by what made it.
    found.uri = output.uri or output.found_by
    if not output.uri and output.digest and output.artifact_id is None:
        # It is found by what made it, which is all of its place, and known by its content.
        found.component, found.digest = output.digest, ""
    elif (
        output.digest
        and not (output.is_pickled and output.has_value)
        and output.uri
        and local_path(output.uri) is not None
    ):
        _look_anew(found, name, output, storage_options)
    if not output.digest and output.made_by:
        found.component = f"{output.made_by}{output.properties.get(MADE_AGAIN, '')}"
    elif output.is_pickled and found.digest and output.made_by:
        # A pickled object has the state and not the class: what made it knows the code of that too.
        found.component = component(f"{found.digest} {output.made_by}")
    return found


def _look_anew(
    found: pp.StepInput, name: str, output: Output, storage_options: Mapping[str, Mapping[str, Any]] | None
) -> None:
    """Let the content that is there now count, which somebody may have written since."""
    now = _input_of_file(name, File(output.uri, type=output.type), storage_options)
    if now.digest == found.digest:
        return
    if now.digest and now.digest.partition(":")[0] != found.digest.partition(":")[0]:
        return  # Two algorithms cannot be compared.
    if now.digest:
        logger.warning(
            "input %r, output %r of a step, was written again since that step ended: %s has other content "
            "now, which is what counts. Write results to a place of their own for each",
            name,
            output.name,
            output.uri,
        )
    found.digest = now.digest
    found.ClearField("artifact_id")
    found.ClearField("size_bytes")
    if now.HasField("size_bytes"):
        found.size_bytes = now.size_bytes


def _input_of_file(
    name: str, file: File, storage_options: Mapping[str, Mapping[str, Any]] | None
) -> pp.StepInput:
    uri = canonical_uri(file.place)
    found = pp.StepInput(name=name, uri=uri, type=file.type)
    for key, value in file.properties.items():
        found.custom_properties[key].CopyFrom(keeping.property_value(key, value))
    if file.digest is not None:
        found.digest = file.digest
        return found
    if file.version is not None:
        found.component = component(file.version)
        return found
    options = file.options_for(uri, storage_options)
    try:
        content = digest_of(file.place, memo=memo(), storage_options=options)
    except NotFound as error:
        raise InvalidRequest(f"input {name!r} is not there: {error}") from error
    except HeadwaterError as error:
        # It may well be readable for the step itself. Without digest there is no fingerprint, so it runs.
        logger.warning("input %r cannot be read, so its step always runs: %s", name, error)
        return found
    found.digest = content.digest
    if content.size_bytes is not None:
        found.size_bytes = content.size_bytes
    return found


def fingerprint_of(request: pp.BeginStepRequest) -> str:
    """The fingerprint that the store would come to; empty where there is none."""
    if not request.components:
        return ""
    components = {**request.components, "step": request.step}
    for given in request.inputs:
        text = given.component or given.digest
        if not text:
            return ""
        components[f"input:{given.name}"] = text
    return fingerprint(components)


Check = Callable[[pp.BeginStepResponse], "tuple[list[pp.RefusedHit], bool]"]
"""Looks at the outputs of a hit. What is wrong for good, and whether it can be used."""


def ask_until_decided(
    recorder: Recorder,
    request: pp.BeginStepRequest,
    manner: Manner,
    check: Check,
    *,
    wait_timeout_s: float | None,
    is_own: Callable[[pp.Holder], bool] = lambda _: False,
) -> Generator[float, None, pp.BeginStepResponse | None]:
    """Yields how many seconds to wait before it goes on; returns RUN, or HIT that can be used, or ``None``.

    ``is_own`` says whether it would wait for itself for ever; then it does not wait.
    ``None`` means that the store could not be asked, or refused to answer. ``request`` is changed.

    Raises:
        HeadwaterError: ``manner`` is strict.
    """
    waiting = _Waiting(request.step, wait_timeout_s, recorder.tell_waiting)
    offers = Offers()
    while True:
        try:
            answer = recorder.ask(request, pp.BeginStepResponse, manner, manner.deadline())
        except HeadwaterError as error:
            if manner.strict:
                raise
            if isinstance(error, JUDGED):
                logger.warning("step %r runs unasked, the store refuses to answer: %s", request.step, error)
            else:
                recorder.warn_away(error)
            return None
        if answer.decision == pp.RUN:
            return answer
        if answer.decision == pp.WAIT:
            pause_s = None if is_own(answer.holder) else waiting.pause_s(answer)
            if pause_s is None:
                request.cache.never_waits = True
            else:
                yield pause_s
            continue
        refused, is_usable = check(answer)
        if is_usable:
            return answer
        offers.refuse(request, refused)


class Offers:
    """How many hits of a step were of no use."""

    def __init__(self) -> None:
        self._count = 0

    def refuse(self, request: pp.BeginStepRequest, refused: Sequence[pp.RefusedHit]) -> None:
        """Have ``request`` ask for another; for none any more where asking again would change nothing."""
        request.refused.extend(refused)
        self._count += 1
        if not refused or self._count >= _MOST_OFFERS:
            request.cache.mode = _Mode.WRITE if request.cache.mode == _Mode.READ_AND_WRITE else _Mode.OFF


class _Waiting:
    """For how long a step waits for somebody else, and what is said meanwhile."""

    def __init__(self, step: str, timeout_s: float | None, say: Callable[..., None]) -> None:
        self._step = step
        self._say = say
        self._timeout_s = timeout_s
        self._since: float | None = None
        self._says_at = 0.0

    def pause_s(self, answer: pp.BeginStepResponse) -> float | None:
        """When to ask again; ``None`` if it was long enough."""
        now = time.monotonic()
        if self._since is None:
            self._since = now
        waited_s = now - self._since
        if self._timeout_s is not None and waited_s >= self._timeout_s:
            logger.info("step %r: waited %.0f s, computing it here too", self._step, waited_s)
            return None
        if now >= self._says_at:
            self._says_at = now + _SAYS_EVERY_S
            self._say(
                "step %r is being computed by %s (execution %d), waiting for it since %.0f s",
                self._step,
                answer.holder.worker or "somebody else",
                answer.holder.execution_id,
                waited_s,
            )
        pause_s = min(max(answer.retry_after_ms / 1000, 0.01), _LONGEST_PAUSE_S)
        return pause_s if self._timeout_s is None else min(pause_s, self._timeout_s - waited_s)
