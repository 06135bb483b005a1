"""Filters that differ in what is bound only are compiled once."""

import pytest

from headwater.filters import compile_filter
from headwater.storage.dialects import Values, dialect_for
from headwater.storage.kinds import ARTIFACT, EXECUTION

ALIKE = [
    ("id = 1", "id=2 -- c"),
    ("id = 1", "(id) = -5"),
    ("name = 'a'", 'name = r"\\b"'),
    ("id IN (1, 2, 3)", "id IN (7)"),
    ("name IN ('a')", "name IN ('b', '''c''')"),
    ("state = LIVE", "state = PENDING"),
    ("state NOT IN (LIVE)", "state NOT IN (PENDING, LIVE)"),
    ("properties.a.int_value = 1", "properties.`b c`.int_value = 2"),
    ("contexts_a.id = 1 AND contexts_b.id = 2", "contexts_x.id = 3 AND contexts_0.id = 4"),
    ("name LIKE 'a%'", "name LIKE '%b'"),
]


def sql(statement):
    return None if statement is None else str(statement.compile(dialect=dialect_for("sqlite://").core))


@pytest.mark.parametrize(("one", "other"), ALIKE, ids=[one for one, _ in ALIKE])
def test_filters_of_one_shape_share_their_conditions(one, other):
    first, second = compile_filter(one, ARTIFACT), compile_filter(other, ARTIFACT)

    assert first.shape == second.shape
    assert sql(first.own) == sql(second.own)
    assert len(first.neighbourhoods) == len(second.neighbourhoods)
    for left, right in zip(first.neighbourhoods, second.neighbourhoods, strict=True):
        assert sql(left.candidates()) == sql(right.candidates())
    assert first.values.keys() == second.values.keys()
    assert first.values != second.values


UNLIKE = [
    ("id = 1", "id = 1.0"),
    ("id = 1", "id != 1"),
    ("id = 1", "type_id = 1"),
    ("id = 1 OR TRUE", "id = 1 OR FALSE"),
    ("id = 1 OR TRUE", "id = 1 OR NULL"),
    ("id IN (1)", "id IN (1.0)"),
    ("id IN (1)", "id IN (1, NULL)"),
    ("id = 1", "id IN (1)"),
    ("properties.a.int_value = 1", "custom_properties.a.int_value = 1"),
    ("properties.a.int_value = 1", "properties.a.double_value = 1"),
    ("properties.a.int_value = properties.a.int_value", "properties.a.int_value = properties.b.int_value"),
    ("contexts_a.id = contexts_b.id", "contexts_a.id = contexts_a.id"),
    ("id = 1 AND id = 1 OR id = 1", "id = 1 AND (id = 1 OR id = 1)"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), UNLIKE, ids=[f"{one} - {other}" for one, other in UNLIKE])
def test_what_decides_the_sql_is_in_the_shape(one, other):
    assert compile_filter(one, ARTIFACT).shape != compile_filter(other, ARTIFACT).shape


def test_values_are_bound_by_name():
    compiled = compile_filter(
        "id IN (-1, 2) AND properties.p.string_value = 'it''s'".replace("''", "\\'"), ARTIFACT
    )

    assert sorted(map(repr, compiled.values.values())) == ['"it\'s"', "'p'", "(-1, 2)"]
    assert Values((-1, 2)) in compiled.values.values()


def test_equal_texts_are_compiled_once():
    assert compile_filter("id = 77", ARTIFACT) is compile_filter("id = 77", ARTIFACT)
    assert compile_filter("id = 77", ARTIFACT) is not compile_filter("id = 77", EXECUTION)


def test_the_two_sides_of_a_filter_are_told_apart():
    both = compile_filter("id = 1 AND properties.n.int_value = 5 AND contexts_a.id = 1", ARTIFACT)
    joined = compile_filter("id = 1 OR properties.n.int_value = 5 OR contexts_a.id = 1", ARTIFACT)
    neighbour = compile_filter("contexts_a.id = 1", ARTIFACT)

    assert both.own is not None and len(both.neighbourhoods) == 2
    assert joined.own is None and len(joined.neighbourhoods) == 1
    assert neighbour.own is None and len(neighbour.neighbourhoods) == 1


def test_neighbours_are_grouped_by_the_conditions_that_share_them():
    text = (
        "contexts_a.id = contexts_b.id AND events_a.type = INPUT AND contexts_b.name = 'x' "
        "AND (properties.n.int_value = 1 OR events_a.execution_id = 1)"
    )

    assert len(compile_filter(text, ARTIFACT).neighbourhoods) == 2
