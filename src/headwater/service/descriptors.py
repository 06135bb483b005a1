"""Our descriptors as clients know them: in the package ``ml_metadata``, for reflection.

The messages live in a package of our own, so that headwater and the ``ml-metadata`` wheel load in one
process (decision 0002). What a client asks reflection for is MLMD's names, so they are translated here, in
a descriptor pool apart from the process-wide one. Only in that pool can the option be registered that tells
the name of each base type: its number may be taken in the other.
"""

from collections.abc import Iterable

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from headwater.storage.kinds import KINDS, NodeKind
from headwater.v1 import lineage_pb2, pipelines_pb2
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc

_OURS, _THEIRS = "headwater.v1", "ml_metadata"
_FILES = {
    "headwater/v1/metadata_store.proto": "ml_metadata/proto/metadata_store.proto",
    "headwater/v1/metadata_store_service.proto": "ml_metadata/proto/metadata_store_service.proto",
}
_OPTION = "system_type_extension"
_OPTION_NUMBER = 384560917


def descriptors_as_served() -> descriptor_pool.DescriptorPool:
    """A pool with every service that the server offers, under the names it offers them."""
    pool = descriptor_pool.DescriptorPool()
    added: set[str] = set()

    def add(file: FileDescriptor) -> None:
        if file.name in added:
            return
        added.add(file.name)
        for dependency in file.dependencies:
            add(dependency)
        proto = descriptor_pb2.FileDescriptorProto()
        file.CopyToProto(proto)
        if file.name in _FILES:
            _translate(proto)
        elif file.package == _OURS:
            _refer_to_theirs(proto, of=(pb.DESCRIPTOR, rpc.DESCRIPTOR))
        pool.Add(proto)

    add(descriptor_pb2.DESCRIPTOR)
    ours = (pb.DESCRIPTOR, rpc.DESCRIPTOR, pipelines_pb2.DESCRIPTOR, lineage_pb2.DESCRIPTOR)
    for file in (*ours, health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR):
        add(file)
    return pool


def _translate(file: descriptor_pb2.FileDescriptorProto) -> None:
    file.package = _THEIRS
    file.name = _FILES[file.name]
    for index, dependency in enumerate(file.dependency):
        file.dependency[index] = _FILES.get(dependency, dependency)
    for message in file.message_type:
        _translate_message(message)
    for service in file.service:
        for method in service.method:
            method.input_type = _translated(method.input_type)
            method.output_type = _translated(method.output_type)
    if any(message.name == "SystemTypeExtension" for message in file.message_type):
        _add_option(file)


def _refer_to_theirs(file: descriptor_pb2.FileDescriptorProto, *, of: Iterable[FileDescriptor]) -> None:
    """Let a file of our own name what it uses of MLMD's files as these are served."""
    used = {f".{message.full_name}" for one in of for message in one.message_types_by_name.values()}
    for index, dependency in enumerate(file.dependency):
        file.dependency[index] = _FILES.get(dependency, dependency)
    pending = list(file.message_type)
    while pending:
        message = pending.pop()
        pending += message.nested_type
        for field in message.field:
            if field.type_name in used:
                field.type_name = _translated(field.type_name)


def _translate_message(message: descriptor_pb2.DescriptorProto) -> None:
    for field in message.field:
        field.type_name = _translated(field.type_name)
        if not field.type_name:
            field.ClearField("type_name")
    for nested in message.nested_type:
        _translate_message(nested)


def _translated(type_name: str) -> str:
    prefix = f".{_OURS}."
    return f".{_THEIRS}.{type_name[len(prefix) :]}" if type_name.startswith(prefix) else type_name


def _add_option(file: descriptor_pb2.FileDescriptorProto) -> None:
    """Declare the option, and set it on the values of the base type enums."""
    file.dependency.append("google/protobuf/descriptor.proto")
    file.extension.add(
        name=_OPTION,
        number=_OPTION_NUMBER,
        label=descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL,
        type=descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE,
        type_name=f".{_THEIRS}.SystemTypeExtension",
        extendee=".google.protobuf.EnumValueOptions",
    )
    messages = {message.name: message for message in file.message_type}
    for kind in KINDS:
        (enum,) = messages[kind.type_message.DESCRIPTOR.name].enum_type
        for value, name in zip(enum.value, _base_type_names(kind), strict=True):
            content = pb.SystemTypeExtension(type_name=name).SerializeToString()
            tag = _varint(_OPTION_NUMBER << 3 | 2)
            value.options.MergeFromString(tag + _varint(len(content)) + content)


def _base_type_names(kind: NodeKind) -> Iterable[str]:
    yield f"unset_{kind.name}_type"
    yield from kind.base_types.values()


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
