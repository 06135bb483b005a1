"""Rows for PyMySQL, read in half the time it takes itself.

PyMySQL makes an object of every packet and calls three functions a value, which is most of what reading a
hundred nodes costs. Here what has arrived is read in one loop, and PyMySQL is asked for whatever is not a
whole row: the end, an error, a packet that has not arrived in full (decision 0011).
"""

from collections.abc import Callable
from typing import Any

from pymysql.connections import Connection, MySQLResult

# A value begins with its length, or with one of these.
_NULL = 251
_LENGTH_BYTES = {252: 2, 253: 3, 254: 8}
# A packet that begins with one of these may be another than a row.
_NOT_SURELY_A_ROW = 254
_HEADER_BYTES = 4
# The description of a column ends with its type, flags of two bytes, decimals and two bytes of nothing.
_TYPE = -6

Convert = Callable[[bytes], Any] | None


class _Result(MySQLResult):  # type: ignore[misc]  # PyMySQL is not typed everywhere.
    connection: Any

    def _get_descriptions(self) -> None:
        connection = self.connection
        self._converts: list[Convert] = []
        for _ in range(self.field_count):
            column = connection._read_packet().get_all_data()
            self._converts.append(connection.decoders.get(column[_TYPE]))
        connection._read_packet()  # the end of the columns
        # Only whether there are rows is asked of this.
        self.description = (None,) * self.field_count

    def _read_rowdata_packet(self) -> None:
        connection, converts = self.connection, self._converts
        rows: list[tuple[Any, ...]] = []
        while True:
            _add_what_is_here(connection, converts, rows)
            packet = connection._read_packet()
            if self._check_packet_is_eof(packet):
                break
            rows.append(_row(packet.get_all_data(), 0, converts))
        self.connection = None
        self.affected_rows = len(rows)
        self.rows = tuple(rows)


class _FastConnection(Connection):  # type: ignore[misc]  # as above
    def _read_query_result(self, unbuffered: bool = False) -> Any:
        if unbuffered:
            return super()._read_query_result(unbuffered=True)
        self._result = None
        result = _Result(self)
        result.read()
        self._result = result
        if result.server_status is not None:
            self.server_status = result.server_status
        return result.affected_rows


def _add_what_is_here(connection: Any, converts: list[Convert], rows: list[tuple[Any, ...]]) -> None:
    """Take the whole rows at the beginning of what has been received."""
    try:
        received = connection._rfile.peek()
    except OSError:
        return  # PyMySQL meets it again, and knows what it means.
    sequence, size = connection._next_seq_id, len(received)
    start = 0
    while start + _HEADER_BYTES < size:
        first = start + _HEADER_BYTES
        length = received[start] | received[start + 1] << 8 | received[start + 2] << 16
        end = first + length
        if end > size or received[start + 3] != sequence or received[first] >= _NOT_SURELY_A_ROW:
            break
        rows.append(_row(received, first, converts))
        start, sequence = end, (sequence + 1) % 256
    connection._rfile.read(start)
    connection._next_seq_id = sequence


def _row(received: bytes, start: int, converts: list[Convert]) -> tuple[Any, ...]:
    """The values that begin at ``start``."""
    row: list[Any] = []
    for convert in converts:
        length = received[start]
        start += 1
        if length >= _NULL:
            if length == _NULL:
                row.append(None)
                continue
            size = _LENGTH_BYTES[length]
            length = int.from_bytes(received[start : start + size], "little")
            start += size
        value = received[start : start + length]
        start += length
        row.append(value if convert is None else convert(value))
    return tuple(row)


_STANDS_ON = {
    Connection: ("_read_query_result", "_read_packet"),
    MySQLResult: ("read", "_get_descriptions", "_read_rowdata_packet", "_check_packet_is_eof"),
}
"""What other versions of PyMySQL may not have, since it is theirs alone."""


def connection_class() -> type[Connection]:
    """A connection whose cursors tell rows and their number, and of columns only that there are some."""
    is_as_known = all(hasattr(type_, name) for type_, names in _STANDS_ON.items() for name in names)
    return _FastConnection if is_as_known else Connection
