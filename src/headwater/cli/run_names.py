"""How runs, steps and attempts are named on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headwater.errors import InvalidRequest, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headwater.client import Store
    from headwater.client.run_info import RunInfo

# The types of docs/model.md.
_PIPELINE = "headwater.Pipeline"
_RUN = "headwater.Run"
_STEP = "headwater.Step"


def find_run(store: Store, named: str) -> RunInfo:
    """The run of an id or ``PIPELINE/RUN``; of ``PIPELINE`` alone, its latest.

    Raises:
        NotFound: there is none.
    """
    return store.get_run(int(named) if named.isdecimal() else named)


def find_attempt(store: Store, named: str) -> int:
    """The execution of an id, ``PIPELINE/RUN/STEP``, ``PIPELINE/RUN/STEP#ATTEMPT`` or ``PIPELINE/STEP``.

    Without an attempt it is the latest one; without a run, that of any run.

    Raises:
        NotFound: there is none.
        InvalidRequest: ``named`` is none of these.
    """
    if named.isdecimal():
        return int(named)
    pipeline, slash, rest = named.partition("/")
    if not slash or not rest:
        raise InvalidRequest(f"{named!r} is not an execution id, PIPELINE/STEP or PIPELINE/RUN/STEP")
    exact = store.get_execution_by_type_and_name(_STEP, named) if "#" in rest else None
    if exact is not None:
        return exact.id
    for context, step in _places(pipeline, rest):
        type_name = _RUN if "/" in context else _PIPELINE
        found = store.get_context_by_type_and_name(type_name, context)
        if found is not None:
            quoted = step.replace("\\", "\\\\").replace("'", "\\'")
            latest = store.list_executions(
                type=_STEP,
                context_id=found.id,
                filter=f"properties.step.string_value = '{quoted}'",
                order_by="id",
                descending=True,
                limit=1,
            )
            for execution in latest:
                return execution.id
    raise NotFound(f"no step {named!r} was begun")


def step_of_pipeline(named: str) -> tuple[str, str]:
    """The two parts of ``PIPELINE/STEP`` or ``PIPELINE/RUN``. A pipeline has no slash in its name.

    Raises:
        InvalidRequest: there are no two.
    """
    pipeline, _, rest = named.partition("/")
    if not pipeline or not rest:
        raise InvalidRequest(f"{named!r} has no name behind its pipeline; write PIPELINE/NAME")
    return pipeline, rest


def _places(pipeline: str, rest: str) -> Iterator[tuple[str, str]]:
    """Name of a context and of a step that ``rest`` may mean: names of runs and steps may have slashes."""
    parts = rest.split("/")
    for end in range(1, len(parts)):
        yield f"{pipeline}/{'/'.join(parts[:end])}", "/".join(parts[end:])
    yield pipeline, rest
