"""What a store has recorded, as short as tests like it."""

from typing import Any

from headwater.v1 import metadata_store_pb2 as pb

State = pb.Execution.State


def attempts(client: Any) -> list[tuple[str, str]]:
    """Step and state of each attempt, in the order in which they were recorded."""
    found = sorted(client.list_executions(type="headwater.Step"), key=lambda one: one.id)
    return [(one.properties["step"].string_value, State.Name(one.last_known_state)) for one in found]


def runs(client: Any) -> list[tuple[str, str]]:
    """Name and state of each run, in the order in which they were recorded."""
    found = sorted(client.list_contexts(type="headwater.Run"), key=lambda one: one.id)
    return [(one.name, one.properties["state"].string_value) for one in found]


def executions(client: Any, step: str) -> list[pb.Execution]:
    """The attempts at a step, in the order in which they were recorded."""
    found = sorted(client.list_executions(type="headwater.Step"), key=lambda one: one.id)
    return [one for one in found if one.properties["step"].string_value == step]


def ends(client: Any, execution_id: int) -> dict[str, dict[str, int]]:
    """Artifact ids by name, of the inputs and the outputs of an attempt."""
    found: dict[str, dict[str, int]] = {"INPUT": {}, "OUTPUT": {}}
    for event in client.get_events_by_execution_ids([execution_id]):
        for step in event.path.steps:
            found[pb.Event.Type.Name(event.type)][step.key] = event.artifact_id
    return found
