"""Our messages are those of ML Metadata, field by field.

``wire.json`` was generated from the descriptors that the ml-metadata 1.17.1 wheel carries.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor

from headwater.service.descriptors import descriptors_as_served
from headwater.service.rpcs import READS, STREAMS, WRITES
from headwater.v1 import metadata_store_service_pb2 as rpc
from headwater.wire import LINEAGE_SERVICE, METHODS, PIPELINES_SERVICE, SERVICES, STORE_SERVICE, Method

WIRE = json.loads((Path(__file__).parent / "wire.json").read_text())
FILES = ("ml_metadata/proto/metadata_store.proto", "ml_metadata/proto/metadata_store_service.proto")
# Field types and labels as descriptor.proto numbers them.
TYPES = {
    number: name.removeprefix("TYPE_").lower()
    for name, number in descriptor_pb2.FieldDescriptorProto.Type.items()
}
LABELS = {1: "optional", 2: "required", 3: "repeated"}


@pytest.fixture(scope="module")
def files() -> list[FileDescriptor]:
    pool = descriptors_as_served()
    return [pool.FindFileByName(name) for name in FILES]


def described_field(field: FieldDescriptor, proto: descriptor_pb2.FieldDescriptorProto) -> dict[str, Any]:
    described: dict[str, Any] = {
        "json_name": field.json_name,
        "label": LABELS[proto.label],
        "number": field.number,
        "type": TYPES[proto.type],
    }
    if proto.type_name:
        described["type_name"] = proto.type_name.lstrip(".")
    if field.has_default_value:
        default = field.default_value
        described["default"] = (
            field.enum_type.values_by_number[default].name if field.enum_type is not None else default
        )
    if proto.HasField("oneof_index"):
        described["oneof"] = field.containing_oneof.name
    if proto.options.packed:
        described["packed"] = True
    if proto.options.deprecated:
        described["deprecated"] = True
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        key, value = field.message_type.fields_by_name["key"], field.message_type.fields_by_name["value"]
        value_proto = descriptor_pb2.DescriptorProto()
        field.message_type.CopyToProto(value_proto)
        key_type, value_type = (TYPES[part.type] for part in value_proto.field)
        named = value.message_type or value.enum_type
        described["map"] = {"key": key_type, "value": named.full_name if named is not None else value_type}
        assert key.number == 1
    return described


def described_messages(files: list[FileDescriptor]) -> dict[str, Any]:
    described = {}

    def describe(message: Descriptor) -> None:
        if message.GetOptions().map_entry:
            return
        proto = descriptor_pb2.DescriptorProto()
        message.CopyToProto(proto)
        protos = {field.name: field for field in proto.field}
        content: dict[str, Any] = {
            "fields": {field.name: described_field(field, protos[field.name]) for field in message.fields},
            "file": message.file.name,
            "oneofs": {oneof.name: [field.name for field in oneof.fields] for oneof in message.oneofs},
        }
        if proto.options.deprecated:
            content["deprecated"] = True
        if proto.reserved_range:
            content["reserved"] = [[reserved.start, reserved.end - 1] for reserved in proto.reserved_range]
        if proto.extension_range:
            content["extension_ranges"] = [[found.start, found.end - 1] for found in proto.extension_range]
        described[message.full_name] = content
        for nested in message.nested_types:
            describe(nested)

    for file in files:
        for message in file.message_types_by_name.values():
            describe(message)
    return described


def described_enums(files: list[FileDescriptor]) -> dict[str, Any]:
    described = {}
    option = files[0].extensions_by_name["system_type_extension"]
    extension_tag = option.number << 3 | 2

    def describe(enum: Any) -> None:
        proto = descriptor_pb2.EnumDescriptorProto()
        enum.CopyToProto(proto)
        values = {}
        for value in proto.value:
            content: dict[str, Any] = {"number": value.number}
            options = value.options.SerializeToString()
            if options:
                name = type_name_of(options, extension_tag)
                content["system_type_extension.type_name"] = name
            values[value.name] = content
        described[enum.full_name] = values

    def describe_within(message: Descriptor) -> None:
        for enum in message.enum_types:
            describe(enum)
        for nested in message.nested_types:
            describe_within(nested)

    for file in files:
        for enum in file.enum_types_by_name.values():
            describe(enum)
        for message in file.message_types_by_name.values():
            describe_within(message)
    return described


def type_name_of(options: bytes, extension_tag: int) -> str:
    """The type_name inside the extension that is the only content of ``options``."""
    position, tag, shift = 0, 0, 0
    while True:
        tag |= (options[position] & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if options[position - 1] < 0x80:
            break
    assert tag == extension_tag
    extension = options[position + 1 :]
    assert extension[0] == 1 << 3 | 2, "type_name is field 1"
    return extension[2:].decode()


def on_the_wire(found: dict[str, Any]) -> dict[str, Any]:
    """Without what is declared in simple_types.proto, which is never sent."""
    return {name: content for name, content in found.items() if content.get("file", FILES[0]) in FILES}


def test_every_message_and_field_is_as_in_ml_metadata(files: list[FileDescriptor]) -> None:
    assert described_messages(files) == on_the_wire(WIRE["messages"])


def test_every_enum_value_and_base_type_name_is_as_in_ml_metadata(files: list[FileDescriptor]) -> None:
    assert described_enums(files) == WIRE["enums"]


def test_the_extension_is_as_in_ml_metadata(files: list[FileDescriptor]) -> None:
    extensions = {
        extension.full_name: {
            "extends": extension.containing_type.full_name,
            "label": "optional",
            "number": extension.number,
            "type": "message",
            "type_name": extension.message_type.full_name,
        }
        for extension in files[0].extensions_by_name.values()
    }

    assert extensions == WIRE["extensions"]


def test_the_service_has_the_rpcs_of_ml_metadata(files: list[FileDescriptor]) -> None:
    (service,) = files[1].services_by_name.values()
    described = {
        service.full_name: {
            method.name: {
                "client_streaming": method.client_streaming,
                "deprecated": method.GetOptions().deprecated,
                "path": f"/{service.full_name}/{method.name}",
                "request": method.input_type.full_name,
                "response": method.output_type.full_name,
                "server_streaming": method.server_streaming,
            }
            for method in service.methods
        }
    }

    assert described == WIRE["services"]


def test_every_rpc_is_answered() -> None:
    (service,) = rpc.DESCRIPTOR.services_by_name.values()

    assert set(SERVICES[STORE_SERVICE]) == {method.name for method in service.methods}
    assert {*READS, *WRITES, *STREAMS} == set(METHODS)
    assert len(READS) + len(WRITES) + len(STREAMS) == len(METHODS)


@pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.name)
def test_what_a_client_may_send_again_changes_nothing(method: Method) -> None:
    assert method.is_read is (method.name not in WRITES)
    assert method.is_stream is (method.name in STREAMS)


def test_our_own_services_are_served_under_their_names() -> None:
    pool = descriptors_as_served()

    walk = pool.FindServiceByName(LINEAGE_SERVICE).methods_by_name["Walk"]
    begin = pool.FindServiceByName(PIPELINES_SERVICE).methods_by_name["BeginStep"]

    assert walk.output_type.fields_by_name["events"].message_type.full_name == "ml_metadata.Event"
    assert begin.input_type.full_name == "headwater.v1.BeginStepRequest"
