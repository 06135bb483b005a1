"""Storing an attempt: its contexts, the artifacts of its inputs, its Execution and what ties them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from google.protobuf import struct_pb2

from headwater.errors import InvalidRequest
from headwater.service.pipelines.asked import Asked
from headwater.service.pipelines.facts import set_facts, set_text
from headwater.service.pipelines.naming import attempt_name, run_name
from headwater.storage import edges
from headwater.storage.attempts import Attempt, last_number, put_attempt, question_of_last_number
from headwater.storage.contents import newest_artifacts, put_contents, question_of_contents, raw_external_id
from headwater.storage.kinds import ARTIFACT, CONTEXT, EXECUTION
from headwater.storage.model import (
    DEFAULT_ARTIFACT_TYPE,
    PIPELINE_TYPE,
    RUN_TYPE,
    artifact_type_ids,
    context_type_id,
    step_type_id,
)
from headwater.storage.nodes import (
    NameKey,
    existing_ids,
    find_names,
    question_of_names,
    questions_of_existing,
)
from headwater.storage.schema import context_table, parent_context_table
from headwater.storage.statements import Insert
from headwater.storage.transactions import Question, Transaction
from headwater.storage.values import packed
from headwater.storage.writing import put_nodes
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import pipelines_pb2 as pp

_INSERT_PARENT = Insert(parent_context_table, "context_id", "parent_context_id")


def past(tx: Transaction, time_ms: int) -> int:
    """A time that a worker gave, or now if it gave none; never later, since its clock may be ahead."""
    return min(time_ms or tx.now_ms, tx.now_ms)


@dataclass(frozen=True)
class Place:
    """The pipeline and the run that a step belongs to: names, and ids as far as they exist."""

    pipeline: str
    run: str
    pipeline_id: int | None
    run_id: int | None


@dataclass(frozen=True)
class Types:
    """The ids of the types of pipelines, runs and attempts."""

    pipeline: int
    run: int
    step: int


def model_types(tx: Transaction) -> Types:
    """The types that every attempt needs, declared where they are not."""
    return Types(context_type_id(tx, PIPELINE_TYPE), context_type_id(tx, RUN_TYPE), step_type_id(tx))


def find_place(tx: Transaction, types: Types, pipeline: str, run: str) -> Place:
    """Where a step belongs."""
    keys = _place_keys(types, pipeline, run)
    found = find_names(tx, CONTEXT, keys)
    return Place(pipeline, run, found.get(keys[0]), found.get(keys[1]))


def question_of_place(types: Types, pipeline: str, run: str) -> Question:
    """What ``find_place`` asks, for ``ask_ahead``."""
    return question_of_names(CONTEXT, _place_keys(types, pipeline, run))


def _place_keys(types: Types, pipeline: str, run: str) -> list[tuple[int, str]]:
    return [(types.pipeline, pipeline), (types.run, run_name(pipeline, run))]


def reserve_place(tx: Transaction, place: Place) -> None:
    """Say how many contexts ``put_place`` makes, so that a server gives their ids together with others."""
    tx.reserve_ids({context_table: [place.pipeline_id, place.run_id].count(None)})


def put_pipeline(tx: Transaction, types: Types, place: Place) -> int:
    """The id of the pipeline's Context, which is made if it is new."""
    if place.pipeline_id is not None:
        return place.pipeline_id
    (pipeline_id,) = put_nodes(tx, CONTEXT, [pb.Context(type_id=types.pipeline, name=place.pipeline)])
    return pipeline_id


def put_run(tx: Transaction, run: pb.Context, *parent_ids: int) -> int:
    """Make a run below its pipeline, and maybe another run."""
    (run_id,) = put_nodes(tx, CONTEXT, [run])
    # None of them can descend from a context that nobody knows yet.
    tx.insert(_INSERT_PARENT, [(run_id, parent_id) for parent_id in parent_ids])
    return run_id


def new_run(types: Types, pipeline: str, run: str, start_ms: int) -> pb.Context:
    """The Context of a run that begins."""
    context = pb.Context(type_id=types.run, name=run_name(pipeline, run))
    set_text(context, "pipeline", pipeline)
    set_text(context, "run", run)
    set_text(context, "state", "RUNNING")
    context.properties["start_ms"].int_value = start_ms
    return context


def put_place(tx: Transaction, types: Types, place: Place, start_ms: int) -> tuple[int, int]:
    """The ids of the pipeline and the run, made where they are new."""
    pipeline_id = put_pipeline(tx, types, place)
    if place.run_id is not None:
        return pipeline_id, place.run_id
    return pipeline_id, put_run(tx, new_run(types, place.pipeline, place.run, start_ms), pipeline_id)


def questions_of_inputs(asked: Asked) -> list[Question]:
    """What ``put_inputs`` asks, for ``ask_ahead``."""
    given = [one.artifact_id for one in asked.request.inputs if one.HasField("artifact_id")]
    contents = [question_of_contents(asked.contents.values())] if asked.contents else []
    return [*questions_of_existing(ARTIFACT, given), *contents]


def put_inputs(tx: Transaction, asked: Asked) -> dict[str, int]:
    """Artifact id by name of input: those that are stored, or new ones for raw data that is new."""
    request = asked.request
    given = {one.name: one.artifact_id for one in request.inputs if one.HasField("artifact_id")}
    missing = set(given.values()) - existing_ids(tx, ARTIFACT, given.values())
    for name, artifact_id in given.items():
        if artifact_id in missing:
            raise InvalidRequest(f"input {name!r} is artifact {artifact_id}, which is not stored")
    known = newest_artifacts(tx, asked.contents.values())
    new: dict[str, pp.StepInput] = {}
    for one in request.inputs:
        key = asked.contents.get(one.name)
        if key is not None and key not in known:
            new.setdefault(key, one)
    if new:
        known |= _put_raw(tx, new)
    return {
        one.name: given[one.name] if one.name in given else known[asked.contents[one.name]]
        for one in request.inputs
    }


def _put_raw(tx: Transaction, new: Mapping[str, pp.StepInput]) -> dict[str, int]:
    """Artifact id by content key of data that nobody recorded before."""
    types = artifact_type_ids(tx, [one.type for one in new.values()])
    artifacts = []
    for key, one in new.items():
        artifact = pb.Artifact(
            type_id=types[one.type or DEFAULT_ARTIFACT_TYPE],
            uri=one.uri,
            # Of two who read it first at the same moment one finds it taken, and then there.
            external_id=raw_external_id(key),
            state=pb.Artifact.LIVE,
        )
        set_text(artifact, "digest", one.digest)
        if one.HasField("size_bytes"):
            artifact.properties["size_bytes"].int_value = one.size_bytes
        for name, value in one.custom_properties.items():
            artifact.custom_properties[name].CopyFrom(value)
        artifacts.append(artifact)
    ids = put_nodes(tx, ARTIFACT, artifacts)
    found = dict(zip(new, ids, strict=True))
    put_contents(tx, list(found.items()))
    return found


def question_of_attempt(types: Types, asked: Asked) -> Question:
    """What ``is_tried_before`` asks, for ``ask_ahead``."""
    return question_of_names(EXECUTION, [_first_name(types, asked)])


def _first_name(types: Types, asked: Asked) -> NameKey:
    request = asked.request
    return types.step, attempt_name(request.pipeline, request.run, request.step, 1)


def is_tried_before(tx: Transaction, types: Types, asked: Asked, place: Place) -> bool:
    """Whether there was an attempt at this step in this run.

    What ``put_inputs`` and ``put_execution`` need next is asked together with each other.
    """
    reserve_place(tx, place)
    if place.pipeline_id is None or place.run_id is None:
        return False
    is_taken = bool(find_names(tx, EXECUTION, [_first_name(types, asked)]))
    if is_taken:
        tx.ask_ahead([question_of_last_number(place.pipeline_id, place.run_id, asked.request.step)])
    return is_taken


def put_execution(
    tx: Transaction,
    types: Types,
    asked: Asked,
    place: Place,
    execution: pb.Execution,
    *,
    is_tried_before: bool,
    entry: str | None = None,
    unfit: str | None = None,
    end_ms: int | None = None,
    cached_execution_id: int | None = None,
    finish_digest: str | None = None,
) -> Attempt:
    """Store the Execution of an attempt, its contexts where they are new, and its row.

    ``execution`` has its state, and whatever is known beside what was asked; it is filled in.
    """
    request = asked.request
    start_ms = past(tx, request.start_ms)
    number = 1
    if is_tried_before and place.pipeline_id is not None and place.run_id is not None:
        number += last_number(tx, place.pipeline_id, place.run_id, request.step)
    pipeline_id, run_id = put_place(tx, types, place, start_ms)
    execution.type_id = types.step
    execution.name = attempt_name(place.pipeline, place.run, request.step, number)
    execution.external_id = request.key
    set_facts(execution, request)
    set_text(execution, "step", request.step)
    set_text(execution, "fingerprint", asked.fingerprint)
    set_text(execution, "worker", request.worker)
    if asked.components:
        texts = {name: struct_pb2.Value(string_value=text) for name, text in asked.components.items()}
        execution.properties["components"].CopyFrom(packed(struct_pb2.Struct(fields=texts)))
    numbers = execution.properties
    numbers["attempt"].int_value = number
    numbers["start_ms"].int_value = start_ms
    if end_ms is not None:
        numbers["end_ms"].int_value = end_ms
    if cached_execution_id is not None:
        numbers["cached_execution_id"].int_value = cached_execution_id
    (execution_id,) = put_nodes(tx, EXECUTION, [execution])
    attempt = Attempt(
        execution_id=execution_id,
        pipeline_id=pipeline_id,
        run_id=run_id,
        step=request.step,
        number=number,
        fingerprint=asked.fingerprint,
        entry=entry,
        is_kept=asked.writes,
        unfit=unfit,
        cached_execution_id=cached_execution_id,
        start_ms=start_ms,
        end_ms=end_ms,
        begin_digest=asked.digest,
        finish_digest=finish_digest,
        state=execution.last_known_state,
        name=execution.name,
    )
    put_attempt(tx, attempt)
    edges.put_checked_links(tx, EXECUTION, [(pipeline_id, execution_id), (run_id, execution_id)])
    return attempt


def put_ends(
    tx: Transaction,
    attempt: Attempt,
    type_: "pb.Event.Type",
    named: Sequence[tuple[str, int]],
    *,
    time_ms: int,
) -> None:
    """Tie an attempt to what it uses or makes, given as (name, artifact id), which are known to be stored.

    An artifact under several names has one event, whose path holds them all.
    """
    events: dict[int, pb.Event] = {}
    for name, artifact_id in named:
        event = events.setdefault(
            artifact_id,
            pb.Event(
                artifact_id=artifact_id,
                execution_id=attempt.execution_id,
                type=type_,
                milliseconds_since_epoch=time_ms,
            ),
        )
        event.path.steps.add(key=name)
    edges.put_events(
        tx,
        list(events.values()),
        written={ARTIFACT: list(events), EXECUTION: [attempt.execution_id]},
    )
    links = [(context, artifact) for context in (attempt.pipeline_id, attempt.run_id) for artifact in events]
    edges.put_checked_links(tx, ARTIFACT, links)
