"""Our own services: whatever the protocol file says is served, and keeps the numbers that clients know."""

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor

from headwater.service.rpcs import READS, STREAMS, WRITES
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import pipelines_pb2 as pp
from headwater.wire import METHODS, PIPELINES_SERVICE, SERVICES

SERVICE = pp.DESCRIPTOR.services_by_name["Pipelines"]


def all_messages() -> list[Descriptor]:
    found, pending = [], list(pp.DESCRIPTOR.message_types_by_name.values())
    while pending:
        message = pending.pop()
        pending += message.nested_types
        found.append(message)
    return found


def all_enums() -> list[EnumDescriptor]:
    return [
        *pp.DESCRIPTOR.enum_types_by_name.values(),
        *(enum for message in all_messages() for enum in message.enum_types),
    ]


def test_every_method_is_answered_once() -> None:
    names = {method.name for method in SERVICE.methods}

    assert SERVICE.full_name == PIPELINES_SERVICE
    assert set(SERVICES[PIPELINES_SERVICE]) == names
    assert names <= {*READS, *WRITES, *STREAMS}
    for name in names:
        assert METHODS[name].is_read == (name in READS or name in STREAMS), name
        assert METHODS[name].path == f"/headwater.v1.Pipelines/{name}"


def test_every_method_has_messages_of_its_own_name() -> None:
    for method in SERVICE.methods:
        assert (method.input_type.name, method.output_type.name) == (
            f"{method.name}Request",
            f"{method.name}Response",
        )


def test_states_have_the_numbers_of_executions() -> None:
    ours = {name: value.number for name, value in pp.State.DESCRIPTOR.values_by_name.items()}

    assert ours.pop("STATE_UNSPECIFIED") == pb.Execution.UNKNOWN
    assert ours == {
        name: number for name, number in pb.Execution.State.items() if number != pb.Execution.UNKNOWN
    }


def test_no_enum_gives_its_zero_a_meaning_that_a_request_could_have_by_accident() -> None:
    for enum in all_enums():
        zero = enum.values_by_number[0].name
        # The policy that is meant where none is given.
        assert zero.endswith("_UNSPECIFIED") or zero == "READ_AND_WRITE", enum.full_name


def test_numbers_of_fields_are_never_used_twice_nor_left_out() -> None:
    for message in all_messages():
        proto = descriptor_pb2.DescriptorProto()
        message.CopyToProto(proto)
        reserved = {number for given in proto.reserved_range for number in range(given.start, given.end)}
        numbers = {field.number for field in message.fields}
        assert numbers | reserved == set(range(1, len(numbers | reserved) + 1)), message.full_name


def test_the_fields_that_the_first_clients_send_keep_their_numbers() -> None:
    def numbers(message: Descriptor) -> dict[str, int]:
        return {field.name: field.number for field in message.fields}

    assert (
        numbers(pp.BeginStepRequest.DESCRIPTOR).items()
        >= {
            "pipeline": 1,
            "run": 2,
            "step": 3,
            "key": 4,
            "worker": 5,
            "lease_ms": 6,
            "components": 7,
            "inputs": 8,
            "cache": 9,
            "parameters": 10,
            "code": 11,
            "environment": 12,
            "description": 13,
            "tags": 14,
            "start_ms": 15,
            "refused": 16,
            "custom_properties": 17,
        }.items()
    )
    assert (
        numbers(pp.FinishStepRequest.DESCRIPTOR).items()
        >= {
            "key": 1,
            "state": 2,
            "outputs": 3,
            "metrics": 4,
            "error": 5,
            "usage": 6,
            "end_ms": 7,
            "begin": 8,
            "cached_execution_id": 9,
            "amends": 10,
            "custom_properties": 11,
        }.items()
    )
    assert (
        numbers(pp.BeginStepResponse.DESCRIPTOR).items()
        >= {
            "decision": 1,
            "fingerprint": 2,
            "execution_id": 3,
            "attempt": 4,
            "lease": 5,
            "outputs": 6,
            "holder": 7,
            "retry_after_ms": 8,
            "miss": 9,
            "run_id": 10,
            "pipeline_id": 11,
            "state": 12,
            "input_artifact_ids": 13,
        }.items()
    )
