"""Random filters, answered by the compiled conditions and by evaluating every combination of rows in Python.

A node matches if for one choice of a row for each label the condition is true in three-valued logic.
"""

import os
import re
from collections.abc import Callable
from itertools import product
from random import Random

import pytest
import sqlalchemy as sa
from filters.authors import LABELS, Author, Overflow, conjunction, family_of

from headwater.errors import InvalidRequest
from headwater.storage import schema
from headwater.storage.kinds import ARTIFACT, CONTEXT, EXECUTION
from headwater.storage.statements import Prepared

SEEDS = int(os.environ.get("HEADWATER_TEST_FILTER_SEEDS", "8"))
FILTERS_A_SEED = 100


@pytest.fixture
def rows_of(graph) -> Callable[..., list[dict[str, object]]]:
    """The rows that a label may stand for, of one node."""

    def table(of: sa.Table) -> list[dict[str, object]]:
        rows = graph.read(lambda tx: tx.rows(Prepared(sa.select(of))))
        flags = [column.key for column in of.c if isinstance(column.type, sa.Boolean)]
        found = [dict(zip(of.c.keys(), row, strict=True)) for row in rows]
        return [row | {key: row[key] and bool(row[key]) for key in flags} for row in found]

    types = {row["id"]: row["name"] for row in table(schema.type_table)}
    nodes = {
        kind.name: {row["id"]: row | {"type": types[row["type_id"]]} for row in table(kind.table)}
        for kind in (ARTIFACT, EXECUTION, CONTEXT)
    }
    links = {
        ("artifact", "contexts"): (schema.attribution_table, "artifact_id", "context_id", "context"),
        ("execution", "contexts"): (schema.association_table, "execution_id", "context_id", "context"),
        ("context", "artifacts"): (schema.attribution_table, "context_id", "artifact_id", "artifact"),
        ("context", "executions"): (schema.association_table, "context_id", "execution_id", "execution"),
        ("context", "parent_contexts"): (
            schema.parent_context_table, "context_id", "parent_context_id", "context",
        ),
        ("context", "child_contexts"): (
            schema.parent_context_table, "parent_context_id", "context_id", "context",
        ),
    }  # fmt: skip

    def rows(kind, node_id: int, label: str) -> list[dict[str, object]]:
        if not label:
            return [nodes[kind.name][node_id]]
        family = family_of(label)
        if "properties" in family:
            custom, name = family == "custom_properties", label.partition(".")[2]
            wanted = (node_id, name, custom)
            keys = ("node_id", "name", "is_custom_property")
            return [row for row in table(kind.properties) if tuple(row[key] for key in keys) == wanted]
        if family == "events":
            return [row for row in table(schema.event_table) if row[f"{kind.name}_id"] == node_id]
        link, near, far, other = links[kind.name, family]
        return [nodes[other][row[far]] for row in table(link) if row[near] == node_id]

    cache: dict[tuple[str, int, str], list[dict[str, object]]] = {}

    def remembered(kind, node_id: int, label: str) -> list[dict[str, object]]:
        key = kind.name, node_id, label
        if key not in cache:
            cache[key] = rows(kind, node_id, label)
        return cache[key]

    return remembered


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_random_filter_finds_what_its_evaluation_finds(ask, backend, rows_of, seed):
    random, compiled = Random(seed), 0
    for _ in range(FILTERS_A_SEED):
        kind = random.choice([ARTIFACT, EXECUTION, CONTEXT])
        labels = random.sample(LABELS[kind], random.randint(0, 2))
        text, evaluate = Author(random, kind, labels, backend).condition(3)
        for _ in range(random.randint(0, 1)):
            more, also = Author(random, kind, labels, backend).condition(2)
            text = f"({text}) AND ({more})"
            evaluate = lambda rows, a=evaluate, b=also: conjunction([a(rows), b(rows)])  # noqa: E731
        mentioned = [label for label in labels if re.search(rf"\b{re.escape(label)}\.", text)]
        overflows = False
        try:
            expected = [
                node_id
                for node_id in range(1, 5 if kind is ARTIFACT else 4)
                if True
                in [  # Every choice is evaluated, for the sake of overflows.
                    evaluate(dict(zip(["", *mentioned], choice, strict=True)))
                    for choice in product(*(rows_of(kind, node_id, label) for label in ["", *mentioned]))
                ]
            ]
        except Overflow:
            overflows = True
        try:
            found = ask(text, kind)
        except InvalidRequest as refused:
            assert overflows or "too large" in str(refused) or "deeply" in str(refused), text
            continue
        if not overflows:
            compiled += 1
            assert found == expected, text

    assert compiled > FILTERS_A_SEED / 2
