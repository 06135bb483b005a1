"""Messages as dicts that JSON can hold, with the field names of the SDK: ``create_ms``, ``time_ms``.

Fields that are not set are left out, so a reader can tell an empty name from none.
"""

from headwater.client.values import Plain, plain_properties
from headwater.v1 import metadata_store_pb2 as pb

Node = pb.Artifact | pb.Execution | pb.Context
NodeType = pb.ArtifactType | pb.ExecutionType | pb.ContextType


def plain_node(node: Node) -> dict[str, Plain]:
    """``id``, ``type_id``, ``type``, ``name``, ``external_id``, ``uri``, ``state``, both times, properties.

    ``state`` is its name, for executions the last known state. Times are milliseconds since the epoch.
    """
    plain: dict[str, Plain] = {
        field: getattr(node, field)
        for field in ("id", "type_id", "type", "name", "external_id")
        if node.HasField(field)
    }
    if isinstance(node, pb.Artifact):
        if node.HasField("uri"):
            plain["uri"] = node.uri
        if node.HasField("state"):
            plain["state"] = pb.Artifact.State.Name(node.state)
    if isinstance(node, pb.Execution) and node.HasField("last_known_state"):
        plain["state"] = pb.Execution.State.Name(node.last_known_state)
    if node.HasField("create_time_since_epoch"):
        plain["create_ms"] = node.create_time_since_epoch
    if node.HasField("last_update_time_since_epoch"):
        plain["update_ms"] = node.last_update_time_since_epoch
    plain["properties"] = plain_properties(node.properties)
    plain["custom_properties"] = plain_properties(node.custom_properties)
    return plain


def plain_type(type_: NodeType) -> dict[str, Plain]:
    """``id``, ``name``, ``version``, ``description``, ``external_id``, ``properties`` (``{"a": "INT"}``)."""
    plain: dict[str, Plain] = {
        field: getattr(type_, field)
        for field in ("id", "name", "version", "description", "external_id")
        if type_.HasField(field)
    }
    plain["properties"] = {
        name: pb.PropertyType.Name(type_.properties[name]) for name in sorted(type_.properties)
    }
    return plain


def plain_event(event: pb.Event) -> dict[str, Plain]:
    """``artifact_id``, ``execution_id``, ``type`` by name, ``path`` as keys and indexes, ``time_ms``."""
    return {
        "artifact_id": event.artifact_id,
        "execution_id": event.execution_id,
        "type": pb.Event.Type.Name(event.type),
        "path": list(path_of(event)),
        "time_ms": event.milliseconds_since_epoch,
    }


def path_of(event: pb.Event) -> tuple[str | int, ...]:
    """The keys and indexes of an event's path, from the outside in."""
    return tuple(step.key if step.WhichOneof("value") == "key" else step.index for step in event.path.steps)
