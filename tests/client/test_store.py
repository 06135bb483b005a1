import pytest
from google.protobuf.message import Message

from headwater import errors
from headwater.client import NodeIds, Store, TypeIds, to_value
from headwater.client.transport import Transport
from headwater.v1 import metadata_store_pb2 as pb
from headwater.wire import SERVICES, STORE_SERVICE

from .conftest import put_taxi_run


def test_get_artifact_finds_one_by_its_id(store, taxi_run):
    data = store.get_artifact(taxi_run.data)

    assert (data.name, data.type, data.properties["rows"].int_value) == ("taxi", "Data", 1000)


@pytest.mark.parametrize("kind", ["artifact", "execution", "context"])
def test_a_node_that_is_not_stored_is_not_found(store, kind):
    get = {"artifact": store.get_artifact, "execution": store.get_execution, "context": store.get_context}

    with pytest.raises(errors.NotFound, match=f"no {kind} 7"):
        get[kind](7)


def test_a_type_that_is_not_stored_is_not_found(store):
    with pytest.raises(errors.NotFound):
        store.get_artifact_type("Dog")


def test_types_are_put_together_and_answered_by_kind(store):
    ids = store.put_types(
        artifact_types=[pb.ArtifactType(name="Data"), pb.ArtifactType(name="Data", version="2")],
        context_types=[pb.ContextType(name="Run")],
    )

    assert ids == TypeIds(
        [store.get_artifact_type("Data").id, store.get_artifact_type("Data", "2").id],
        [],
        [store.get_context_type("Run").id],
    )


def test_a_name_that_is_taken_already_exists(store, taxi_run):
    data = store.get_artifact(taxi_run.data)

    with pytest.raises(errors.AlreadyExists):
        store.put_artifacts([pb.Artifact(type_id=data.type_id, name="taxi")])


def test_nobody_is_found_by_type_and_name_where_nobody_is(store, taxi_run):
    assert store.get_artifact_by_type_and_name("Data", "taxi").id == taxi_run.data
    assert store.get_artifact_by_type_and_name("Data", "bus") is None
    assert store.get_execution_by_type_and_name("Walk", "train") is None
    assert store.get_context_by_type_and_name("Run", "tuesday") is None


def test_a_mask_leaves_the_other_fields_alone(store, taxi_run):
    store.put_artifacts([pb.Artifact(id=taxi_run.data, uri="s3://bus")], update_mask=["uri"])

    data = store.get_artifact(taxi_run.data)
    assert (data.uri, data.properties["rows"]) == ("s3://bus", to_value(1000))


def test_an_update_of_what_somebody_changed_meanwhile_can_be_refused(store, taxi_run):
    read = store.get_artifact(taxi_run.data)
    read.last_update_time_since_epoch -= 1
    read.uri = "s3://bus"

    with pytest.raises(errors.FailedPrecondition):
        store.put_artifacts([read], abort_if_changed=True)


def test_looking_for_what_is_not_there_answers_an_empty_list(store):
    assert store.get_artifacts_by_external_ids(["a"]) == []
    assert store.get_artifact_types_by_external_ids(["a"]) == []
    assert store.get_contexts_by_artifact(7) == []
    assert store.get_contexts_by_execution(7) == []
    assert store.get_artifacts_by_id([7]) == []


def test_artifacts_are_found_by_several_uris(store, taxi_run):
    found = store.get_artifacts_by_uri("s3://taxi", "s3://fares", "s3://nowhere")

    assert {artifact.id for artifact in found} == {taxi_run.data, taxi_run.model}


def test_parents_and_children_of_many_contexts(own_store):
    type_id = own_store.put_context_type(pb.ContextType(name="Run"))
    parent, child, other = own_store.put_contexts([pb.Context(type_id=type_id, name=name) for name in "pco"])
    own_store.put_parent_contexts([pb.ParentContext(child_id=child, parent_id=parent)])

    parents = own_store.get_parent_contexts_by_contexts([child, other])
    children = own_store.get_children_contexts_by_contexts([parent, other])
    assert {key: [context.name for context in found] for key, found in parents.items()} == {child: ["p"]}
    assert {key: [context.name for context in found] for key, found in children.items()} == {parent: ["c"]}


def test_a_lineage_subgraph_is_put_whole(store, taxi_run):
    data, train = store.get_artifact(taxi_run.data), store.get_execution(taxi_run.train)

    ids = store.put_lineage_subgraph(
        [pb.Execution(type_id=train.type_id)],
        [pb.Artifact(type_id=data.type_id)],
        [],
        [
            (0, None, pb.Event(artifact_id=taxi_run.data, type=pb.Event.INPUT)),
            (0, 0, pb.Event(type=pb.Event.OUTPUT)),
        ],
    )

    assert ids == NodeIds(ids.execution_ids, ids.artifact_ids, [])
    events = store.get_events_by_execution_ids(ids.execution_ids)
    assert {(event.artifact_id, event.type) for event in events} == {
        (taxi_run.data, pb.Event.INPUT),
        (ids.artifact_ids[0], pb.Event.OUTPUT),
    }


def test_a_store_with_a_timeout_shares_the_transport(store):
    with pytest.raises(errors.DeadlineExceeded):
        store.with_timeout(0).put_context_type(pb.ContextType(name="Run"))
    assert store.put_context_type(pb.ContextType(name="Run")) > 0


class Recording:
    """A transport that notes the calls it passes on."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.calls: set[str] = set()

    def call(self, rpc: str, request: Message, *, timeout_s: float | None = None) -> Message:
        self.calls.add(rpc)
        return self._transport.call(rpc, request, timeout_s=timeout_s)

    def close(self) -> None:
        self._transport.close()


def test_every_rpc_but_the_deprecated_one_can_be_reached(own_store):
    recording = Recording(own_store.transport)
    store = Store(recording)
    run = put_taxi_run(store)

    store.put_types()
    store.put_events([])
    store.put_attributions_and_associations()
    store.put_parent_contexts([])
    store.put_artifacts([])
    store.put_executions([])
    store.put_contexts([])
    store.put_lineage_subgraph([], [], [], [])
    store.list_artifact_types()
    store.list_execution_types()
    store.list_context_types()
    for kind, name in (("artifact", "Data"), ("execution", "Train"), ("context", "Run")):
        getattr(store, f"get_{kind}_type")(name)
        getattr(store, f"get_{kind}_types_by_id")([])
        getattr(store, f"get_{kind}_types_by_external_ids")(["a"])
        getattr(store, f"get_{kind}s_by_external_ids")(["a"])
        getattr(store, f"get_{kind}_by_type_and_name")(name, "a")
        list(getattr(store, f"list_{kind}s")())
        list(getattr(store, f"list_{kind}s")(type=name))
    list(store.list_artifacts(context_id=run.run))
    list(store.list_executions(context_id=run.run))
    store.get_artifacts_by_uri()
    store.get_artifacts_and_types_by_id([])
    store.get_events_by_artifact_ids([])
    store.get_events_by_execution_ids([])
    store.get_contexts_by_artifact(run.data)
    store.get_contexts_by_execution(run.train)
    store.get_parent_contexts_by_context(run.run)
    store.get_children_contexts_by_context(run.run)
    store.get_parent_contexts_by_contexts([run.run])
    store.get_children_contexts_by_contexts([run.run])
    store.lineage(artifact_id=run.report)

    assert set(SERVICES[STORE_SERVICE]) - recording.calls == {"GetLineageGraph"}
    assert len(SERVICES[STORE_SERVICE]) == 52
