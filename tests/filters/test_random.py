"""Random filters, answered by the compiled conditions and by evaluating every combination of rows in Python.

The evaluation knows nothing of SQL: a node matches if for one choice of a row for each label the
condition is true in three-valued logic.
"""

import operator
import re
from collections.abc import Callable
from itertools import product
from random import Random

import pytest
import sqlalchemy as sa

from headwater.errors import InvalidRequest
from headwater.storage import schema
from headwater.storage.kinds import ARTIFACT, CONTEXT, EXECUTION

Rows = dict[str, dict[str, object]]
Evaluate = Callable[[Rows], object]
Term = tuple[str, Evaluate]

COMPARE = {
    "=": operator.eq, "!=": operator.ne, "<>": operator.ne, "<": operator.lt, "<=": operator.le,
    ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
LABELS = {
    ARTIFACT: ["contexts_a", "contexts_b", "events_a", "properties.n", "properties.s", "custom_properties.n"],
    EXECUTION: ["contexts_a", "events_a", "events_b", "properties.n"],
    CONTEXT: ["parent_contexts_a", "child_contexts_a", "artifacts_a", "executions_a", "properties.n"],
}
INTS = {
    "artifact": ["id", "create_time_since_epoch"], "execution": ["id"], "context": ["id"], "contexts": ["id"],
    "parent_contexts": ["id"], "child_contexts": ["id"], "artifacts": ["id"], "executions": ["id"],
    "events": ["milliseconds_since_epoch"], "properties": ["int_value"], "custom_properties": ["int_value"],
}  # fmt: skip
STRINGS = {
    "artifact": ["name", "uri", "type", "external_id"], "execution": ["name", "type"],
    "context": ["name", "type"],
    "contexts": ["name", "type"], "parent_contexts": ["name", "type"], "child_contexts": ["name", "type"],
    "artifacts": ["name", "uri", "type", "external_id"], "executions": ["name", "type"], "events": [],
    "properties": ["string_value"], "custom_properties": ["string_value"],
}  # fmt: skip
ENUMS = {
    "artifact": ("state", ["LIVE", "PENDING", "ABANDONED"], [2, 1, 5]),
    "artifacts": ("state", ["LIVE", "PENDING", "ABANDONED"], [2, 1, 5]),
    "execution": ("last_known_state", ["RUNNING", "COMPLETE"], [2, 3]),
    "executions": ("last_known_state", ["RUNNING", "COMPLETE"], [2, 3]),
    "events": ("type", ["INPUT", "OUTPUT", "PENDING_OUTPUT"], [3, 4, 7]),
}
WORDS = ["m1", "m2", "d1", "e1", "r1", "p1", "Model", "Run", "Train", "/p/1", "foo", "50", "", "it's"]


def lifted(function: Callable[..., object], *terms: Evaluate) -> Evaluate:
    """NULL if any operand is."""

    def evaluate(rows: Rows) -> object:
        values = [term(rows) for term in terms]
        return None if None in values else function(*values)

    return evaluate


def conjunction(values: list[object]) -> object:
    return False if False in values else None if None in values else True


def negation(value: object) -> object:
    return None if value is None else not value


class Author:
    """Writes conditions on nodes of ``kind`` that speak of the labels ``labels``."""

    def __init__(self, random: Random, kind, labels: list[str]) -> None:
        self.random = random
        self.sources = ["", *labels]
        self.kind = kind

    def column(self, columns: dict[str, list[str]]) -> Term | None:
        source = self.random.choice(self.sources)
        fields = columns[family_of(source) if source else self.kind.name]
        if not fields:
            return None
        field = self.random.choice(fields)
        return f"{source}.{field}" if source else field, lambda rows: rows[source][field]

    def integer(self, depth: int) -> Term:
        choice = self.random.randrange(6 if depth else 2)
        if choice == 0:
            value = self.random.choice([-1, 0, 1, 2, 3, 5, 50, 100])
            return str(value), lambda rows: value
        if choice == 1:
            return self.column(INTS) or self.integer(0)
        (left, a), (right, b) = self.integer(depth - 1), self.integer(depth - 1)
        if choice == 2:
            return f"COALESCE({left}, {right})", lambda rows: b(rows) if a(rows) is None else a(rows)
        if choice == 3:
            condition, c = self.condition(depth - 1)
            return f"IF({condition}, {left}, {right})", lambda rows: a(rows) if c(rows) else b(rows)
        sign, function = self.random.choice(
            [("+", operator.add), ("-", operator.sub), ("*", operator.mul), ("^", operator.xor)]
        )
        return f"({left} {sign} {right})", lifted(function, a, b)

    def string(self, depth: int) -> Term:
        choice = self.random.randrange(4 if depth else 2)
        if choice == 0:
            value = self.random.choice(WORDS)
            return repr(value), lambda rows: value
        if choice == 1:
            return self.column(STRINGS) or self.string(0)
        (left, a), (right, b) = self.string(depth - 1), self.string(depth - 1)
        if choice == 2:
            return f"CONCAT({left}, {right})", lifted(operator.add, a, b)
        return f"LOWER({left})", lifted(str.lower, a)

    def enum(self) -> Term | None:
        source = self.random.choice(self.sources)
        known = ENUMS.get(family_of(source) if source else self.kind.name)
        if known is None:
            return None
        field, words, numbers = known
        column = f"{source}.{field}" if source else field
        some = self.random.sample(range(len(words)), 2)
        word, number = words[some[0]], numbers[some[0]]
        listed, members = ", ".join(words[i] for i in some), {numbers[i] for i in some}
        return self.random.choice([
            (f"{column} = {word}", lifted(lambda value: value == number, lambda rows: rows[source][field])),
            (f"{column} <> {word}", lambda rows: rows[source][field] != number),
            (f"{column} IN({listed})", lifted(lambda v: v in members, lambda rows: rows[source][field])),
            (f"{column} NOT IN ({listed})", lambda rows: rows[source][field] not in members),
        ])  # fmt: skip

    def condition(self, depth: int) -> Term:
        choice = self.random.randrange(13 if depth else 8)
        kind_of_value = self.random.choice([self.integer, self.string])
        left, a = kind_of_value(min(depth, 1))
        right, b = kind_of_value(0)
        if choice <= 2:
            sign = self.random.choice(list(COMPARE))
            return f"{left} {sign} {right}", lifted(COMPARE[sign], a, b)
        if choice == 3:
            return f"{left} IS NULL", lambda rows: a(rows) is None
        if choice == 4:
            last, c = kind_of_value(0)
            return f"{left} BETWEEN {right} AND {last}", lambda rows: conjunction(
                [lifted(operator.le, b, a)(rows), lifted(operator.le, a, c)(rows)]
            )
        if choice == 5:
            last, c = kind_of_value(0)
            no = self.random.random() < 0.5
            found = lambda rows: negation(  # noqa: E731
                conjunction([lifted(operator.ne, a, b)(rows), lifted(operator.ne, a, c)(rows)])
            )
            if no:
                return f"{left} NOT IN ({right}, {last})", lambda rows: negation(found(rows))
            return f"{left} IN ({right}, {last})", found
        if choice == 6:
            text, a = self.string(1)
            start = self.random.choice(["m", "r", "/p", ""])
            return f"{text} LIKE '{start}%'", lifted(lambda v: v.lower().startswith(start), a)
        if choice == 7:
            return self.enum() or self.condition(0)
        (left, a), (right, b) = self.condition(depth - 1), self.condition(depth - 1)
        if choice == 8:
            return f"NOT ({left})", lambda rows: negation(a(rows))
        if choice == 9:
            word, value = self.random.choice([("TRUE", True), ("FALSE", False), ("UNKNOWN", None)])
            return f"({left}) IS {word}", lambda rows: a(rows) is value
        if choice == 10:
            return f"({left}) = ({right})", lifted(operator.eq, a, b)
        if choice == 11:
            return f"({left}) OR ({right})", lambda rows: negation(
                conjunction([negation(a(rows)), negation(b(rows))])
            )
        return f"({left}) AND ({right})", lambda rows: conjunction([a(rows), b(rows)])


def family_of(label: str) -> str:
    return label.partition(".")[0] if "properties" in label else label.rpartition("_")[0]


@pytest.fixture
def rows_of(graph) -> Callable[..., list[dict[str, object]]]:
    """The rows that a label may stand for, of one node."""

    def table(of: sa.Table) -> list[dict[str, object]]:
        return [dict(zip(of.c.keys(), row, strict=True)) for row in graph.execute(sa.select(of))]

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


@pytest.mark.parametrize("seed", range(8))
def test_a_random_filter_finds_what_its_evaluation_finds(ask, rows_of, seed):
    random, compiled = Random(seed), 0
    for _ in range(150):
        kind = random.choice([ARTIFACT, EXECUTION, CONTEXT])
        labels = random.sample(LABELS[kind], random.randint(0, 2))
        text, evaluate = Author(random, kind, labels).condition(3)
        for _ in range(random.randint(0, 1)):
            more, also = Author(random, kind, labels).condition(2)
            text = f"({text}) AND ({more})"
            evaluate = lambda rows, a=evaluate, b=also: conjunction([a(rows), b(rows)])  # noqa: E731
        mentioned = [label for label in labels if re.search(rf"\b{re.escape(label)}\.", text)]
        expected = [
            node_id
            for node_id in range(1, 5 if kind is ARTIFACT else 4)
            if any(
                evaluate(dict(zip(["", *mentioned], choice, strict=True))) is True
                for choice in product(*(rows_of(kind, node_id, label) for label in ["", *mentioned]))
            )
        ]
        try:
            found = ask(text, kind)
        except InvalidRequest as refused:
            assert "too large" in str(refused) or "deeply" in str(refused), text
            continue
        compiled += 1
        assert found == expected, text

    assert compiled > 100
