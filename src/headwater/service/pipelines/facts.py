"""What requests say of code, environment, parameters and so on, as properties of nodes, and back."""

from collections.abc import Mapping
from typing import Any

from google.protobuf import struct_pb2, wrappers_pb2

from headwater.errors import InvalidRequest
from headwater.service.pipelines.naming import property_name
from headwater.storage.kinds import Node
from headwater.storage.model import PARAMETER, TAG
from headwater.storage.values import packed
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import pipelines_pb2 as pp

LONGEST_ERROR_BYTES = 64 * 1024
# What PostgreSQL's indexes hold for sure.
_LONGEST_INDEXED_BYTES = 2_000

_CODE = ("repository", "commit", "source_digest")
_ENVIRONMENT = ("python", "platform", "lock_file_digest", "container_image")


def set_text(node: Node, name: str, text: str) -> None:
    """Set a property, unless there is nothing to say."""
    if text:
        node.properties[name].string_value = text


def set_texts(node: Node, name: str, texts: Mapping[str, Any]) -> None:
    """Set a property to a struct of texts, numbers or flags, unless it is empty."""
    if texts:
        fields = node.properties[name].struct_value.fields
        for key, value in texts.items():
            if isinstance(value, bool):
                fields[key].bool_value = value
            elif isinstance(value, int | float):
                fields[key].number_value = value
            else:
                fields[key].string_value = value


def set_facts(
    node: Node,
    request: "pp.StartRunRequest | pp.BeginStepRequest",
) -> None:
    """What runs and steps say alike."""
    if request.HasField("code"):
        code = {name: getattr(request.code, name) for name in _CODE if getattr(request.code, name)}
        if request.code.HasField("is_dirty"):
            code["is_dirty"] = request.code.is_dirty
        set_texts(node, "code", code)
    if request.HasField("environment"):
        given = request.environment
        known = {name: getattr(given, name) for name in _ENVIRONMENT if getattr(given, name)}
        set_texts(node, "environment", {**given.other, **known})
    set_text(node, "description", request.description)
    custom = node.custom_properties
    for name, value in request.custom_properties.items():
        custom[name].CopyFrom(value)
    for name, value in request.parameters.items():
        if value.WhichOneof("value") is None:
            raise InvalidRequest(f"parameter {name!r} has no value; set one, or leave it out")
        custom[property_name(PARAMETER, name, "the name of a parameter")].CopyFrom(value)
    for name, text in request.tags.items():
        custom[property_name(TAG, name, "the name of a tag")].string_value = text


def code_of(node: Node) -> pp.CodeVersion | None:
    """The code of a run or a step, if it was said."""
    if "code" not in node.properties:
        return None
    fields = node.properties["code"].struct_value.fields
    code = pp.CodeVersion()
    for name in _CODE:
        if name in fields:
            setattr(code, name, fields[name].string_value)
    if "is_dirty" in fields:
        code.is_dirty = fields["is_dirty"].bool_value
    return code


def environment_of(node: Node) -> pp.Environment | None:
    """The environment of a run or a step, if it was said."""
    if "environment" not in node.properties:
        return None
    fields = node.properties["environment"].struct_value.fields
    texts = {name: value.string_value for name, value in fields.items()}
    known = {name: texts.pop(name) for name in _ENVIRONMENT if name in texts}
    return pp.Environment(**known, other=texts)


def named_by(prefix: str, node: Node) -> dict[str, pb.Value]:
    """The custom properties whose names begin with ``prefix``, without it: parameters, tags, metrics."""
    return {
        name[len(prefix) :]: value
        for name, value in node.custom_properties.items()
        if name.startswith(prefix)
    }


ERROR_PATHS = ("properties.error", "properties.whole_error")
"""What ``set_error`` sets, as paths of a mask."""


def set_error(node: Node, error: str) -> None:
    """Set what a run or a step failed for: in short, and as much as is kept of it where that is more."""
    set_text(node, "error", _shortened(error, _LONGEST_INDEXED_BYTES))
    if len(error.encode()) > _LONGEST_INDEXED_BYTES:
        whole = wrappers_pb2.StringValue(value=_shortened(error, LONGEST_ERROR_BYTES))
        node.properties["whole_error"].CopyFrom(packed(whole))


def error_of(node: Node) -> str:
    """What a run or a step failed for, as much as is kept of it."""
    if "whole_error" in node.properties:
        whole = wrappers_pb2.StringValue()
        node.properties["whole_error"].proto_value.Unpack(whole)
        return whole.value
    return node.properties["error"].string_value if "error" in node.properties else ""


def _shortened(text: str, most_bytes: int) -> str:
    """A text's end, which says what happened, and its beginning."""
    encoded = text.encode()
    if len(encoded) <= most_bytes:
        return text
    mark = b"\n[...]\n"
    half = (most_bytes - len(mark)) // 2
    return (encoded[:half] + mark + encoded[-half:]).decode(errors="ignore")


def texts_of(struct: struct_pb2.Struct) -> dict[str, str]:
    """The texts of a flat struct by name."""
    return {name: value.string_value for name, value in struct.fields.items()}
