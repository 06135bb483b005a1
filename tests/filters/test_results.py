"""What a filter computes from what rows hold: the same everywhere, and no error but overflows."""

import pytest
from filters.asking import matches, put_rows

from headwater.errors import InvalidRequest
from headwater.storage import schema
from headwater.storage.kinds import ARTIFACT

MOST, LEAST = 2**63 - 1, -(2**63)

TEXTS = ["12", "-7", "+3", " 8 ", "012", "1.5", "12abc", "abc", "", "0x10", "1e2", "9223372036854775807",
         "9223372036854775808", "-9223372036854775808", "99999999999999999999999999", "--1", "1-1", ".5",
         "."]  # fmt: skip
INTEGERS = {0: 12, 1: -7, 2: 3, 3: 8, 4: 12, 11: MOST, 13: LEAST}
FLOATS = {0: 12.0, 1: -7.0, 2: 3.0, 3: 8.0, 4: 12.0, 5: 1.5, 10: 100.0, 17: 0.5}


@pytest.fixture
def texts(database):
    """An artifact for each of ``TEXTS``, which is its uri; ids count from 1."""
    put_rows(database, schema.artifact_table, [
        {"id": index + 1, "type_id": 1, "uri": text} for index, text in enumerate(TEXTS)
    ])  # fmt: skip
    return database


def test_a_text_that_is_no_number_is_null_as_one(texts):
    for index, number in INTEGERS.items():
        assert index + 1 in matches(texts, f"CAST(uri AS INT64) = {number}", ARTIFACT), TEXTS[index]
    for index, number in FLOATS.items():
        assert index + 1 in matches(texts, f"CAST(uri AS FLOAT64) = {number}", ARTIFACT), TEXTS[index]

    assert matches(texts, "CAST(uri AS INT64) IS NOT NULL", ARTIFACT) == [index + 1 for index in INTEGERS]
    large = [11, 12, 13, 14]
    assert matches(texts, "CAST(uri AS FLOAT64) IS NOT NULL", ARTIFACT) == sorted(
        index + 1 for index in {*FLOATS, *large}
    )


def test_halves_are_rounded_away_from_zero(database):
    values = [0.5, 1.5, 2.5, -0.5, -2.5, 0.49999999999999994, 4503599627370497.0, 1e19, -1e300]
    put_rows(database, schema.artifact_table, [{"id": n + 1, "type_id": 1, "uri": ""} for n in range(9)])
    put_rows(database, schema.artifact_property_table, [
        {"node_id": n + 1, "name": "x", "is_custom_property": True, "double_value": value}
        for n, value in enumerate(values)
    ])  # fmt: skip
    cast = "CAST(custom_properties.x.double_value AS INT64)"

    for node_id, whole in enumerate([1, 2, 3, -1, -3, 0, 4503599627370497], 1):
        assert node_id in matches(database, f"{cast} = {whole}", ARTIFACT)
    assert matches(database, f"{cast} IS NULL", ARTIFACT) == [8, 9]


NULLS = [
    "id / 0", "MOD(id, 0)", "CAST(name AS INT64)", "CAST(uri AS FLOAT64)", "CAST(1e300 AS INT64)",
    "SUBSTR(uri, 1, -1)", "1 << -1", "1 >> -1", "CAST('x' AS BOOL)", "ABS(NULL)", "LENGTH(NULL)",
    "COALESCE(NULL, NULL)", "CASE WHEN id = 0 THEN NULL END", "IF(TRUE, NULL, NULL)", "NULL << 1",
    "CAST(NULL AS STRING)", "CONCAT(NULL, NULL)", "SUBSTR('abc', NULL)", "MOD(NULL, NULL)",
]  # fmt: skip


@pytest.mark.parametrize("expression", NULLS)
def test_what_has_no_result_is_null(ask, expression):
    assert ask(f"({expression}) IS NULL", ARTIFACT) == [1, 2, 3, 4]
    assert ask(f"NOT (({expression}) IS NULL)", ARTIFACT) == []


VALUES = [
    ("~ -id", "id - 1"), ("- ~id", "id + 1"), ("~~id", "id"), ("~ -5", "4"), ("- -5", "5"),
    ("-1 >> 63", "1"), ("-1 >> 1", str(MOST)), ("-1 >> 0", "-1"), ("1 >> 64", "0"), ("1 << 63", str(LEAST)),
    ("1 << 64", "0"), ("1 << 5000000000", "0"), ("3 << 63", str(LEAST)), ("-1 & 255", "255"),
    ("-8 | 3", "-5"), ("-1 ^ 255", "-256"), (f"{LEAST} ^ {MOST}", "-1"), ("-7 / 2", "-3.5"),
    ("MOD(-7, 2)", "-1"), (f"MOD({LEAST}, -1)", "0"), ("0.1 + 0.2", "0.1 + 0.2"), ("7 / 2", "3.5"),
    ("ABS(-2.5)", "2.5"), ("CAST('abc' = 'abc' AS INT64)", "1"), ("LENGTH('漢€😀')", "3"),
    ("LENGTH(CONCAT('漢', uri))", "LENGTH(uri) + 1"), ("CAST(id > 0 AS INT64) * 5", "5"),
]  # fmt: skip


@pytest.mark.parametrize(("expression", "equal"), VALUES, ids=[f"{a} = {b}" for a, b in VALUES])
def test_numbers_are_those_of_64_bits_and_of_doubles(ask, expression, equal):
    assert ask(f"{expression} = {equal}", ARTIFACT) == [1, 2, 3, 4]


def test_decimal_fractions_are_doubles(ask):
    assert ask("0.1 + 0.2 = 0.3", ARTIFACT) == []


STRINGS = [
    ("SUBSTR('abc', 0)", "abc"), ("SUBSTR('abc', 0, 2)", "ab"), ("SUBSTR('abc', -2)", "bc"),
    ("SUBSTR('abc', -9)", "abc"), ("SUBSTR('abc', -9, 2)", "ab"), ("SUBSTR('abc', 4)", ""),
    ("SUBSTR('abc', 2, 0)", ""), (f"SUBSTR('abc', {MOST})", ""), (f"SUBSTR('abc', {LEAST}, {MOST})", "abc"),
    ("SUBSTR('漢€😀', 2, 1)", "€"), ("LOWER('A漢Z')", "a漢z"), ("UPPER(LOWER('a漢z'))", "A漢Z"),
    ("CONCAT(LOWER('A'), '漢')", "a漢"), ("COALESCE(NULL, '漢')", "漢"), ("CAST(5 AS STRING)", "5"),
    ("CASE WHEN TRUE THEN '漢' ELSE 'x' END", "漢"), ("CAST(TRUE AS STRING)", "true"),
]  # fmt: skip


@pytest.mark.parametrize(("expression", "equal"), STRINGS, ids=[a for a, _ in STRINGS])
def test_strings_are_made_of_characters(ask, expression, equal):
    assert ask(f"{expression} = '{equal}'", ARTIFACT) == [1, 2, 3, 4]
    assert ask(f"{expression} IN ('{equal}', 'another')", ARTIFACT) == [1, 2, 3, 4]
    assert ask(f"{expression} LIKE '{equal}'", ARTIFACT) == [1, 2, 3, 4]
    assert ask(f"{expression} = '{equal}x'", ARTIFACT) == []


FALSE = [
    "'a' = 'A'", "'a' LIKE 'b'", "STARTS_WITH('a', 'a ')", "STARTS_WITH('a', 'A')", "ENDS_WITH('a', 'ba')",
    "ENDS_WITH('a', 'A')", "LOWER('A') = 'A'", "CAST(1 AS STRING) = '1.0'", "'b' < 'a'", "'a' < 'B'",
]  # fmt: skip


@pytest.mark.parametrize("text", FALSE)
def test_case_and_length_of_strings_matter(ask, text):
    assert ask(text, ARTIFACT) == []


OVERFLOWS = [
    f"id + {MOST} > 0", f"id * {MOST} * 2 > 0", f"-id - {MOST} - 5 < 0", f"ABS(id * 0 + {LEAST}) > 0",
    f"-(id * 0 + {LEAST}) > 0", "create_time_since_epoch * 9223372036854776 > 0", "id * 1e308 * 10 > 0",
]  # fmt: skip


@pytest.mark.backends("postgresql", "mysql")
@pytest.mark.parametrize("text", OVERFLOWS)
def test_an_overflow_is_the_fault_of_the_filter(ask, text):
    with pytest.raises(InvalidRequest, match="a calculation of filter_query leaves the range of its numbers"):
        ask(text, ARTIFACT)


@pytest.mark.backends("sqlite")
def test_sqlite_goes_on_with_floats_where_integers_overflow(ask):
    assert ask(f"id + {MOST} > 9.2e18", ARTIFACT) == [1, 2, 3, 4]
    with pytest.raises(InvalidRequest, match="a calculation of filter_query leaves the range of its numbers"):
        ask(f"ABS(id * 0 + {LEAST}) > 0", ARTIFACT)


def test_numbers_at_the_limits_of_64_bits_are_found(database):
    put_rows(database, schema.artifact_table, [{"id": n, "type_id": 1, "uri": ""} for n in (1, 2, MOST)])
    put_rows(database, schema.artifact_property_table, [
        {"node_id": n, "name": "x", "is_custom_property": False, "int_value": value}
        for n, value in ((1, LEAST), (2, 0), (MOST, MOST))
    ])  # fmt: skip
    column = "properties.x.int_value"

    assert matches(database, f"{column} = {MOST}", ARTIFACT) == [MOST]
    assert matches(database, f"{column} IN ({LEAST}, {MOST})", ARTIFACT) == [1, MOST]
    assert matches(database, f"{column} < 1", ARTIFACT) == [1, 2]
    assert matches(database, f"{column} = {LEAST} OR id = {MOST}", ARTIFACT) == [1, MOST]
