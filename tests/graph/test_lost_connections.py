"""A walk whose pages meet faults of the database gives what it gives without."""

import random

import pytest
from faults.injection import FAULTS, Plan, faulty_database
from graph.graphs import put_random_graph

from headwater.embedded import EmbeddedTransport
from headwater.v1 import lineage_pb2 as rpc


@pytest.mark.backends("postgresql", "mysql")
def test_a_page_that_is_tried_again_is_the_same(backend: str, store_url: str) -> None:
    with faulty_database(backend, store_url) as database:
        transport = EmbeddedTransport(database)
        put_random_graph(transport.call, random.Random(1), "tangle")
        request = rpc.WalkRequest(direction=rpc.DOWNSTREAM, page_size=4)
        request.start.context_ids.extend([1, 2, 3])
        database.plan = Plan({})
        whole = list(transport.stream("Walk", request))
        statements = database.plan.seen
        struck = 0

        for at in range(0, statements, 1 + statements // 25):
            fault = FAULTS[backend][at % len(FAULTS[backend])]
            database.plan = Plan({at: fault})
            assert list(transport.stream("Walk", request)) == whole, f"{fault} at statement {at}"
            struck += database.plan.struck

        assert len(whole) > 5
        assert struck > 10
