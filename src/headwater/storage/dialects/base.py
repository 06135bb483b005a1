"""What a database must answer, and how a list of values is bound."""

import json
import logging
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import Dialect as CoreDialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import Grouping

from headwater.errors import AlreadyExists, HeadwaterError, InvalidRequest

TOO_LARGE_A_RESULT = (
    "a calculation of filter_query leaves the range of its numbers, 64 bits for integers; "
    "CAST its operands AS FLOAT64, or test that they are small first: IF(id < 1000, id * id, NULL)"
)


log = logging.getLogger(__name__)


class Values(tuple[int | float | str, ...]):
    """The value of an ``InList`` parameter."""

    __slots__ = ()


class InList(sa.ColumnElement[bool]):
    """``column`` is one of the values of the ``Values`` bound as ``name``.

    One parameter carries the whole list, so the text of a statement does not depend on its length; only
    lists of a single value, the most frequent ones, have a text of their own (``Prepared``). ``member``
    is the type of the values, by default that of the column.
    """

    inherit_cache = False
    type = sa.Boolean()

    def __init__(
        self, column: sa.ColumnElement[Any], name: str, member: sa.types.TypeEngine[Any] | None = None
    ) -> None:
        self.column = column.self_group(against=operators.in_op)
        self.parameter: sa.BindParameter[Any] = sa.bindparam(name, type_=sa.Text())
        self.member = column.type if member is None else member

    def _copy_internals(self, clone: Callable[..., Any] | None = None, **kw: Any) -> None:
        # Adapting a statement to an alias clones its parts; this one has the column to adapt.
        if clone is not None:
            self.column = clone(self.column, **kw)

    def get_children(self, **_: Any) -> Iterable[Any]:
        return (self.column, self.parameter)

    def self_group(self, against: Any = None) -> Any:
        # IN is a condition as it stands, which SQLAlchemy would compare with 1; but databases read
        # a = b IN c as (a = b) IN c.
        return self if against in _NEEDS_NO_PARENTHESES else Grouping(self)


_NEEDS_NO_PARENTHESES = (None, operators.and_, operators.or_, operators._asbool)


@compiles(InList, "sqlite")
def _in_json_each(element: InList, compiler: Any, **kw: Any) -> str:
    column, parameter = _parts(element, compiler, **kw)
    if _is_single(compiler):
        return f"{column} = {parameter}"
    return f"{column} IN (SELECT value FROM json_each({parameter}))"


@compiles(InList, "postgresql")
def _in_json_array(element: InList, compiler: Any, **kw: Any) -> str:
    column, parameter = _parts(element, compiler, **kw)
    type_ = _member_type(element.member)
    if _is_single(compiler):
        return f"{column} = CAST({parameter} AS {type_})"
    members = f"SELECT CAST(value AS {type_}) FROM json_array_elements_text(CAST({parameter} AS JSON))"
    return f"{column} = ANY (ARRAY({members}))"


def _member_type(type_: sa.types.TypeEngine[Any]) -> str:
    if isinstance(type_, sa.Integer):
        return "BIGINT"
    return "TEXT" if isinstance(type_, sa.String) else "DOUBLE PRECISION"


@compiles(InList, "mysql", "mariadb")
def _in_literals(element: InList, compiler: Any, **kw: Any) -> str:
    # The list is written out, in parentheses of its own, as every value is (``MysqlDialect``).
    column, parameter = _parts(element, compiler, **kw)
    return f"{column} {'=' if _is_single(compiler) else 'IN'} {parameter}"


def _parts(element: InList, compiler: Any, **kw: Any) -> tuple[str, str]:
    parameter = compiler.process(element.parameter, **(kw | {"render_bind_cast": False}))
    return compiler.process(element.column, **kw), parameter


def _is_single(compiler: Any) -> bool:
    # Set by ``Prepared``.
    return bool(compiler.execution_options.get("lists_are_single"))


@dataclass(frozen=True)
class Call:
    """A statement on its way to the driver: the text and the values in the driver's order."""

    text: str
    arguments: Sequence[Any] = ()


@dataclass(frozen=True)
class Outcome:
    """What a call came to."""

    rows: list[Any]
    """Empty for a statement that gives none."""
    changed: int
    """Rows inserted, updated or deleted."""


class Dialect(ABC):
    """What a database must answer; the common answers are here."""

    core: CoreDialect
    """Compiles Core to this database's SQL, with positional marks."""
    driver_error: type[Exception]
    name: str
    """``sqlite``, ``postgresql`` or ``mysql``."""
    variant: Hashable = None
    """What makes statements differ between two databases of one dialect."""
    is_server: bool = True
    """Whether it is reached over connections that are pooled and can be lost, or is a file of its own."""
    recursion_is_lazy: bool = True
    """Whether a recursive statement stops when its reader has enough."""

    @abstractmethod
    def connect(self) -> Any:
        """A connection of its own, without a transaction.

        Raises:
            DatabaseRefused, Unavailable: with what to do about it.
        """

    @abstractmethod
    def engine(self) -> sa.Engine:
        """For what is done seldom (inspection, migration): an engine whose connections are like ours."""

    @abstractmethod
    def table_names(self, connection: Any) -> set[str]:
        """In lower case."""

    @abstractmethod
    def column_names(self, connection: Any, table: str) -> set[str]:
        """In lower case."""

    @abstractmethod
    def index_names(self, connection: Any) -> set[str]:
        """In lower case."""

    @abstractmethod
    def size_bytes(self, connection: Any) -> int:
        """How much room the database takes, its indexes included."""

    @abstractmethod
    def facts(self, connection: Any) -> dict[str, str]:
        """What an administrator wants to know of this database: which server, which encoding."""

    @abstractmethod
    def damage(self, connection: Any, tables: Sequence[sa.Table]) -> list[str]:
        """What the database itself finds broken: files, indexes, counters that are behind their ids."""

    @abstractmethod
    def insert_statement(
        self, table: sa.Table, columns: Sequence[str], *, ignores: bool
    ) -> sa.sql.ClauseElement:
        """What inserts rows, unless a unique key forbids them if ``ignores``."""

    def walk_in_order(self, select: sa.Select[Any], table: sa.Table, column: str) -> sa.Select[Any]:
        """Make ``select`` read ``table`` in the order of ``column``, an indexed one, until it has enough."""
        return select

    def list_value(self, values: Values) -> Any:
        return as_json(values)

    def row_version(self, table: sa.Table) -> sa.ColumnElement[str] | None:
        """What changes whenever a row of ``table`` is written, if the database keeps such a thing."""
        return None

    def text_key(self, text: str) -> str:
        """What two texts share that the database's names and external ids hold equal."""
        return text

    def as_hex(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """The bytes of a column in hexadecimal digits, since drivers change text that is not UTF-8."""
        # SQLite says that the digits of NULL are none.
        return sa.case((column.isnot(None), sa.func.hex(column)))

    @abstractmethod
    def encode_proto(self, value: bytes) -> Any: ...

    @abstractmethod
    def decode_proto(self, value: Any) -> bytes: ...

    @abstractmethod
    def described(self, error: Exception) -> str:
        """The driver's error for a log: its class, its code, and its text unless that quotes values."""

    @abstractmethod
    def translate(self, error: Exception) -> HeadwaterError:
        """The driver's error in the caller's words."""


# libpq's, and those that drivers of MySQL know.
_SECRETS = re.compile("pass|secret", re.IGNORECASE)


def shown_url(database_url: str) -> str:
    """A database URL for people to read: without its passwords."""
    try:
        url = sa.make_url(database_url)
    except (sa.exc.ArgumentError, ValueError):
        return "(not a database URL)"
    hidden = {name: "***" if _SECRETS.search(name) else value for name, value in url.query.items()}
    if url.password is None and hidden == dict(url.query):
        return database_url
    return url.set(query=hidden).render_as_string(hide_password=True)


def explained(dialect: Dialect, error: Exception) -> HeadwaterError:
    """The driver's error in the caller's words, and in its own words in the log."""
    ours = dialect.translate(error)
    # What the caller can mend is no event of the server's.
    level = logging.DEBUG if isinstance(ours, AlreadyExists | InvalidRequest) else logging.ERROR
    log.log(
        level, "database error", extra={"error": dialect.described(error), "answered": type(ours).__name__}
    )
    ours.__cause__ = error
    return ours


def checked_member(value: object) -> object:
    """A member of ``Values`` as it is, unless it is text that is not UTF-8."""
    if isinstance(value, bytes):  # Protobuf hands out such a proto2 string as bytes.
        raise InvalidRequest(f"a string of the request is not valid UTF-8: {value!r:.80}")
    return value


as_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=checked_member).encode
