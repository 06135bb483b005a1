"""What steps made, between messages and artifacts."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa

from headwater.errors import InvalidRequest
from headwater.service.pipelines.naming import check_parameter
from headwater.storage import schema
from headwater.storage.attempts import newest_entry_ids
from headwater.storage.dialects import InList, Values
from headwater.storage.kinds import ARTIFACT, Node
from headwater.storage.nodes import questions_of_messages, read_messages
from headwater.storage.statements import Prepared
from headwater.storage.transactions import Question, Transaction
from headwater.storage.values import packed, struct_in
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
            properties[field].CopyFrom(packed(getattr(output, field).struct_value))
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
            getattr(output, field).struct_value.CopyFrom(struct_in(properties[field]))
    if "metrics" in properties:
        for key, value in properties["metrics"].struct_value.fields.items():
            output.metrics[key] = value.number_value
    for key, given in artifact.custom_properties.items():
        output.custom_properties[key].CopyFrom(given)
    return output


@cache
def _ends(type_: int) -> Prepared:
    event, path = schema.event_table, schema.event_path_table
    is_of_type = event.c.type == sa.literal_column(str(int(type_)))
    return Prepared(
        sa.select(event.c.execution_id, event.c.artifact_id, path.c.step_key)
        .select_from(event.outerjoin(path, path.c.event_id == event.c.id))
        .where(InList(event.c.execution_id, "executions"), is_of_type),
        "executions",
    )


@cache
def _outputs_of_entries() -> Prepared:
    event, path = schema.event_table, schema.event_path_table
    newest = newest_entry_ids("fingerprint").subquery("newest")
    return Prepared(
        sa.select(event.c.execution_id, event.c.artifact_id, path.c.step_key)
        .select_from(
            newest.join(event, event.c.execution_id == newest.c.execution_id).outerjoin(
                path, path.c.event_id == event.c.id
            )
        )
        .where(event.c.type == sa.literal_column(str(int(pb.Event.OUTPUT)))),
        "fingerprint",
    )


Named = list[tuple[str, int]]
"""(name, artifact id) of inputs or outputs, in the order of the names."""


def named_ends(tx: Transaction, execution_ids: Sequence[int], type_: "pb.Event.Type") -> dict[int, Named]:
    """The inputs or outputs of executions."""
    if not execution_ids:
        return {}
    return _by_execution(tx.rows(*question_of_ends(execution_ids, type_)), execution_ids)


def question_of_ends(execution_ids: Sequence[int], type_: "pb.Event.Type") -> Question:
    """What ``named_ends`` asks, for ``ask_ahead``."""
    return _ends(type_), Values(sorted(set(execution_ids)))


def named_outputs_of_entries(tx: Transaction, fingerprint: str) -> Mapping[int, Named]:
    """The outputs of the newest executions that can be hit by a step with this fingerprint."""
    return _by_execution(tx.rows(*question_of_hit(fingerprint)))


def question_of_hit(fingerprint: str) -> Question:
    """What ``named_outputs_of_entries`` asks, for ``ask_ahead``."""
    return _outputs_of_entries(), fingerprint


def _by_execution(rows: Iterable[Any], execution_ids: Iterable[int] = ()) -> dict[int, Named]:
    found: dict[int, Named] = defaultdict(list, {execution_id: [] for execution_id in execution_ids})
    for execution_id, artifact_id, name in rows:
        found[execution_id].append((name or "", artifact_id))
    for named in found.values():
        named.sort()
    return found


def read_outputs(tx: Transaction, made: Named, *, are_last: bool) -> list[pp.StepOutput]:
    """The outputs of one execution. ``are_last``: nothing will be asked after them."""
    ids = sorted({artifact_id for _, artifact_id in made})
    tx.ask_ahead(questions_of_messages(tx, ARTIFACT, ids, locks=False), are_last=are_last)
    return _outputs(read_messages(tx, ARTIFACT, ids), made)


def outputs_of(tx: Transaction, execution_ids: Sequence[int]) -> Mapping[int, list[pp.StepOutput]]:
    """What executions made, each in the order of names."""
    ends = named_ends(tx, execution_ids, pb.Event.OUTPUT)
    ids = {artifact_id for made in ends.values() for _, artifact_id in made}
    artifacts = read_messages(tx, ARTIFACT, sorted(ids)) if ids else {}
    return {execution_id: _outputs(artifacts, made) for execution_id, made in ends.items()}


def _outputs(artifacts: Mapping[int, Node], made: Named) -> list[pp.StepOutput]:
    return [
        output_of(artifacts[artifact_id], name)  # type: ignore[arg-type]  # artifacts, as was asked for
        for name, artifact_id in made
        if artifact_id in artifacts
    ]
