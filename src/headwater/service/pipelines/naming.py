"""The names under which pipelines, runs, attempts and artifacts are stored."""

import hashlib

from headwater.errors import InvalidRequest
from headwater.storage.values import checked_text

# In bytes of UTF-8, as MySQL counts in the columns that ML Metadata gives it.
_LONGEST_PIPELINE = 100
_LONGEST_RUN = 140
_LONGEST_STEP = 200
_LONGEST_OUTPUT = 200
_LONGEST_KEY = 255
_LONGEST_WORKER = 255
LONGEST_NAME = 255
"""What the columns of names hold on every database."""


def check_pipeline(pipeline: str) -> str:
    """``pipeline`` itself, if it can be one's name."""
    if "/" in pipeline:
        raise InvalidRequest(
            f"the pipeline {pipeline!r} has a slash in its name, which parts a pipeline from its runs"
        )
    return _checked(pipeline, "the name of a pipeline", _LONGEST_PIPELINE)


def check_run(run: str) -> str:
    """``run`` itself, if it can be one's name."""
    return _checked(run, "the name of a run", _LONGEST_RUN)


def check_step(step: str) -> str:
    """``step`` itself, if it can be one's name."""
    return _checked(step, "the name of a step", _LONGEST_STEP)


def check_parameter(name: str, what: str) -> str:
    """The name of an input or an output, if it can be one."""
    return _checked(name, what, _LONGEST_OUTPUT)


def check_key(key: str) -> str:
    """``key`` itself, if it can be the external id of an execution."""
    return _checked(key, "the key of a step, the caller's own id of the attempt,", _LONGEST_KEY)


def check_worker(worker: str) -> str:
    """``worker`` itself, if it can be stored; it may be empty."""
    return _checked(worker, "the name of a worker", _LONGEST_WORKER) if worker else ""


def _checked(text: str, what: str, longest: int) -> str:
    checked_text(text, what)
    if not text:
        raise InvalidRequest(f"{what} is empty")
    length = len(text.encode())
    if length > longest:
        raise InvalidRequest(f"{what} has {length} bytes, and at most {longest}: {text!r:.60}")
    return text


def property_name(prefix: str, name: str, what: str) -> str:
    """The name of the custom property that holds what has this name."""
    _checked(name, what, LONGEST_NAME - len(prefix))
    return prefix + name


def run_name(pipeline: str, run: str) -> str:
    """The name of a run's Context."""
    return f"{pipeline}/{run}"


def attempt_name(pipeline: str, run: str, step: str, number: int) -> str:
    """The name of the Execution of an attempt: <pipeline>/<run>/<step>, #<number> from the second on."""
    is_plain = "/" not in run and "#" not in step
    return _fitted((pipeline, run, step), "" if number == 1 else f"#{number}", is_plain=is_plain)


def output_name(attempt: str, output: str) -> str:
    """The name of the artifact that an attempt, of this name, left as one of its outputs."""
    return _fitted((attempt, output), "", is_plain="/" not in output)


def _fitted(parts: tuple[str, ...], end: str, *, is_plain: bool) -> str:
    """The parts with slashes between them, and ``end``.

    With a digest in place of what is too long, and where others could be put together to the same name.
    """
    name = "/".join(parts)
    encoded = name.encode()
    if is_plain and len(encoded) + len(end) <= LONGEST_NAME:
        return name + end
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    kept = encoded[: LONGEST_NAME - len(end) - 17].decode(errors="ignore")
    return f"{kept}~{digest}{end}"
