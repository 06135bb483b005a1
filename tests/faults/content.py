"""What a store holds, counted: the rows of each table, read past headwater."""

from collections import Counter

import sqlalchemy as sa
from databases import server_of

from headwater.storage import schema

TABLES = (*(table.name for table in schema.MLMD_TABLES), schema.request_table.name)


def rows_of_tables(backend: str, url: str) -> Counter[str]:
    """The number of rows of each table."""
    with server_of(backend).connection(sa.make_url(url).database) as connection:
        cursor = connection.cursor()
        cursor.execute(" UNION ALL ".join(f"SELECT '{name}', COUNT(*) FROM {name}" for name in TABLES))
        return Counter(dict(cursor.fetchall()))
