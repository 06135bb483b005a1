"""The database restarts, or is away for a while, while many write."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from databases import Server
from faults.load import Load, check, put_types, step
from faults.serving import Serve
from proxies import Proxy

from headwater.embedded import EmbeddedTransport, open_transport
from headwater.errors import Unavailable
from headwater.storage.opening import open_database
from headwater.v1 import metadata_store_service_pb2 as rpc

pytestmark = pytest.mark.backends("postgresql", "mysql")

CONNECTIONS = 4
WRITERS = 12


def connections_to(server: Server, url: str) -> int:
    """How many connections there are to a database, whoever has them."""
    database = url.rpartition("/")[2]
    table = "pg_stat_activity" if server.backend == "postgresql" else "information_schema.processlist"
    column = "datname" if server.backend == "postgresql" else "db"
    return server.execute(f"SELECT count(*) FROM {table} WHERE {column} = '{database}'")[0][0]


@pytest.mark.parametrize("how", ["restart", "kill"])
def test_the_database_restarts_under_load(how: str, serve: Serve, own_server: Server, own_url: str) -> None:
    serving = serve(own_url, "--database-connections", CONNECTIONS)
    load = Load([serving.port], writers=WRITERS)
    most_connections = 0
    for _ in range(3):
        load.wait_for_more(100)
        most_connections = max(most_connections, connections_to(own_server, own_url))
        if how == "kill":
            own_server.kill()
            own_server.start()
        else:
            own_server.restart()
        load.wait_for_more(100)
        most_connections = max(most_connections, connections_to(own_server, own_url))
    load.stop()

    assert set(load.codes) <= {"OK", "UNAVAILABLE"}
    assert most_connections <= CONNECTIONS
    store = open_transport(own_url)
    check(store.call, load.acknowledged)
    store.close()


def test_a_database_that_stays_away_is_unavailable_soon_and_comes_back_by_itself(
    own_server: Server, own_url: str
) -> None:
    database = open_database(own_url, connection_patience_s=1.0)
    call = EmbeddedTransport(database).call
    put_types(call)
    own_server.stop()

    began = time.monotonic()
    with pytest.raises(Unavailable, match="cannot be reached now; check that it runs"):
        call("GetArtifacts", rpc.GetArtifactsRequest())
    first_s = time.monotonic() - began
    # Who asks later need not find out again.
    began = time.monotonic()
    with pytest.raises(Unavailable):
        put_types(call)
    second_s = time.monotonic() - began
    own_server.start()

    assert second_s < first_s
    assert call("GetArtifacts", rpc.GetArtifactsRequest()) == rpc.GetArtifactsResponse()
    assert len(call("GetArtifactTypes", rpc.GetArtifactTypesRequest()).artifact_types) == 1
    database.close()


def test_requests_wait_for_a_database_that_is_away_for_a_moment(own_server: Server, own_url: str) -> None:
    with Proxy(f"{own_server.host}:{own_server.port}") as proxy:
        database = open_database(proxy.url(own_url))
        call = EmbeddedTransport(database).call
        types = put_types(call)
        proxy.refuse()
        proxy.cut()
        threading.Timer(0.5, proxy.accept).start()

        assert put_types(call) == types
        assert len(call("GetArtifactTypes", rpc.GetArtifactTypesRequest()).artifact_types) == 1
        database.close()


def test_every_connection_of_the_pool_that_was_cut_is_made_again(own_server: Server, own_url: str) -> None:
    with Proxy(f"{own_server.host}:{own_server.port}") as proxy:
        database = open_database(proxy.url(own_url), connections=CONNECTIONS, connection_patience_s=1.0)
        call = EmbeddedTransport(database).call
        types = put_types(call)
        for round_ in range(5):
            with ThreadPoolExecutor(WRITERS) as threads:
                list(threads.map(lambda name: call("PutExecution", step(types, name)), map(str, range(100))))
            proxy.cut()
            made = proxy.connections

            found = call("GetExecutions", rpc.GetExecutionsRequest()).executions
            assert len(found) == 100 * (round_ + 1)
            assert proxy.connections <= made + CONNECTIONS
        database.close()
