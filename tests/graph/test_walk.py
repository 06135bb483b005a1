"""Walks give what a plain search finds, in a fixed order, a page at a time."""

import random

import pytest
from graph.graphs import Graph, chain, put_edges, put_members, put_nodes, put_random_graph
from graph.searching import edge_of, node_of, searched
from support import Call

from headwater.errors import Aborted, InvalidRequest, NotFound
from headwater.storage import schema
from headwater.storage.database import Database
from headwater.storage.statements import Prepared
from headwater.v1 import lineage_pb2 as rpc
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as store_rpc

from .conftest import Walk

DIRECTIONS = {"up": rpc.UPSTREAM, "down": rpc.DOWNSTREAM, "both": rpc.BOTH}


def from_artifact(artifact_id: int, direction: int = rpc.DOWNSTREAM, **more: object) -> rpc.WalkRequest:
    start = rpc.StartingNodes(artifact_ids=[artifact_id])
    return rpc.WalkRequest(start=start, direction=direction, **more)


def with_token(request: rpc.WalkRequest, token: str) -> rpc.WalkRequest:
    continued = rpc.WalkRequest()
    continued.CopyFrom(request)
    continued.page_token = token
    return continued


def nodes_of(pages: list[rpc.WalkResponse]) -> list[tuple[int, tuple[str, int]]]:
    return [(node.hops, node_of(node)) for page in pages for node in page.nodes]


class Case:
    """A request drawn at random, and what it must find."""

    def __init__(self, draw: random.Random, graph: Graph, direction: int) -> None:
        self.request = rpc.WalkRequest(direction=direction, page_size=draw.choice([1, 2, 3, 7, 20, 100]))
        self.request.ids_only = draw.random() < 0.5
        start = set()
        for _ in range(draw.choice([1, 1, 2, 5])):
            kind = draw.choice("aaeec")
            if kind == "c":
                context_id = draw.randint(1, 3)
                self.request.start.context_ids.append(context_id)
                start |= graph.members[context_id]
                continue
            node_id = draw.randint(1, graph.artifacts if kind == "a" else graph.executions)
            start.add((kind, node_id))
            ids = self.request.start.artifact_ids if kind == "a" else self.request.start.execution_ids
            ids.append(node_id)
        hops = draw.choice([None, None, 0, 1, 2, 3, 4, 7])
        if hops is not None:
            self.request.max_hops = hops
        ends = []
        for kind, field, count in (
            ("a", "until_artifacts", graph.artifacts),
            ("e", "until_executions", graph.executions),
        ):
            if draw.random() < 0.4:
                ids = draw.sample(range(1, count + 1), 4)
                setattr(self.request, field, f"id IN ({', '.join(map(str, ids))})")
                ends += [(kind, node_id) for node_id in ids]
        edges = list(graph.edges)
        if draw.random() < 0.3:
            self.request.as_of_ms = draw.randint(1, 100)
            edges = [edge for edge, time_ms in graph.edges.items() if time_ms <= self.request.as_of_ms]
        self.found = searched(edges, start, direction, hops=hops, ends=ends)


@pytest.mark.parametrize("style", ["narrow", "hubs", "tangle", "flow"])
@pytest.mark.parametrize("direction", DIRECTIONS.values(), ids=DIRECTIONS)
def test_a_walk_gives_what_a_search_finds_in_its_order_and_each_event_with_its_later_node(
    call: Call, walk: Walk, style: str, direction: int
) -> None:
    draw = random.Random(f"{style} {direction}")
    graph = put_random_graph(call, draw, style)
    for _ in range(25):
        case = Case(draw, graph, direction)

        pages = list(walk(case.request))

        assert nodes_of(pages) == list(case.found.nodes)
        remaining = iter(case.found.events)
        for page in pages:
            assert len(page.nodes) <= case.request.page_size
            expected = set().union(*(next(remaining) for _ in page.nodes))
            assert sorted(map(edge_of, page.events)) == sorted(expected)
        assert [bool(page.next_page_token) for page in pages] == [True] * (len(pages) - 1) + [False]
        assert not any(page.HasField("cut") for page in pages)


@pytest.mark.parametrize("direction", DIRECTIONS.values(), ids=DIRECTIONS)
def test_a_token_goes_on_exactly_where_its_page_ended(call: Call, walk: Walk, direction: int) -> None:
    draw = random.Random(direction)
    graph = put_random_graph(call, draw, "tangle")
    for _ in range(15):
        request = Case(draw, graph, direction).request
        request.page_size = draw.choice([1, 5, 20])
        pages = list(walk(request))
        for number in {0, len(pages) // 2, len(pages) - 2} & set(range(len(pages) - 1)):
            continued = list(walk(with_token(request, pages[number].next_page_token)))

            assert continued == pages[number + 1 :]


@pytest.mark.parametrize("direction", DIRECTIONS.values(), ids=DIRECTIONS)
def test_max_nodes_cuts_the_end_off_and_says_so(call: Call, walk: Walk, direction: int) -> None:
    draw = random.Random(direction)
    graph = put_random_graph(call, draw, "tangle")
    for _ in range(15):
        case = Case(draw, graph, direction)
        whole = list(case.found.nodes)
        case.request.max_nodes = draw.randint(1, len(whole) + 2)

        pages = list(walk(case.request))

        assert nodes_of(pages) == whole[: case.request.max_nodes]
        left = len(whole) - case.request.max_nodes
        assert [page.HasField("cut") for page in pages] == [False] * (len(pages) - 1) + [left > 0]
        if left > 0:
            assert pages[-1].cut.reason == (
                f"max_nodes is {case.request.max_nodes}, and there are more; raise it, or lower max_hops"
            )
            assert 1 <= pages[-1].cut.nodes_left <= left


def test_what_has_many_consumers_and_what_is_wide_is_given_in_the_same_order(call: Call, walk: Walk) -> None:
    # So many that consumers are read from an index, and that events of a level are not kept.
    draw = random.Random(4)
    put_nodes(call, 9_000, 9_000)
    edges = {(draw.choice([1, 2, 2, 3]), execution, pb.Event.INPUT): None for execution in range(100, 9_001)}
    edges |= {(execution, execution, pb.Event.OUTPUT): None for execution in range(100, 9_001)}
    edges |= {(draw.randint(100, 9_000), draw.randint(100, 9_000), 4): None for _ in range(5_000)}
    edges |= {(artifact, 1, pb.Event.OUTPUT): None for artifact in (1, 2, 3)}
    edges |= {(draw.randint(4_000, 9_000), 2, pb.Event.INPUT): None for _ in range(1_000)}
    edges |= {(draw.randint(100, 9_000), draw.randint(10, 40), pb.Event.INPUT): None for _ in range(9_000)}
    put_edges(call, edges)
    for start, direction in ((("e", 1), rpc.DOWNSTREAM), (("e", 2), rpc.UPSTREAM), (("a", 1), rpc.BOTH)):
        request = rpc.WalkRequest(direction=direction, page_size=1_000, ids_only=True)
        ids = request.start.artifact_ids if start[0] == "a" else request.start.execution_ids
        ids.append(start[1])
        found = searched(edges, [start], direction)

        pages = list(walk(request))

        assert nodes_of(pages) == list(found.nodes)
        assert sorted(edge_of(event) for page in pages for event in page.events) == sorted(
            set().union(*found.events)
        )


def test_more_events_than_a_page_has_room_for_come_with_the_next_ones(call: Call, walk: Walk) -> None:
    put_nodes(call, 12_000, 2)
    edges = [(artifact, 1, pb.Event.OUTPUT) for artifact in range(1, 12_001)]
    edges += [(artifact, 2, pb.Event.INPUT) for artifact in range(1, 12_001)]
    put_edges(call, edges)
    request = rpc.WalkRequest(direction=rpc.DOWNSTREAM, page_size=1_000, ids_only=True)
    request.start.execution_ids.append(1)

    pages = list(walk(request))

    assert [(len(page.nodes), len(page.events)) for page in pages[-2:]] == [(2, 10_000), (0, 2_001)]
    assert sum(len(page.nodes) for page in pages) == 12_002
    assert [edge_of(event) for page in pages for event in page.events] == edges
    assert list(walk(with_token(request, pages[-2].next_page_token))) == pages[-1:]


def test_nodes_are_given_whole_with_the_contexts_that_no_page_had(call: Call, walk: Walk) -> None:
    types = store_rpc.PutTypesRequest()
    types.artifact_types.add(name="Data", properties={"rows": pb.INT})
    types.execution_types.add(name="Train")
    types.context_types.add(name="Run")
    made = call("PutTypes", types)
    edge = store_rpc.PutLineageSubgraphRequest.EventEdge
    path = pb.Event.Path(steps=[pb.Event.Path.Step(key="examples"), pb.Event.Path.Step(index=0)])
    call(
        "PutLineageSubgraph",
        store_rpc.PutLineageSubgraphRequest(
            artifacts=[
                pb.Artifact(
                    type_id=made.artifact_type_ids[0],
                    uri="s3://taxi",
                    properties={"rows": pb.Value(int_value=7)},
                )
            ],
            executions=[pb.Execution(type_id=made.execution_type_ids[0], name="train")],
            contexts=[pb.Context(type_id=made.context_type_ids[0], name="monday")],
            event_edges=[
                edge(
                    artifact_index=0,
                    execution_index=0,
                    event=pb.Event(type=pb.Event.INPUT, path=path, milliseconds_since_epoch=5),
                )
            ],
        ),
    )
    (artifact,) = call("GetArtifactsByID", store_rpc.GetArtifactsByIDRequest(artifact_ids=[1])).artifacts
    (execution,) = call("GetExecutionsByID", store_rpc.GetExecutionsByIDRequest(execution_ids=[1])).executions
    (context,) = call("GetContextsByID", store_rpc.GetContextsByIDRequest(context_ids=[1])).contexts

    first, second = walk(from_artifact(1, page_size=1))

    assert first == rpc.WalkResponse(
        nodes=[rpc.WalkResponse.WalkNode(artifact=artifact)],
        contexts=[context],
        attributions=[pb.Attribution(artifact_id=1, context_id=1)],
        next_page_token=first.next_page_token,
    )
    assert second == rpc.WalkResponse(
        nodes=[rpc.WalkResponse.WalkNode(hops=1, execution=execution)],
        events=[
            pb.Event(
                artifact_id=1, execution_id=1, type=pb.Event.INPUT, path=path, milliseconds_since_epoch=5
            )
        ],
        associations=[pb.Association(execution_id=1, context_id=1)],
    )


def test_with_ids_only_nodes_and_contexts_are_nothing_but_their_ids(call: Call, walk: Walk) -> None:
    put_nodes(call, 1, 0, contexts=1)
    put_members(call, 1, [("a", 1)])

    (page,) = walk(from_artifact(1, ids_only=True))

    assert page == rpc.WalkResponse(
        nodes=[rpc.WalkResponse.WalkNode(artifact=pb.Artifact(id=1))],
        contexts=[pb.Context(id=1)],
        attributions=[pb.Attribution(artifact_id=1, context_id=1)],
    )


def test_what_is_put_after_the_first_page_is_not_there(call: Call, walk: Walk) -> None:
    put_nodes(call, 9, 9, contexts=1)
    put_edges(call, chain(4))
    put_members(call, 1, [("a", 1), ("a", 2)])
    request = rpc.WalkRequest(direction=rpc.DOWNSTREAM, page_size=1)
    request.start.context_ids.append(1)
    whole = nodes_of(list(walk(request)))
    pages = walk(request)
    first = next(pages)

    put_edges(call, [(5, 9, pb.Event.INPUT), (1, 8, pb.Event.INPUT)])
    put_members(call, 1, [("a", 8), ("e", 7)])

    assert nodes_of([first, *pages]) == whole
    assert nodes_of([first, *walk(with_token(request, first.next_page_token))]) == whole
    assert len(nodes_of(list(walk(request)))) == len(whole) + 4


def test_a_context_without_members_gives_one_empty_page(call: Call, walk: Walk) -> None:
    put_nodes(call, 0, 0, contexts=1)
    request = rpc.WalkRequest(direction=rpc.BOTH, start=rpc.StartingNodes(context_ids=[1]))

    assert list(walk(request)) == [rpc.WalkResponse()]


def test_an_event_whose_artifact_is_gone_leads_to_its_id(call: Call, walk: Walk, database: Database) -> None:
    # ML Metadata has no foreign keys, and its users delete rows.
    put_nodes(call, 2, 1)
    put_edges(call, chain(1))
    delete = Prepared(schema.artifact_table.delete().where(schema.artifact_table.c.id == 2))
    database.write(lambda tx: tx.run(delete))

    pages = list(walk(from_artifact(1)))

    assert nodes_of(pages) == [(0, ("a", 1)), (1, ("e", 1)), (2, ("a", 2))]
    assert pages[0].nodes[2].artifact == pb.Artifact(id=2)


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (rpc.StartingNodes(artifact_ids=[1, 7, 8]), "there is no artifact 7, no artifact 8"),
        (
            rpc.StartingNodes(artifact_ids=[9], execution_ids=[1, 4], context_ids=[5]),
            "there is no artifact 9, no execution 4, no context 5",
        ),
        (
            rpc.StartingNodes(execution_ids=range(101, 150)),
            f"there is no {', no '.join(f'execution {i}' for i in range(101, 111))} and 39 more",
        ),
    ],
    ids=["artifacts", "all kinds", "many"],
)
def test_starting_nodes_that_are_not_stored_are_named(
    call: Call, walk: Walk, start: rpc.StartingNodes, said: str
) -> None:
    put_nodes(call, 1, 1, contexts=1)

    with pytest.raises(NotFound) as error:
        list(walk(rpc.WalkRequest(start=start, direction=rpc.UPSTREAM)))

    assert str(error.value) == said


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (rpc.WalkRequest(direction=rpc.BOTH), "start needs an artifact, an execution or a context"),
        (from_artifact(1, rpc.WALK_DIRECTION_UNSPECIFIED), "direction must be UPSTREAM, DOWNSTREAM or BOTH"),
        (from_artifact(1, page_size=1_001), "page_size must be from 1 to 1000, and is 1001"),
        (from_artifact(1, page_size=-1), "page_size must be from 1 to 1000, and is -1"),
        (from_artifact(1, max_hops=-1), "max_hops cannot be negative, and is -1"),
        (from_artifact(1, max_nodes=-1), "max_nodes cannot be negative, and is -1; 0 means no limit"),
        (
            rpc.WalkRequest(start=rpc.StartingNodes(artifact_ids=range(1, 10_002)), direction=rpc.BOTH),
            "start has 10001 nodes, and may have 10000; name a context that has them all",
        ),
        (
            from_artifact(1, page_token="nonsense"),
            "page_token is not one that this service gave; start again without a token",
        ),
        (
            from_artifact(1, page_token="Ä"),
            "page_token is not one that this service gave; start again without a token",
        ),
    ],
    ids=lambda value: "" if isinstance(value, str) else None,
)
def test_a_request_that_cannot_be_carried_out_is_refused(
    call: Call, walk: Walk, request_: rpc.WalkRequest, said: str
) -> None:
    put_nodes(call, 1, 0)

    with pytest.raises(InvalidRequest) as error:
        list(walk(request_))

    assert str(error.value) == said


def test_a_filter_that_does_not_compile_is_refused_with_the_place(call: Call, walk: Walk) -> None:
    put_nodes(call, 1, 0)

    with pytest.raises(InvalidRequest, match="column 6"):
        list(walk(from_artifact(1, until_artifacts="id = ")))


def test_a_token_belongs_to_one_request_only(call: Call, walk: Walk) -> None:
    put_nodes(call, 5, 5)
    put_edges(call, chain(4))
    token = next(walk(from_artifact(1, page_size=2))).next_page_token

    for other in (
        from_artifact(2, page_size=2, page_token=token),
        from_artifact(1, page_size=3, page_token=token),
        from_artifact(1, rpc.UPSTREAM, page_size=2, page_token=token),
    ):
        with pytest.raises(InvalidRequest, match="page_token belongs to another request"):
            list(walk(other))


def test_a_token_is_refused_where_what_a_filter_finds_has_changed(call: Call, walk: Walk) -> None:
    put_nodes(call, 5, 5)
    put_edges(call, chain(4))
    request = from_artifact(1, page_size=2, until_executions="last_known_state = FAILED")
    pages = list(walk(request))
    (failing,) = call("GetExecutionsByID", store_rpc.GetExecutionsByIDRequest(execution_ids=[1])).executions
    failing.last_known_state = pb.Execution.FAILED
    call("PutExecutions", store_rpc.PutExecutionsRequest(executions=[failing]))

    with pytest.raises(Aborted, match="start again without a token"):
        list(walk(with_token(request, pages[1].next_page_token)))
