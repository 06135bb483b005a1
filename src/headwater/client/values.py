"""Between property values on the wire and plain Python values."""

import base64
from collections.abc import Mapping

from google.protobuf import json_format, struct_pb2, wrappers_pb2

from headwater.errors import InvalidRequest
from headwater.v1 import metadata_store_pb2 as pb

Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]
"""What JSON can hold."""


def to_value(plain: object) -> pb.Value:
    """The property value for a Python value: bool, int, float, str, or a mapping, which becomes a struct.

    Numbers within structs are doubles, so ``{"epochs": 3}`` may come back as ``{"epochs": 3.0}``.

    Raises:
        InvalidRequest: a value of another type, an int of more than 64 bits, or a key that is not text.
    """
    try:
        if isinstance(plain, bool):  # Before int, of which bool is a subclass.
            return pb.Value(bool_value=plain)
        if isinstance(plain, int):
            return pb.Value(int_value=plain)
        if isinstance(plain, float):
            return pb.Value(double_value=plain)
        if isinstance(plain, str):
            return pb.Value(string_value=plain)
        if isinstance(plain, Mapping):
            return pb.Value(struct_value=json_format.ParseDict(dict(plain), struct_pb2.Struct()))
    except (ValueError, TypeError, OverflowError, json_format.ParseError) as error:
        raise InvalidRequest(f"{_shortened(plain)} cannot be a property: {error}") from error
    raise InvalidRequest(
        f"{_shortened(plain)} cannot be a property; properties are bool, int, float, str, "
        "or a mapping of such"
    )


def _shortened(value: object) -> str:
    try:
        return f"{value!r:.200}"
    except Exception:  # Python limits how many digits of an int it writes, and a class may do what it likes.
        return f"a value of type {type(value).__name__!r}"


def from_value(value: pb.Value) -> Plain:
    """The Python value of a property; ``None`` for an empty ``value``.

    A struct is a dict. A message is a dict of its ``@type`` and, base64, its ``value``, unless it is a
    struct or a text that was packed because it may be long.
    """
    case = value.WhichOneof("value")
    if case is None:
        return None
    if case == "struct_value":
        struct: dict[str, Plain] = json_format.MessageToDict(value.struct_value)
        return struct
    if case == "proto_value":
        for message in (struct_pb2.Struct(), wrappers_pb2.StringValue()):
            if value.proto_value.Is(message.DESCRIPTOR) and value.proto_value.Unpack(message):
                unpacked: Plain = json_format.MessageToDict(message)
                return unpacked
        content = base64.b64encode(value.proto_value.value).decode("ascii")
        return {"@type": value.proto_value.type_url, "value": content}
    scalar: bool | int | float | str = getattr(value, case)
    return scalar


def plain_properties(properties: Mapping[str, pb.Value]) -> dict[str, Plain]:
    """Property values by name, names sorted."""
    return {name: from_value(properties[name]) for name in sorted(properties)}
