"""Stores to filter."""

from collections.abc import Callable, Iterator

import pytest
from databases import empty_store
from filters.asking import Ids, matches, put_graph

from headwater.storage.database import Database
from headwater.storage.kinds import NodeKind
from headwater.storage.opening import open_database

Ask = Callable[[str, NodeKind], Ids]


@pytest.fixture(scope="module")
def graph(backend: str) -> Iterator[Database]:
    """The small graph, which tests leave as it is."""
    with empty_store(backend) as url:
        database = open_database(url, private=url == "sqlite://")
        put_graph(database)
        yield database
        database.close()


@pytest.fixture
def ask(graph: Database) -> Ask:
    """Ask the small graph for the ids that match."""
    return lambda text, kind: matches(graph, text, kind)
