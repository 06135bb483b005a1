"""Hostile texts are refused before they cost anything, and what is within the limits does run."""

import time

import pytest

from headwater.errors import InvalidRequest
from headwater.filters import compile_filter, limits
from headwater.storage.kinds import ARTIFACT

K = 1000
HOSTILE = {
    "nested parentheses": "(" * 10 * K + "id = 1" + ")" * 10 * K,
    "open parentheses": "(" * 250 * K,
    "a megabyte of ORs": "id = 1 OR " * 110 * K + "id = 1",
    "ORs": "id = 1 OR " * 26 * K + "id = 1",
    "nested ANDs and ORs": "id = 1 AND (id = 2 OR " * 10 * K,
    "100k members": f"id IN ({','.join(map(str, range(100 * K)))})",
    "20k members": f"id IN ({','.join(map(str, range(20 * K)))})",
    "members that are no literals": f"id IN ({','.join(['id'] * 30 * K)})",
    "enum members": f"state IN ({','.join(['LIVE'] * 40 * K)})",
    "NOTs": "NOT " * 60 * K + "TRUE",
    "signs": "id = " + "~" * 100 * K + "id",
    "a long sum": "id = " + "1 + " * 60 * K + "1",
    "a sum": "id = " + "1 + " * 1400 + "1",
    "repeating functions": "id = " + "(" * 19 + "id" + " ^ id)" * 19,
    "quotes": "'" * 200 * K,
    "an open string": "name = '" + "\\'" * 100 * K,
    "an open tripled string": "name = '''" + "''\\''" * 50 * K,
    "an open comment": "id = 1 /*" + "*/*"[1:] * 100 * K,
    "dots": "a" + ".a" * 120 * K,
    "a long name": "x" * 250 * K,
    "back quotes": "`" * 200 * K,
    "blanks": " " * 250 * K,
    "digits": "1" * 250 * K,
    "a large exponent": "id = 1e" + "9" * 200 * K,
    "commas": "id IN (" + "," * 200 * K,
    "CASE": "CASE WHEN TRUE THEN " * 12 * K,
    "nested functions": "LOWER(" * 40 * K,
    "labels": " AND ".join(f"contexts_{label}.id = 1" for label in range(K)),
    "BETWEEN": "id BETWEEN " * 20 * K,
    "comparisons": "id = " * 40 * K,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_text_is_refused_at_once(text):
    begun = time.process_time()

    with pytest.raises(InvalidRequest) as caught:
        compile_filter(text, ARTIFACT)

    assert time.process_time() - begun < 0.5
    assert len(str(caught.value)) < 1000


CONDITIONS = {
    "own": "id != 9", "enum": "state != ABANDONED", "type": "type LIKE 'M%'",
    "property": "properties.n.int_value = 5", "neighbour": "contexts_a.name != 'x'", "list": "id IN (1, 2)",
    "NULL in a list": "id NOT IN (7, NULL)", "function": "ENDS_WITH(name, '1')",
}  # fmt: skip


@pytest.mark.parametrize("connective", [" AND ", " OR "], ids=str.strip)
@pytest.mark.parametrize("condition", CONDITIONS.values(), ids=CONDITIONS)
def test_as_many_conditions_as_are_allowed_do_run(ask, condition, connective):
    alone = ask(condition, ARTIFACT)

    assert ask(connective.join([condition] * limits.MAX_CONDITIONS), ARTIFACT) == alone
    with pytest.raises(InvalidRequest, match="more than"):
        compile_filter(connective.join([condition] * (limits.MAX_CONDITIONS + 1)), ARTIFACT)


NESTINGS = {
    "AND and OR": ("properties.b.bool_value", "(({}) AND id = {} OR id = 1)", "{}"),
    "NOT": ("properties.b.bool_value", "NOT ({} AND id = {})", "{}"),
    "+": ("properties.n.int_value", "({1} + {0})", "{} = 1"),
    "/": ("properties.n.int_value", "({1} / {0})", "{} = 1"),
    "^": ("properties.n.int_value", "({} ^ {})", "{} = 1"),
    "ABS": ("properties.n.int_value", "ABS({})", "{} = 1"),
    "CASE": ("properties.n.int_value", "CASE WHEN {} = 1 THEN {} ELSE 2 END", "{} = 1"),
    "CASE value": ("properties.n.int_value", "CASE {} WHEN 1 THEN {} ELSE 2 END", "{} = 1"),
    "COALESCE": ("properties.n.int_value", "COALESCE(1, {1}, {0})", "{} = 1"),
    "MOD": ("properties.n.int_value", "MOD({1}, {0})", "{} = 1"),
    "SUBSTR": ("properties.s.string_value", "SUBSTR('x', {1}, LENGTH({0}))", "{} = 'a'"),
    "CONCAT": ("properties.s.string_value", "CONCAT('x', {})", "{} = 'a'"),
    "STARTS_WITH": ("properties.s.string_value", "CAST(STARTS_WITH('a', {}) AS STRING)", "{} = 'a'"),
    "ENDS_WITH": ("properties.s.string_value", "CAST(ENDS_WITH({}, 'a') AS STRING)", "{} = 'a'"),
    "IN": ("properties.n.int_value", "CAST(1 IN (1, {1}, {0}, id) AS INT64)", "{} = 1"),
    "BETWEEN": ("properties.n.int_value", "CAST(1 BETWEEN 1 AND {} AS INT64)", "{} = 1"),
    "IS": ("properties.b.bool_value", "(({}) IS NOT TRUE)", "{}"),
}


@pytest.mark.parametrize(("inmost", "step", "whole"), NESTINGS.values(), ids=NESTINGS)
def test_what_is_not_too_deep_does_run(ask, inmost, step, whole):
    nested, depth = inmost, 0
    while depth < 200:
        nested, depth = step.format(nested, depth), depth + 1
        try:
            ask(whole.format(nested), ARTIFACT)
        except InvalidRequest as refused:
            assert "deeply" in str(refused) or "too large" in str(refused)
            break

    assert 3 < depth < 200


def test_parentheses_that_change_nothing_do_not_count_as_depth(ask):
    assert ask("(" * 99 + "id = 1" + ")" * 99, ARTIFACT) == [1]
    assert ask("(" * 90 + "id != 9" + " AND id = 1)" * 90, ARTIFACT) == [1]


def test_as_many_members_and_neighbours_as_are_allowed_do_run(ask):
    members = ", ".join(f"'{n}'" for n in range(limits.MAX_IN_MEMBERS - 1))
    labels = " AND ".join(f"contexts_{n}.id = 1" for n in range(limits.MAX_NEIGHBOURS))
    linked = " AND ".join(f"contexts_{n}.id <= contexts_{n + 1}.id" for n in range(limits.MAX_NEIGHBOURS - 1))

    assert ask(f"name IN ({members}, 'm1')", ARTIFACT) == [1]
    assert ask(labels, ARTIFACT) == [1]
    assert ask(linked, ARTIFACT) == [1, 2]


def test_functions_take_as_many_arguments_as_every_database_does(ask):
    names = ", ".join(["name"] * 100)

    assert ask(f"COALESCE({names}) = 'm1'", ARTIFACT) == [1]
    assert ask(f"STARTS_WITH(CONCAT({names}), 'm1m1')", ARTIFACT) == [1]
    with pytest.raises(InvalidRequest, match="takes 1 to 100 arguments"):
        compile_filter(f"COALESCE({names}, name) = 'm1'", ARTIFACT)
