"""Property values: between the ``Value`` message and the columns of a property row.

A value is one non-NULL column among int, double, string, proto and bool. A struct is a string column
with a prefix. Text that could not be read back, by us or by ML Metadata on the same database, is refused
when it is written.
"""

import base64
import binascii
import math
from collections.abc import Collection, Mapping
from typing import Any

from google.protobuf import any_pb2, struct_pb2
from google.protobuf.message import DecodeError, Message

from headwater.errors import DataLoss, InvalidRequest
from headwater.storage.dialects import Dialect, Values
from headwater.v1 import metadata_store_pb2 as pb

STRUCT_PREFIX = "mlmd-struct::"
# ML Metadata's engine takes this text for NULL and then cannot read the row.
_NULL_TEXT = "__MLMD_NULL__"
# Protobuf reads messages nested to 100 levels. A level of a struct takes three, the response around it four.
_DEEPEST_STRUCT = 30

CASES: Mapping[str, int] = {
    "int_value": 1,
    "double_value": 2,
    "string_value": 3,
    "struct_value": 4,
    "proto_value": 5,
    "bool_value": 6,
}
"""Case of ``Value.value`` to the ``PropertyType`` number of the same meaning."""

Columns = tuple[int | None, float | None, str | None, Any, bool | None]
"""int_value, double_value, string_value, proto_value, bool_value."""


def checked_text(text: str, what: str) -> str:
    """``text`` itself, if every database and every reader can hold it.

    Raises:
        InvalidRequest: it is not UTF-8, holds a NUL character, or is the text that MLMD reserves.
    """
    if not isinstance(text, str):  # Protobuf hands out a proto2 string that is not UTF-8 as bytes.
        raise InvalidRequest(f"{what} is not valid UTF-8: {text!r:.80}")
    if "\0" in text:
        raise InvalidRequest(f"{what} contains a NUL character, which databases cannot store: {text!r:.80}")
    if text == _NULL_TEXT:
        raise InvalidRequest(f"{what} is {_NULL_TEXT!r}, which ML Metadata reserves; use another text")
    return text


def looked_for(texts: Collection[str]) -> Values:
    """Texts to look for, each once.

    Raises:
        InvalidRequest: one is not UTF-8 or holds a NUL character, so nothing stored can be equal to it.
    """
    for text in texts:
        if not isinstance(text, str) or "\0" in text:
            raise InvalidRequest(
                f"a text to look for is not valid UTF-8 or has a NUL character: {text!r:.80}"
            )
    return Values(sorted(set(texts)))


def encode(dialect: Dialect, name: str, value: pb.Value, *, is_custom: bool) -> Columns:
    """The columns that hold ``value``.

    Raises:
        InvalidRequest: the value is empty, or no database could give it back.
    """
    case = value.WhichOneof("value")
    if case == "string_value":
        text = value.string_value
        checked_text(text, f"property {name!r}")
        if is_custom and text.startswith(STRUCT_PREFIX) and _as_struct(text) is not None:
            raise InvalidRequest(
                f"custom property {name!r} begins with {STRUCT_PREFIX!r} and would read back as a struct; "
                "declare it as STRING in the type, or use another text"
            )
        return None, None, text, None, None
    if case == "int_value":
        return value.int_value, None, None, None, None
    if case == "double_value":
        if not math.isfinite(value.double_value):
            raise InvalidRequest(
                f"property {name!r} is {value.double_value}; databases hold finite numbers only, "
                "leave it out or store a string"
            )
        return None, value.double_value, None, None, None
    if case == "bool_value":
        return None, None, None, None, value.bool_value
    if case == "struct_value":
        _check_struct(name, value.struct_value)
        content = value.struct_value.SerializeToString(deterministic=True)
        return None, None, STRUCT_PREFIX + base64.b64encode(content).decode("ascii"), None, None
    if case == "proto_value":
        if not value.proto_value.type_url:
            raise InvalidRequest(
                f"property {name!r} is an Any without type_url; set it, so that readers can tell"
            )
        content = value.proto_value.SerializeToString(deterministic=True)
        return None, None, None, dialect.encode_proto(content), None
    raise InvalidRequest(f"property {name!r} has no value; set one of {', '.join(CASES)}, or leave it out")


def _check_struct(name: str, struct: struct_pb2.Struct) -> None:
    # An own stack, so that a deep struct cannot exhaust Python's.
    pending: list[tuple[Message, int]] = [(struct, 1)]
    while pending:
        part, depth = pending.pop()
        if depth > _DEEPEST_STRUCT:
            raise InvalidRequest(f"property {name!r} is a struct nested deeper than {_DEEPEST_STRUCT} levels")
        if isinstance(part, struct_pb2.Struct):
            values = list(part.fields.values())
        elif isinstance(part, struct_pb2.ListValue):
            values = list(part.values)
        else:
            continue
        for value in values:
            case = value.WhichOneof("kind")
            if case == "number_value" and not math.isfinite(value.number_value):
                raise InvalidRequest(f"property {name!r} is a struct that holds {value.number_value}")
            if case == "struct_value":
                pending.append((value.struct_value, depth + 1))
            elif case == "list_value":
                pending.append((value.list_value, depth + 1))


def decode_into(
    target: pb.Value,
    name: str,
    columns: Columns,
    dialect: Dialect,
    *,
    is_declared_string: bool,
) -> None:
    """Set ``target`` from a property row.

    Text with the struct prefix is a struct, unless the type declares a STRING or it is no struct after all.

    Raises:
        DataLoss: every column is NULL.
    """
    int_value, double_value, string_value, proto_value, bool_value = columns
    if int_value is not None:
        target.int_value = int_value
    elif double_value is not None:
        target.double_value = double_value
    elif string_value is not None:
        if string_value.startswith(STRUCT_PREFIX) and not is_declared_string:
            struct = _as_struct(string_value)
            if struct is not None:
                target.struct_value.CopyFrom(struct)
                return
        target.string_value = string_value
    elif proto_value is not None:
        target.proto_value.ParseFromString(dialect.decode_proto(proto_value))
    elif bool_value is not None:
        target.bool_value = bool(bool_value)
    else:
        raise DataLoss(f"the stored property {name!r} has no value; 'headwater db check' lists such rows")


def _as_struct(text: str) -> struct_pb2.Struct | None:
    try:
        content = base64.b64decode(text[len(STRUCT_PREFIX) :], validate=True)
        return struct_pb2.Struct.FromString(content)
    except (binascii.Error, ValueError, DecodeError):
        return None


# What may be long goes into a message, because databases index texts, and PostgreSQL refuses those that are
# too long for that. A struct is stored as a text.


def packed(message: Message) -> pb.Value:
    """The property that holds a message."""
    value = pb.Value()
    # The same message has the same bytes.
    value.proto_value.Pack(message, deterministic=True)
    return value


def struct_in(value: pb.Value) -> struct_pb2.Struct:
    """The struct of a property, which may be packed; empty if there is none."""
    if value.WhichOneof("value") == "proto_value":
        struct = struct_pb2.Struct()
        value.proto_value.Unpack(struct)
        return struct
    return value.struct_value


def packed_texts(dialect: Dialect, column: Any) -> dict[str, str]:
    """The texts of a flat struct that is packed, by name, from the column it is stored in."""
    if column is None:
        return {}
    message = any_pb2.Any.FromString(dialect.decode_proto(column))
    struct = struct_in(pb.Value(proto_value=message))
    return {name: value.string_value for name, value in struct.fields.items()}
