"""Attempts at steps as they are answered."""

from collections.abc import Mapping, Sequence

from headwater.service.pipelines.facts import code_of, environment_of, error_of, named_by, texts_of
from headwater.service.pipelines.outputs import named_ends, output_of
from headwater.storage.attempts import attempts_by_id
from headwater.storage.kinds import ARTIFACT, EXECUTION, Node
from headwater.storage.metrics import last_values, question_of_last_values
from headwater.storage.model import PARAMETER, TAG
from headwater.storage.nodes import questions_of_messages, read_messages
from headwater.storage.transactions import Transaction
from headwater.storage.values import struct_in
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import pipelines_pb2 as pp

# What is large, and is asked for with the artifact itself.
_LEFT_OUT = ("preview", "manifest")

Ends = Mapping[int, Sequence[tuple[str, int]]]
"""(name, artifact id) of inputs or outputs, by execution id."""


def step_infos(tx: Transaction, execution_ids: Sequence[int]) -> list[pp.StepInfo]:
    """The attempts of these executions, in their order; executions that are none are left out.

    The number of statements does not depend on how many there are.
    """
    if not execution_ids:
        return []
    tx.ask_ahead(
        [
            *questions_of_messages(tx, EXECUTION, execution_ids, locks=False),
            question_of_last_values(execution_ids, of_runs=False),
        ]
    )
    executions = read_messages(tx, EXECUTION, execution_ids)
    metrics = last_values(tx, execution_ids, of_runs=False)
    attempts = attempts_by_id(tx, execution_ids)
    hits = [one.cached_execution_id for one in attempts.values() if one.cached_execution_id is not None]
    originals = attempts_by_id(tx, hits) if hits else {}
    used, made = (named_ends(tx, execution_ids, type_) for type_ in (pb.Event.INPUT, pb.Event.OUTPUT))
    artifacts = _artifacts(tx, used, made)
    infos = []
    for execution_id in execution_ids:
        attempt, execution = attempts.get(execution_id), executions.get(execution_id)
        if attempt is None or execution is None:
            continue
        assert isinstance(execution, pb.Execution)
        info = _info(execution)
        original = originals.get(attempt.cached_execution_id or 0)
        info.MergeFrom(
            pp.StepInfo(
                execution_id=execution_id,
                step=attempt.step,
                attempt=attempt.number,
                state=state_of(attempt.state),
                start_ms=attempt.start_ms,
                end_ms=attempt.end_ms or 0,
                fingerprint=attempt.fingerprint,
                cached_execution_id=attempt.cached_execution_id or 0,
                run_id=attempt.run_id,
                unfit=attempt.unfit or (original.unfit if original is not None else None) or "",
                metrics=metrics[execution_id],
                inputs=[
                    _input_of(artifacts[artifact_id], name, info.components)
                    for name, artifact_id in sorted(used[execution_id])
                    if artifact_id in artifacts
                ],
                outputs=[
                    slim_output(artifacts[artifact_id], name)
                    for name, artifact_id in sorted(made[execution_id])
                    if artifact_id in artifacts
                ],
            )
        )
        infos.append(info)
    return infos


def slim_outputs(tx: Transaction, execution_ids: Sequence[int]) -> dict[int, list[pp.StepOutput]]:
    """The outputs of executions in the order of their names, without what is large."""
    made = named_ends(tx, execution_ids, pb.Event.OUTPUT)
    artifacts = _artifacts(tx, made)
    return {
        execution_id: [
            slim_output(artifacts[artifact_id], name)
            for name, artifact_id in sorted(ends)
            if artifact_id in artifacts
        ]
        for execution_id, ends in made.items()
    }


def slim_output(artifact: pb.Artifact, name: str) -> pp.StepOutput:
    """The output that an artifact is, without what is large."""
    output = output_of(artifact, name)
    for field in _LEFT_OUT:
        output.ClearField(field)
    return output


def _artifacts(tx: Transaction, *ends: Ends) -> dict[int, pb.Artifact]:
    ids = {artifact_id for of_kind in ends for named in of_kind.values() for _, artifact_id in named}
    found: dict[int, Node] = read_messages(tx, ARTIFACT, sorted(ids)) if ids else {}
    return {node_id: node for node_id, node in found.items() if isinstance(node, pb.Artifact)}


def _input_of(artifact: pb.Artifact, name: str, components: Mapping[str, str]) -> pp.StepInput:
    """The input that an artifact is."""
    properties = artifact.properties
    given = pp.StepInput(
        name=name,
        artifact_id=artifact.id,
        uri=artifact.uri,
        type=artifact.type,
        component=components.get(f"input:{name}", ""),
    )
    if "digest" in properties:
        given.digest = properties["digest"].string_value
    if "size_bytes" in properties:
        given.size_bytes = properties["size_bytes"].int_value
    return given


def _info(execution: pb.Execution) -> pp.StepInfo:
    """What the Execution itself says."""
    properties = execution.properties

    def text(name: str) -> str:
        return properties[name].string_value if name in properties else ""

    info = pp.StepInfo(
        key=execution.external_id,
        why=text("why"),
        error=error_of(execution),
        worker=text("worker"),
        description=text("description"),
        parameters=named_by(PARAMETER, execution),
        tags={name: value.string_value for name, value in named_by(TAG, execution).items()},
        code=code_of(execution),
        environment=environment_of(execution),
    )
    if "usage" in properties:
        for name, value in properties["usage"].struct_value.fields.items():
            info.usage[name] = value.number_value
    if "components" in properties:
        info.components.update(texts_of(struct_in(properties["components"])))
    return info


def state_of(state: int) -> pp.State:
    """An attempt's state, whatever a client of ML Metadata has made of it."""
    return state if state in pp.State.values() else pp.STATE_UNSPECIFIED  # type: ignore[return-value]  # a number of the enum
