"""What steps made, between messages and artifacts."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa

from headwater.errors import InvalidRequest
from headwater.service.pipelines.naming import check_parameter
from headwater.storage import schema
from headwater.storage.dialects import InList, Values
from headwater.storage.kinds import ARTIFACT
from headwater.storage.nodes import read_messages
from headwater.storage.statements import Prepared
from headwater.storage.transactions import Question, Transaction
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import pipelines_pb2 as pp

_TEXTS = ("digest", "stamp", "description")
_STRUCTS = ("preview", "manifest")


def check_outputs(outputs: Sequence[pp.StepOutput]) -> None:
    """Refuse outputs that cannot be told apart, or are not new."""
    seen = set()
    for output in outputs:
        check_parameter(output.name, "the name of an output")
        if output.name in seen:
            raise InvalidRequest(f"two outputs have the name {output.name!r}; give each its own")
        seen.add(output.name)
        if output.artifact_id:
            raise InvalidRequest(
                f"output {output.name!r} names artifact {output.artifact_id}; what a step makes is new, "
                "leave artifact_id out"
            )
        for field in _STRUCTS:
            if output.HasField(field) and getattr(output, field).WhichOneof("value") != "struct_value":
                raise InvalidRequest(f"{field} of output {output.name!r} is not a struct")


def artifact_of(output: pp.StepOutput, *, type_id: int, name: str, made_by: str) -> pb.Artifact:
    """The artifact to be stored for an output."""
    artifact = pb.Artifact(type_id=type_id, name=name, uri=output.uri, state=pb.Artifact.LIVE)
    properties = artifact.properties
    for field in _TEXTS:
        if getattr(output, field):
            properties[field].string_value = getattr(output, field)
    if made_by:
        properties["made_by"].string_value = made_by
    if output.HasField("size_bytes"):
        properties["size_bytes"].int_value = output.size_bytes
    for field in _STRUCTS:
        if output.HasField(field):
            properties[field].CopyFrom(getattr(output, field))
    if output.metrics:
        fields = properties["metrics"].struct_value.fields
        for key, number in output.metrics.items():
            fields[key].number_value = number
    for key, value in output.custom_properties.items():
        artifact.custom_properties[key].CopyFrom(value)
    return artifact


def output_of(artifact: pb.Artifact, name: str) -> pp.StepOutput:
    """The output that an artifact is."""
    properties = artifact.properties
    output = pp.StepOutput(name=name, artifact_id=artifact.id, type=artifact.type, uri=artifact.uri)
    for field in _TEXTS:
        if field in properties:
            setattr(output, field, properties[field].string_value)
    if "size_bytes" in properties:
        output.size_bytes = properties["size_bytes"].int_value
    for field in _STRUCTS:
        if field in properties:
            getattr(output, field).CopyFrom(properties[field])
    if "metrics" in properties:
        for key, value in properties["metrics"].struct_value.fields.items():
            output.metrics[key] = value.number_value
    for key, given in artifact.custom_properties.items():
        output.custom_properties[key].CopyFrom(given)
    return output


@cache
def _ends(type_: int) -> Prepared:
    event, path = schema.event_table, schema.event_path_table
    return Prepared(
        sa.select(event.c.execution_id, event.c.artifact_id, path.c.step_key)
        .select_from(event.outerjoin(path, path.c.event_id == event.c.id))
        .where(InList(event.c.execution_id, "executions"), event.c.type == sa.literal_column(str(int(type_))))
        .order_by(event.c.id),
        "executions",
    )


def question_of_outputs(execution_ids: Sequence[int]) -> Question:
    """What ``outputs_of`` asks first, for ``ask_ahead``."""
    return _ends(pb.Event.OUTPUT), Values(sorted(set(execution_ids)))


def named_ends(
    tx: Transaction, execution_ids: Sequence[int], type_: "pb.Event.Type"
) -> dict[int, list[tuple[str, int]]]:
    """(name, artifact id) of the inputs or outputs of executions, in the order of the events."""
    found: dict[int, list[tuple[str, int]]] = {execution_id: [] for execution_id in execution_ids}
    if execution_ids:
        rows: list[Any] = tx.rows(_ends(type_), Values(sorted(found)))
        for execution_id, artifact_id, name in rows:
            found[execution_id].append((name or "", artifact_id))
    return found


def outputs_of(tx: Transaction, execution_ids: Sequence[int]) -> Mapping[int, list[pp.StepOutput]]:
    """What executions made, each in the order of names."""
    ends = named_ends(tx, execution_ids, pb.Event.OUTPUT)
    ids = {artifact_id for made in ends.values() for _, artifact_id in made}
    artifacts = read_messages(tx, ARTIFACT, sorted(ids)) if ids else {}
    return {
        execution_id: [
            output_of(artifacts[artifact_id], name)  # type: ignore[arg-type]  # artifacts, as was asked for
            for name, artifact_id in sorted(made)
            if artifact_id in artifacts
        ]
        for execution_id, made in ends.items()
    }
