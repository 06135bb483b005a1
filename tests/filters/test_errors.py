"""What refusals say: the place, what was expected, and what there is."""

from textwrap import dedent

import pytest

from headwater.errors import InvalidRequest
from headwater.filters import compile_filter
from headwater.storage.kinds import ARTIFACT, CONTEXT, EXECUTION


def refusal(text, kind=ARTIFACT):
    with pytest.raises(InvalidRequest) as caught:
        compile_filter(text, kind)
    assert caught.value.__cause__ is None
    return str(caught.value)


def test_the_place_is_under_a_caret():
    assert refusal("id = AND uri = 's3://b/k'") == dedent("""\
        filter, column 6: expected a value after '=', found AND
        id = AND uri = 's3://b/k'
             ^""")


def test_of_several_lines_the_one_at_fault_is_shown():
    assert refusal("id = 1\n  AND nme = 'x'\n  AND id = 2").splitlines()[1:] == [
        "  AND nme = 'x'",
        "      ^",
    ]
    assert refusal("id = 1\n  AND nme = 'x'").startswith("filter, line 2, column 7: an artifact has no 'nme'")


def test_of_a_long_line_the_surroundings_are_shown():
    message, shown, caret = refusal("id = 1 OR " * 30 + "id = 'a'" + " OR id = 1" * 30).splitlines()

    assert message == "filter, column 306: '=' compares values of one type, not INT64 and STRING"
    assert shown.startswith("... ") and shown.endswith(" ...") and len(shown) <= 88
    assert shown[len(caret) - 1 :].startswith("'a'")


def test_tabs_and_control_characters_keep_their_width():
    assert refusal("id =\t\x07 1") == "filter, column 6: '\\x07' has no meaning here\nid =   1\n     ^"


SAYINGS = [
    ("state = AND uri = 'x'", "column 9: expected one of UNKNOWN, PENDING, LIVE, "),
    ("state = AND uri = 'x'", "after '=', found AND"),
    ("state = 'LIVE'", "column 9: expected one of"),
    ("state = 'LIVE'", "write LIVE without quotes"),
    ("state = 2", "found 2; 2 is LIVE"),
    ("state = live", "did you mean LIVE?"),
    ("state IN (LIVE, 7)", "column 17: expected one of"),
    (
        "STATE = LIVE",
        "column 9: LIVE may only follow 'state =', '!=', IN or NOT IN, with 'state' in lower case",
    ),
    ("INPUT = 1", "may only follow 'events_x.type ='"),
    ("nam = 'x'", "column 1: an artifact has no 'nam'; did you mean name?; it has id, name, type, "),
    ("nosuch = 1", "custom_properties.<name>.<value>, contexts_<label>.<field>, events_<label>.<field>"),
    ("contexts_a.nme = 'x'", "contexts_a has no 'nme'; did you mean name?; it has id, name, type, "),
    (
        "properties.n = 5",
        "a property is compared by one of its values: properties.n.int_value; the values are",
    ),
    (
        "properties.n.int = 5",
        "properties have no 'int'; the values are int_value, double_value, string_value, bool_value",
    ),
    (
        "properties.a.b.int_value = 5",
        "a property name with dots stands in back quotes: properties.`a.b`.int_value",
    ),
    ("name = 5", "column 8: '=' compares values of one type, not STRING and INT64"),
    ("name = NULL", "column 8: nothing is = NULL; write IS NULL or IS NOT NULL"),
    ("id == 1", "column 5: equality is written with one '='"),
    ("id = 1;", "column 7: a filter is one expression and ends without ';'"),
    ("id = @p", "column 6: filters have no parameters"),
    ("1 < id < 3", "comparisons do not chain; connect them with AND, or use parentheses"),
    ("id", "column 1: a filter is a condition, and this is INT64"),
    ("   ", "column 4: expected a condition, found nothing but blanks"),
    ("id IN LIVE", "column 7: expected a list in parentheses after IN, found LIVE"),
    ("id IN (1, 'a')", "column 11: the members of a list are of one type"),
    ("name LIKE 'a' ESCAPE '!'", "column 15: LIKE has no ESCAPE"),
    (
        "LENGHT(name) = 1",
        "column 1: unknown function LENGHT; did you mean LENGTH?; there are ABS, COALESCE, ",
    ),
    ("MOD(id) = 1", "column 1: MOD takes 2 arguments, not 1"),
    (
        "CAST(id AS BYTES) = 1",
        "column 12: expected one of STRING, INT64, FLOAT64, BOOL after AS, found BYTES",
    ),
    ("(id = 1", "column 1: this ( has no )"),
    ("id = 1)", "column 7: this ) closes nothing"),
    ("CASE WHEN TRUE THEN TRUE", "column 1: this CASE has no END"),
    ("name = 'abc", "column 8: this string has no closing '"),
    (r"name = 'a\q'", r"column 10: unknown escape \q; a backslash is written \\"),
    ("id = 1 /* c", "column 8: this comment has no closing */"),
    ("name = `m1", "this name has no closing `"),
    ("properties . n = 1", "no blanks are allowed around the dots of a name"),
    ("id = 9223372036854775808", "column 6: 9223372036854775808 does not fit in 64 bits"),
    ("id = -9223372036854775809", "column 6: -9223372036854775809 does not fit in 64 bits"),
    ("id BETWEEN 1 OR 2 = id", "expected BETWEEN low AND high, once"),
    ("id = 1 x", "column 8: expected an operator, AND or OR after 1, found x"),
]


@pytest.mark.parametrize(
    ("text", "saying"), SAYINGS, ids=[f"{text} - {saying[:20]}" for text, saying in SAYINGS]
)
def test_a_refusal_says_what_to_do(text, saying):
    assert saying in refusal(text)


@pytest.mark.parametrize(
    ("kind", "text", "saying"),
    [
        (EXECUTION, "state = RUNNING", "an execution has no 'state'"),
        (EXECUTION, "uri = 'x'", "last_known_state"),
        (CONTEXT, "contexts_a.id = 1", "a context has no 'contexts_a.id'"),
        (
            CONTEXT,
            "events_a.type = INPUT",
            "parent_contexts_<label>.<field>, child_contexts_<label>.<field>, artifacts_",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_names_are_those_of_the_kind(kind, text, saying):
    assert saying in refusal(text, kind)


def test_nothing_of_the_parser_shows(capfd, caplog):
    for text in ("id BETWEEN 1", "id BETWEEN 1 AND 2 BETWEEN 1 AND 2", "id = 1 = 2", "id IN (1) IN (2)"):
        message = refusal(text)
        assert "sqlglot" not in message.lower() and "\x1b" not in message and "a0" not in message

    assert capfd.readouterr() == ("", "")
    assert caplog.records == []
