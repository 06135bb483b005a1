"""The conditions compile for every database, whichever are there to run them."""

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql

from headwater.filters import compile_filter
from headwater.storage.kinds import ARTIFACT

TEXTS = [
    "id IN (1, 2) AND name IN ('a', 'b') AND properties.d.double_value IN (0.5, 1)",
    "id IN (1, NULL) OR name NOT IN ('a') OR state NOT IN (LIVE)",
    "type = 'a' AND contexts_a.type IN ('a', 'b') AND contexts_a.type LIKE 'a%'",
    "events_a.type != INPUT AND custom_properties.`a%b`.bool_value IS NOT TRUE",
    "MOD(id, 2) + id / 2 - (id ^ 3) * -id > ABS(~id) AND name LIKE '10\\\\%'",
    "LENGTH(CONCAT(name, uri || 'x')) = 3 AND STARTS_WITH(name, 'a')",
    "ENDS_WITH(UPPER(name), SUBSTR(uri, 2, 3)) OR LOWER(name) = uri",
    "CAST(id AS STRING) = '1' AND CAST(name AS INT64) = 1 AND CAST(name AS BOOL)",
    "CAST(id AS FLOAT64) = 1.5 OR CAST(name AS FLOAT64) = 1 OR CAST(properties.d.double_value AS INT64) = 1",
    "COALESCE(name, NULL) = IF(TRUE, 'a', IFNULL(uri, 'b')) AND CASE id WHEN 1 THEN TRUE ELSE FALSE END",
    " OR ".join(["id = 1"] * 120),
]


@pytest.mark.parametrize("dialect", [postgresql.dialect(), mysql.dialect()], ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text[:30])
def test_a_filter_compiles_for_every_database(recwarn, text, dialect):
    filter_ = compile_filter(text, ARTIFACT)
    statements = [neighbourhood.candidates() for neighbourhood in filter_.neighbourhoods]
    whole = sa.select(ARTIFACT.table.c.id).where(*(n.exists() for n in filter_.neighbourhoods))
    statements.append(whole if filter_.own is None else whole.where(filter_.own))

    for statement in statements:
        for options in ({}, {"lists_are_single": True}):
            compiled = str(statement.execution_options(**options).compile(dialect=dialect))
            assert "json_each" not in compiled
    assert [warning.message for warning in recwarn] == []
