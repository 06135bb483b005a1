"""Records in a file that may be cut off or damaged anywhere.

A frame is a mark, the length and the CRC-32 of what follows, and the record: the name of an RPC, a zero
byte, the request. What does not fit its CRC is skipped up to the next mark that begins a good frame.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

_MARK = b"\xf1HW\n"
_HEAD = struct.Struct("<4sII")
_NAME_END = b"\0"


@dataclass(frozen=True)
class Frame:
    """A good record and where it ends."""

    name: str
    content: bytes
    end: int


@dataclass(frozen=True)
class Damage:
    """Bytes that are not a record: from ``start`` to ``end``."""

    start: int
    end: int


def frame(name: str, content: bytes) -> bytes:
    """The bytes to append for one record."""
    record = name.encode() + _NAME_END + content
    return _HEAD.pack(_MARK, len(record), _checksum(record)) + record


def frames(data: bytes, start: int = 0) -> Iterator[Frame | Damage]:
    """What is in a file from ``start`` on, in order, without gaps."""
    place = start
    while place < len(data):
        found = _frame_at(data, place)
        if found is None:
            end = _next_good(data, place + 1)
            yield Damage(place, end)
            place = end
        else:
            yield found
            place = found.end


def _next_good(data: bytes, start: int) -> int:
    place = data.find(_MARK, start)
    while place >= 0:
        if _frame_at(data, place) is not None:
            return place
        place = data.find(_MARK, place + 1)
    return len(data)


def _frame_at(data: bytes, place: int) -> Frame | None:
    if len(data) - place < _HEAD.size:
        return None
    mark, length, checksum = _HEAD.unpack_from(data, place)
    begin = place + _HEAD.size
    if mark != _MARK or length > len(data) - begin:
        return None
    record = data[begin : begin + length]
    if _checksum(record) != checksum or _NAME_END not in record:
        return None
    name, _, content = record.partition(_NAME_END)
    return Frame(name.decode(errors="replace"), content, begin + length)


def _checksum(record: bytes) -> int:
    # The length counts too, or nothing at all would be a good record.
    return zlib.crc32(record, len(record))
