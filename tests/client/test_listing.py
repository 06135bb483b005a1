import pytest
from google.protobuf.message import Message

from headwater import errors
from headwater.client import Store
from headwater.client.transport import Transport
from headwater.v1 import metadata_store_pb2 as pb


@pytest.fixture
def seven(store: Store) -> list[int]:
    """The ids of seven artifacts of type Data: a to g."""
    type_id = store.put_artifact_type(pb.ArtifactType(name="Data"))
    return store.put_artifacts([pb.Artifact(type_id=type_id, name=name) for name in "abcdefg"])


def names(nodes) -> str:
    return "".join(node.name for node in nodes)


@pytest.mark.parametrize("page_size", [1, 3, 7, 100])
def test_a_listing_has_every_node_once_however_large_its_pages(store, seven, page_size):
    assert names(store.list_artifacts(page_size=page_size)) == "abcdefg"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"limit": 0}, ""),
        ({"limit": 3}, "abc"),
        ({"limit": 3, "page_size": 2}, "abc"),
        ({"limit": 99}, "abcdefg"),
        ({"descending": True, "limit": 2}, "gf"),
        ({"order_by": "create_time", "page_size": 2}, "abcdefg"),
        ({"order_by": "create_time", "descending": True, "page_size": 2}, "gfedcba"),
        ({"type": "Data", "page_size": 2}, "abcdefg"),
        ({"type": "Data", "type_version": "2"}, ""),
        ({"type": "Dog"}, ""),
        ({"context_id": 7}, ""),
        ({"filter": ""}, "abcdefg"),
        ({"filter": "name = 'b' OR name = 'f'"}, "bf"),
        ({"filter": "name > 'b'", "type": "Data", "page_size": 2}, "cdefg"),
    ],
    ids=str,
)
def test_options_of_a_listing(store, seven, options, expected):
    assert names(store.list_artifacts(**options)) == expected


def test_the_nodes_of_a_context_can_be_narrowed_to_a_type_and_a_filter(store, taxi_run):
    in_run = {"context_id": taxi_run.run}

    assert names(store.list_artifacts(**in_run)) == "taxifaresreport"
    assert names(store.list_artifacts(**in_run, type="Model")) == "fares"
    assert names(store.list_artifacts(**in_run, type="Model", filter="name = 'x' OR name = 'taxi'")) == ""
    assert names(store.list_artifacts(**in_run, type="Dog")) == ""
    assert names(store.list_executions(**in_run)) == "trainevaluate"
    assert names(store.list_executions(**in_run, type="Evaluate")) == "evaluate"


def test_executions_and_contexts_are_listed_too(store, taxi_run):
    assert names(store.list_executions(type="Train")) == "train"
    assert names(store.list_executions(descending=True)) == "evaluatetrain"
    assert names(store.list_contexts(type="Run")) == "monday"
    assert names(store.list_contexts(filter="name = 'tuesday'")) == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order_by": "name"}, "order_by must be one of 'id', 'create_time', 'update_time'"),
        ({"limit": -1}, "limit cannot be negative"),
        ({"page_size": 0}, "page_size must be from 1 to 100"),
        ({"page_size": 101}, "page_size must be from 1 to 100"),
        ({"type_version": "2"}, "type_version '2' needs type"),
    ],
    ids=str,
)
def test_wrong_options_are_refused_before_anything_is_read(store, options, message):
    with pytest.raises(errors.InvalidRequest, match=message):
        store.list_artifacts(**options)


class Counting:
    """A transport that counts the calls it passes on."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.count = 0

    def call(self, rpc: str, request: Message, *, timeout_s: float | None = None) -> Message:
        self.count += 1
        return self._transport.call(rpc, request, timeout_s=timeout_s)

    def close(self) -> None:
        self._transport.close()


def test_a_page_is_fetched_when_it_is_read(store, seven):
    counting = Counting(store.transport)
    listing = Store(counting).list_artifacts(page_size=2)

    assert counting.count == 0
    assert names([next(listing), next(listing)]) == "ab"
    assert counting.count == 1
    assert next(listing).name == "c"
    assert counting.count == 2


def test_a_limit_is_met_without_a_call_too_many(store, seven):
    counting = Counting(store.transport)

    assert names(Store(counting).list_artifacts(page_size=2, limit=4)) == "abcd"
    assert counting.count == 2
