import pytest
from google.protobuf.any_pb2 import Any

from headwater.client import from_value, to_value
from headwater.errors import InvalidRequest
from headwater.v1 import metadata_store_pb2 as pb


@pytest.mark.parametrize(
    ("plain", "case"),
    [
        (True, "bool_value"),
        (7, "int_value"),
        (0.25, "double_value"),
        ("", "string_value"),
        ({"layers": [1.5, {"units": None}]}, "struct_value"),
    ],
    ids=["bool", "int", "float", "empty string", "mapping"],
)
def test_a_value_comes_back_as_it_was(plain, case):
    value = to_value(plain)

    assert value.WhichOneof("value") == case
    assert from_value(value) == plain
    assert type(from_value(value)) is type(plain)


@pytest.mark.parametrize(
    "plain",
    [None, b"raw", [1, 2], object(), 2**63, {"a": object()}, {1: 2}, 10**5000, {"a": 10**400}],
    ids=range(9),
)
def test_what_cannot_be_a_property_is_refused(plain):
    with pytest.raises(InvalidRequest, match="cannot be a property"):
        to_value(plain)


def test_a_message_is_shown_by_its_type_and_bytes():
    value = pb.Value(proto_value=Any(type_url="type.googleapis.com/x.Y", value=b"\x00\xff"))

    assert from_value(value) == {"@type": "type.googleapis.com/x.Y", "value": "AP8="}


def test_an_empty_value_is_none():
    assert from_value(pb.Value()) is None
