"""mysqlclient and PyMySQL: the same statements come to the same, whatever is read and whatever goes wrong."""

import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from databases import server_of

from headwater.errors import DatabaseRefused, InvalidRequest
from headwater.storage.dialects import dialect_for
from headwater.storage.dialects.base import Call
from headwater.storage.dialects.mysql import MysqlDialect

pytestmark = pytest.mark.backends("mysql")

HAS_MYSQLCLIENT = importlib.util.find_spec("MySQLdb") is not None
DRIVERS = ["pymysql", *(["mysqldb"] if HAS_MYSQLCLIENT else [])]


@pytest.fixture(params=DRIVERS)
def dialect(request: pytest.FixtureRequest, database_url: str) -> MysqlDialect:
    url = sa.make_url(database_url).set(drivername=f"mysql+{request.param}")
    return dialect_for(url.render_as_string(hide_password=False))  # type: ignore[return-value]


@pytest.fixture
def ask(dialect: MysqlDialect) -> Iterator[Callable[..., list[Any]]]:
    connection = dialect.connect()
    yield lambda text, *values: dialect.run(connection, [Call(text, values)])[0].rows
    connection.close()


@pytest.mark.parametrize("length", [0, 1, 250, 251, 252, 65_535, 65_536, 5_000_000])
def test_a_text_of_any_length_comes_back(ask: Callable[..., list[Any]], length: int) -> None:
    text = "é" + "x" * (length - 2) if length > 1 else "x" * length

    assert ask("SELECT %s AS first, 5, %s AS last", text, text) == [(text, 5, text)]


def test_every_character_comes_back(ask: Callable[..., list[Any]]) -> None:
    text = "".join(map(chr, range(0x250))) + "Ω你😀'\"\\%_\x1a\n;--"

    assert ask("SELECT %s AS text, %s AS bytes", text, b"\x00'abc\\") == [(text, "\x00'abc\\")]


def test_numbers_and_nothing_come_back(ask: Callable[..., list[Any]]) -> None:
    numbers = (2**63 - 1, -(2**63), 0, 1.5e300, -0.1, 5e-324, None)
    ask("CREATE TABLE numbers (a BIGINT, b BIGINT, c TINYINT(1), d DOUBLE, e DOUBLE, f DOUBLE, g MEDIUMTEXT)")

    ask("INSERT INTO numbers VALUES (%s, %s, %s, %s, %s, %s, %s)", *numbers)
    assert ask("SELECT * FROM numbers") == [numbers]
    assert ask("SELECT g FROM numbers") == [(None,)]


def test_rows_come_in_order_however_they_arrive(ask: Callable[..., list[Any]]) -> None:
    """Of all sizes, so that they end anywhere in what is received at once."""
    rows = [(number, "x" * (number * 37 % 4_000), None, number / 7) for number in range(3_000)]
    ask("CREATE TABLE many (id INT PRIMARY KEY, text MEDIUMTEXT, nothing INT, number DOUBLE)")
    ask(
        f"INSERT INTO many VALUES {', '.join(['(%s, %s, %s, %s)'] * len(rows))}",
        *[v for row in rows for v in row],
    )

    assert ask("SELECT * FROM many ORDER BY id") == rows


def test_results_of_several_statements_are_kept_apart(dialect: MysqlDialect) -> None:
    connection = dialect.connect()
    calls = [
        "SELECT 1",
        "CREATE TABLE t (id INT)",
        "INSERT INTO t VALUES (1), (2)",
        "SELECT id FROM t",
        "COMMIT",
    ]

    outcomes = dialect.run(connection, [Call(text) for text in calls])

    assert [outcome.rows for outcome in outcomes] == [[(1,)], [], [], [(1,), (2,)], []]
    assert outcomes[2].changed == 2
    connection.close()


def test_an_error_among_the_rows_is_raised_and_leaves_the_connection_in_order(dialect: MysqlDialect) -> None:
    connection = dialect.connect()
    many = " UNION ALL ".join(["SELECT REPEAT('x', 1000)"] * 100)
    fails = f"{many} UNION ALL SELECT (SELECT 1 UNION SELECT 2)"

    with pytest.raises(dialect.driver_error):
        dialect.run(connection, [Call("SELECT 1"), Call(fails), Call("SELECT 2")])

    assert dialect.run(connection, [Call("SELECT 3")])[0].rows == [(3,)]
    connection.close()


def test_a_connection_that_ends_among_the_rows_is_known_as_lost(dialect: MysqlDialect) -> None:
    connection = dialect.connect()
    number = connection.thread_id()

    with pytest.raises(dialect.driver_error) as raised:
        dialect.run(connection, [Call(f"SELECT 1 UNION ALL SELECT 2; KILL {number}; SELECT 3")])
        dialect.run(connection, [Call("SELECT 4")])

    assert dialect.is_lost(raised.value, connection)


def test_a_password_beyond_latin1(dialect: MysqlDialect) -> None:
    server = server_of("mysql")
    server.execute("DROP USER IF EXISTS zoe@'%'")
    server.add_user("zoe", "pä'ss€")
    try:
        url = dialect._url.set(username="zoe", password="pä'ss€", database="information_schema")

        connection = dialect_for(url.render_as_string(hide_password=False)).connect()

        connection.close()
    finally:
        server.execute("DROP USER zoe@'%'")


def test_the_name_localhost_means_the_network(dialect: MysqlDialect) -> None:
    url = dialect._url.set(host="localhost")

    dialect_for(url.render_as_string(hide_password=False)).connect().close()


def test_a_driver_that_there_is_not() -> None:
    with pytest.raises(InvalidRequest, match="names the driver 'odbc'"):
        dialect_for("mysql+odbc://host/store")


def test_a_url_that_says_nothing_takes_mysqlclient_where_it_is() -> None:
    name = dialect_for("mysql://host/store")._driver.core_name  # type: ignore[attr-defined]

    assert name == ("mysqldb" if HAS_MYSQLCLIENT else "pymysql")


def test_a_url_that_says_something_of_tls_takes_pymysql() -> None:
    assert dialect_for("mysql://host/store?ssl=true")._driver.core_name == "pymysql"  # type: ignore[attr-defined]


def test_a_missing_certificate_is_named(database_url: str) -> None:
    url = sa.make_url(database_url).update_query_dict({"ssl_ca": "/nowhere/ca.pem"})

    with pytest.raises(DatabaseRefused, match="No such file"):
        dialect_for(url.render_as_string(hide_password=False)).connect()
