"""What the language means, beyond the examples: literals, names, enums, NULL, operators, functions, joins."""

import pytest
from filters.asking import matches, put_graph, put_rows

from headwater.errors import InvalidRequest
from headwater.filters import compile_filter
from headwater.storage import schema
from headwater.storage.kinds import ARTIFACT, CONTEXT, EXECUTION

ODD_TEXTS = {
    "a backslash": ("a\\b", r"'a\\b'"),
    "raw": ("a\\b", r"r'a\b'"),
    "a line break": ("a\nb", r"'a\nb'"),
    "a raw line break": ("a\nb", "'''a\nb'''"),
    "both quotes": ('it\'s "q"', r"""'it\'s "q"'"""),
    "tripled quotes": ('it\'s "q"', '"""it\'s \\"q\\""""'),
    "hex": ("a", r"'\x61'"),
    "octal": ("a", r"'\141'"),
    "unicode": ("ä😀", r"'\u00e4\U0001F600'"),
    "as it is": ("ä😀", "'ä😀'"),
    "SQL": ("'; DROP TABLE Artifact; --", '"\'; DROP TABLE Artifact; --"'),
    "a comment sign": ("a -- b # c /* d */", "'a -- b # c /* d */'"),
    "an enum predicate": ("state = LIVE", "'state = LIVE'"),
    "a column": ("uri", "'uri'"),
    "empty": ("", "''"),
}


@pytest.mark.parametrize(("stored", "written"), ODD_TEXTS.values(), ids=ODD_TEXTS)
def test_a_literal_is_compared_exactly(database, stored, written):
    put_rows(database, schema.artifact_table, [
        {"id": 1, "type_id": 1, "uri": stored}, {"id": 2, "type_id": 1, "uri": stored + "x"}
    ])  # fmt: skip

    assert matches(database, f"uri = {written}", ARTIFACT) == [1]
    assert matches(database, f"uri IN ({written}, 'zzz')", ARTIFACT) == [1]
    assert matches(database, f"uri IN ({written})", ARTIFACT) == [1]


ODD_NAMES = (
    "MyProp", "a.b", "a.b.c", "a+b", "a*", "what?", "f(x)", "[0]", "^", "$", 'say "hi"', "it's", "a\\b",
    "a b", "ä", "name", "int_value", "string_value", "id", "SELECT", "7x", "42", "_", "-- x", "{0}", "%s",
    ":p", "a\nb",
)  # fmt: skip


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_property_is_found_by_its_exact_name(database, name):
    put_rows(database, schema.artifact_table, [{"id": n, "type_id": 1, "uri": ""} for n in (1, 2, 3)])
    put_rows(database, schema.artifact_property_table, [
        {"node_id": node_id, "name": stored, "is_custom_property": True, "string_value": "foo"}
        for node_id, stored in ((1, name), (2, name + "x"), (3, name.swapcase() + "x"))
    ])  # fmt: skip

    assert matches(database, f"custom_properties.`{name}`.string_value = 'foo'", ARTIFACT) == [1]


@pytest.mark.parametrize("name", ["7x", "42", "SELECT", "AND", "name", "_"])
def test_a_name_of_word_characters_needs_no_back_quotes(database, name):
    put_rows(database, schema.artifact_table, [{"id": 2, "type_id": 1, "uri": ""}])
    put_rows(database, schema.artifact_property_table, [
        {"node_id": 2, "name": name, "is_custom_property": False, "int_value": 1}
    ])  # fmt: skip

    assert matches(database, f"properties.{name}.int_value = 1", ARTIFACT) == [2]


ENUMS = [
    (ARTIFACT, "state = ABANDONED OR state = ABANDONED", [4]),
    (ARTIFACT, "state = REFERENCE OR state = UNKNOWN", []),
    (ARTIFACT, "state IN(LIVE,PENDING)", [1, 2]),
    (ARTIFACT, "state NOT IN(LIVE,PENDING)", [3, 4]),
    (ARTIFACT, "NOT state IN (LIVE, PENDING)", [4]),
    (ARTIFACT, "state <> LIVE", [2, 3, 4]),
    (ARTIFACT, "NOT state != LIVE", [1]),
    (ARTIFACT, "(state != LIVE) = TRUE", [2, 3, 4]),
    (ARTIFACT, "2 = state", [1]),
    (ARTIFACT, "state BETWEEN 1 AND 2", [1, 2]),
    (ARTIFACT, "events_a.type = UNKNOWN OR events_a.type = PENDING_OUTPUT", [2]),
    (ARTIFACT, "events_a.type = INPUT OR events_a.type = INPUT", [3]),
    (ARTIFACT, "events_a.type <> INPUT", [1, 2]),
    (EXECUTION, "last_known_state NOT IN (RUNNING)", [2, 3]),
    (EXECUTION, "events_a.type NOT IN (INPUT, OUTPUT)", [2]),
    (CONTEXT, "artifacts_a.state != LIVE", [2]),
    (CONTEXT, "artifacts_a.state NOT IN (PENDING)", [1, 3]),
    (CONTEXT, "executions_a.last_known_state <> RUNNING", [2]),
]


@pytest.mark.parametrize(("kind", "text", "expected"), ENUMS, ids=[text for _, text, _ in ENUMS])
def test_enum_words_compare_by_their_numbers(ask, kind, text, expected):
    assert ask(text, kind) == expected


OPERATORS = [
    ("7 - 3 - id = 3", [1]),
    ("7 - (3 - id) = 5", [1]),
    ("8 / 2 / id = 2", [2]),
    ("8 / (4 / id) = 4", [2]),
    ("id / 2 = 0.5", [1]),
    ("id / 0 IS NULL", [1, 2, 3, 4]),
    ("2 + id * 2 = 4", [1]),
    ("(2 + id) * 2 = 6", [1]),
    ("1 | 2 & 3 = 3", [1, 2, 3, 4]),
    ("4 ^ 1 & id = 5", [1, 3]),
    ("1 << 1 + id = 4", [1]),
    ("id ^ 1 = 0", [1]),
    ("~id = -2", [1]),
    ("- id = -1", [1]),
    ("- - id = 1", [1]),
    ("+id = +1", [1]),
    ("id - -1 = 2", [1]),
    ("id--1 = 2\n= 2", [2]),
    ("id = -9223372036854775808 OR id = 9223372036854775807", []),
    ("id = 0x1 OR id = 2e0 OR id = 3.", [1, 2, 3]),
    ("id > .5 AND id < 1.5", [1]),
    ("id IN (1, 2.5, 3.0)", [1, 3]),
    ("id IN (id + 0, 9)", [1, 2, 3, 4]),
    ("id IN ((1), -2, +3)", [1, 3]),
    ("name || external_id = 'm1x1'", [1]),
    ("name LIKE 'm' || '%'", [1, 2]),
    ("TRUE = (id IN (1, 2))", [1, 2]),
    ("(id IN (1)) = (name LIKE 'm%')", [1, 3]),
    ("FALSE = (id BETWEEN 1 AND 2)", [3, 4]),
    ("(id = 1 OR id = 2) = (id = 1 AND name = 'm1')", [1, 3, 4]),
    ("TRUE != (name IS NULL)", [1, 2, 3]),
    ("FALSE = (id NOT IN (1, 2))", [1, 2]),
    ("TRUE != (NOT COALESCE(id = 1, TRUE))", [1]),
    ("(NOT name IN ('m1', 'm2')) IS TRUE", [3]),
    ("NOT NOT id = 1", [1]),
    ("id BETWEEN 1 AND 2 AND id = 2", [2]),
    ("id NOT BETWEEN 2 AND 3", [1, 4]),
    ("name IN ('m1', NULL)", [1]),
    ("name NOT IN ('m1', NULL)", []),
    ("(name IN ('m1', NULL)) IS UNKNOWN", [2, 3, 4]),
    ("id = 1 OR NULL", [1]),
    ("NULL IS NULL", [1, 2, 3, 4]),
    ("NULL BETWEEN 1 AND 2", []),
    ("COALESCE(NULL, NULL) = 1", []),
    ("properties.b.bool_value IS FALSE", [2]),
    ("NOT properties.b.bool_value", [2]),
    ("`id` = 1 /* c */ -- d", [1]),
]


@pytest.mark.parametrize(("text", "expected"), OPERATORS, ids=[text for text, _ in OPERATORS])
def test_operators_bind_and_compute_as_in_googlesql(ask, text, expected):
    assert ask(text, ARTIFACT) == expected


FUNCTIONS = [
    ("LENGTH(name) = 2", [1, 2, 3]),
    ("LOWER(UPPER(name)) = 'm1'", [1]),
    ("SUBSTR(name, 2) = '1'", [1, 3]),
    ("SUBSTR(name, 1, 1) = 'm'", [1, 2]),
    ("COALESCE(name, external_id, 'none') = 'none'", [4]),
    ("COALESCE(name) = 'm1'", [1]),
    ("IFNULL(state, 9) = 9", [3]),
    ("IF(id < 3, name, uri) = 'm2'", [2]),
    ("CASE WHEN id = 1 THEN 'a' WHEN id = 2 THEN 'b' END IN ('b', 'c')", [2]),
    ("CASE id WHEN 1 THEN TRUE WHEN 2 THEN NULL ELSE FALSE END", [1]),
    ("CONCAT(name, '-', uri) = 'm1-/p/1'", [1]),
    ("CONCAT(name, 'x') IS NULL", [4]),
    ("STARTS_WITH(uri, '/p')", [1, 2]),
    ("STARTS_WITH(uri, '%')", []),
    ("STARTS_WITH(uri, '')", [1, 2, 3, 4]),
    ("STARTS_WITH(name, 'M')", []),
    ("ENDS_WITH(uri, '/1')", [1, 3]),
    ("ENDS_WITH(uri, '')", [1, 2, 3, 4]),
    ("ENDS_WITH('1', '/1')", []),
    ("ABS(0 - id) = 2", [2]),
    ("MOD(id, 2) = 1", [1, 3]),
    ("MOD(id, 0) IS NULL", [1, 2, 3, 4]),
    ("CAST(id AS STRING) = '1'", [1]),
    ("CAST('2' AS INT64) = id", [2]),
    ("CAST(2.7 AS INT64) = id", [3]),
    ("CAST(id AS FLOAT64) / 2 = 0.5", [1]),
    ("CAST(id = 1 AS STRING) = 'true'", [1]),
    ("CAST(id = 1 AS INT64) = 0", [2, 3, 4]),
    ("CAST(id - 1 AS BOOL)", [2, 3, 4]),
    ("CAST('True' AS BOOL) AND id = 1", [1]),
    ("CAST(NULL AS BOOL) IS NULL", [1, 2, 3, 4]),
    (r"'100%' LIKE '100\\%' AND id = 1", [1]),
    (r"'1000' LIKE '100\\%'", []),
    (r"'a_b' LIKE r'a\_b' AND NOT 'axb' LIKE r'a\_b' AND id = 1", [1]),
    (r"'a\\b' LIKE 'a\\\\b' AND id = 1", [1]),
]


@pytest.mark.parametrize(("text", "expected"), FUNCTIONS, ids=[text for text, _ in FUNCTIONS])
def test_functions_give_what_googlesql_says(ask, text, expected):
    assert ask(text, ARTIFACT) == expected


JOINS = [
    (ARTIFACT, "custom_properties.n.int_value = 50 OR name = 'd1'", [1, 3]),
    (ARTIFACT, "properties.nosuch.int_value = 1 OR TRUE", []),
    (ARTIFACT, "NOT properties.nosuch.int_value = 1", []),
    (ARTIFACT, "contexts_a.id = 1 AND contexts_b.id = 3 AND contexts_a.id < contexts_b.id", [1]),
    (ARTIFACT, "contexts_a.id = 1 AND contexts_A.id = 3", [1]),
    (ARTIFACT, "contexts_a.NAME = 'r1' AND contexts_a.`type` = 'Run'", [1]),
    (ARTIFACT, "contexts_a.id = id", [1, 2]),
    (ARTIFACT, "contexts_a.type = name OR contexts_a.type = 'Pipe'", [1]),
    (ARTIFACT, "events_a.execution_id = 2 AND events_b.execution_id = 1", [1]),
    (ARTIFACT, "type LIKE 'M%' OR contexts_a.type LIKE 'P%'", [1, 2]),
    (ARTIFACT, "type NOT IN ('Model')", [3, 4]),
    (ARTIFACT, "type = 'Pipe' OR type = 'Data'", [3, 4]),
    (ARTIFACT, "'Model' = type AND 'm1' = name", [1]),
    (CONTEXT, "parent_contexts_a.create_time_since_epoch = 1000", [1, 2]),
    (CONTEXT, "child_contexts_a.last_update_time_since_epoch > 1000", [3]),
    (CONTEXT, "artifacts_a.external_id = 'x1'", [1, 3]),
    (CONTEXT, "executions_a.external_id IS NULL", [1, 2, 3]),
    (CONTEXT, "artifacts_a.name = 'm1' AND executions_a.name = 'e1'", [1, 3]),
    (CONTEXT, "artifacts_a.id = executions_a.id AND type = 'Run'", [1, 2]),
    (CONTEXT, "parent_contexts_a.id = 3 AND properties.n.int_value = 1", [1]),
    (EXECUTION, "contexts_a.type = 'Pipe' AND type = 'Train'", [1]),
]


@pytest.mark.parametrize(("kind", "text", "expected"), JOINS, ids=[text for _, text, _ in JOINS])
def test_every_label_is_one_row_that_must_be_there(ask, kind, text, expected):
    assert ask(text, kind) == expected


@pytest.mark.parametrize(
    "text", ["type != 'x'", "NOT type = 'x'", "type IS NULL", "type = 'x' OR id = 9"], ids=str
)
def test_a_node_whose_type_is_gone_has_no_type_to_compare(database, text):
    put_graph(database)
    put_rows(database, schema.artifact_table, [{"id": 9, "type_id": 999, "uri": "", "name": "lost"}])

    assert 9 not in matches(database, text, ARTIFACT)
    assert matches(database, "id = 9", ARTIFACT) == [9]


REFUSED = [
    "id = 1 XOR id = 2", "id IS DISTINCT FROM 1", "id IS NOT DISTINCT FROM 1", "id = ?", "id = :p",
    "id = $p", "id IN UNNEST([1])", "id IN (SELECT 1)", "EXISTS(SELECT 1)", "(SELECT 1) = 1",
    "id = ALL (1)", "id = ANY (1)", "id LIKE ANY ('a')", "name REGEXP 'a'", "name RLIKE 'a'",
    "name ILIKE 'a'", "REGEXP_CONTAINS(name, 'a')", "name = b'm1'", "name = rb'm1'", "name = N'm1'",
    "DATE '2020-01-01' = name", "INTERVAL 1 DAY = 1", "id::STRING = '1'", "SAFE_CAST(id AS STRING) = '1'",
    "CAST(id AS BYTES) = '1'", "CAST(id AS TEXT) = '1'", "CAST(id, STRING) = '1'", "id = 1 AS x",
    "id = 1 x", "id = 1, id = 2", "[1][0] = id", "STRUCT(1) = id", "(id, 1) = (1, 1)", "COUNT(*) = 1",
    "LENGTH(DISTINCT name) = 2", "LENGTH(name) OVER () = 2", "LENGTH(*) = 1", "LENGTH() = 1",
    "LENGTH(name, name) = 1", "id = 1 AND", "AND id = 1", "()", "id = (1", "id = 1)", "id IN ()",
    "id IN (1,)", "id IN 1", "id BETWEEN 1", "NOT", "id BETWEEN 1 AND 2 BETWEEN 1 AND 2", "id = 1 = TRUE",
    "id IS NULL IS NULL", "name = 'm1' IS TRUE", "id <=> 1", "state = LIVE = TRUE", "TRUE = state = LIVE",
    "state = LIVE IS TRUE", "id = NOT TRUE", "id !< 1", "id ! = 1", "!TRUE", "CASE END",
    "CASE WHEN TRUE END", "CASE ELSE 1 END", "CASE WHEN TRUE THEN TRUE", "END", "CASE id = 1 THEN TRUE END",
    "id + 'a' = 1", "LENGTH(id) = 1", "id AND TRUE", "NOT id", "name LIKE 1", "id IN ('a')",
    "id IN (1, 'a')", "id BETWEEN 1 AND 'a'", "COALESCE(id, 'a') = 1", "IF(id, 1, 2) = 1",
    "IF(TRUE, 1, 'a') = 1", "id & 1.0 = 1", "id IS TRUE", "CAST(1.5 AS BOOL)", "id IS UNKNOWN",
    "- name = 'a'", "~1.5 = 1", "NULL", "NULL = NULL", "NOT NULL", "name LIKE NULL", "id + NULL = 1", "1",
    "'TRUE'", "TRUE = 1", "id = 9223372036854775808", "id < 18446744073709551616", "id = 1e999", "id = 1x",
    "id = 1_0", "id = 1AND TRUE", "name = 'a", 'name = "a', "name = '''a'", "name = 'a\nb'", r"name = '\q'",
    r"name = '\xg0'", r"name = '\ud800'", r"name = '\000'", "name = 'a' 'b'", "name = `m1", "`` = 1",
    "id = 1 /* c", "é = 1", "\ud800 = 1", "properties . n.int_value = 5", "properties.n .int_value = 5",
    "PROPERTIES.n.int_value = 5", "properties.n.INT_VALUE = 5", "properties.a.b.int_value = 5",
    "properties.a-b.int_value = 5", "properties.n = 5", "properties.``.int_value = 5",
    "`properties`.n.int_value = 5", "properties.n.`int_value` = 5", "properties = 1", "contexts_.id = 1",
    "Contexts_a.id = 1", "contexts_a = 1", "contexts_a.nosuch = 1", "contexts_a.id.id = 1",
    "contexts_a.type_id = 1", "events_a.TYPE = INPUT", "STATE = LIVE", "LIVE = state", "state = type_id",
    "state IN (LIVE, 1)", "state IN LIVE", "state = LIVE OR PENDING", "last_known_state = RUNNING",
    "a0 = a0", "g0", "enum_eq(state, 2)", "f_length(name) = 2", "is_unknown", "id IS is_unknown", "\t\n  ",
]  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_not_in_the_language_is_refused(text):
    with pytest.raises(InvalidRequest, match="filter"):
        compile_filter(text, ARTIFACT)
