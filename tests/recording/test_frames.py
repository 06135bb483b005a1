"""Records in a file that may be damaged anywhere: what is whole is read, what is not is skipped."""

import random

import pytest

from headwater.client.recording.frames import Damage, Frame, frame, frames

FIRST, SECOND, THIRD = frame("StartRun", b"one"), frame("FinishStep", b"\0" * 50), frame("FinishRun", b"")
WHOLE = FIRST + SECOND + THIRD


def names(data: bytes) -> list[str]:
    return [found.name if isinstance(found, Frame) else "damage" for found in frames(data)]


def test_records_come_back_in_order():
    found = list(frames(WHOLE))

    assert found == [
        Frame("StartRun", b"one", len(FIRST)),
        Frame("FinishStep", b"\0" * 50, len(FIRST + SECOND)),
        Frame("FinishRun", b"", len(WHOLE)),
    ]


def test_an_empty_file_has_no_records():
    assert list(frames(b"")) == []


def test_reading_can_begin_behind_a_record():
    assert [found.name for found in frames(WHOLE, len(FIRST))] == ["FinishStep", "FinishRun"]


@pytest.mark.parametrize("length", range(len(FIRST) + len(SECOND), len(WHOLE)))
def test_a_torn_end_is_damage_and_what_is_before_it_is_read(length):
    expected = ["StartRun", "FinishStep"] + (["damage"] if length > len(FIRST + SECOND) else [])

    assert names(WHOLE[:length]) == expected


@pytest.mark.parametrize("place", range(len(FIRST), len(FIRST) + len(SECOND)))
def test_a_changed_byte_costs_the_record_that_it_is_in_and_no_other(place):
    data = bytearray(WHOLE)
    data[place] ^= 0xFF

    assert names(bytes(data)) == ["StartRun", "damage", "FinishRun"]


def test_what_is_in_between_is_skipped():
    junk = b"\xf1HW\n" + b"\xff" * 100

    found = list(frames(FIRST + junk + THIRD))

    assert found[1] == Damage(len(FIRST), len(FIRST + junk))
    assert names(FIRST + junk + THIRD) == ["StartRun", "damage", "FinishRun"]


def test_zeros_as_after_a_crash_are_no_records():
    assert names(FIRST + bytes(4096)) == ["StartRun", "damage"]


def test_a_whole_record_within_a_damaged_one_is_found():
    outer = frame("FinishStep", SECOND)
    without_a_byte = outer[:5] + outer[6:]

    assert names(without_a_byte + THIRD) == ["damage", "FinishStep", "FinishRun"]


def test_any_bytes_can_be_read():
    chance = random.Random(7)
    for _ in range(200):
        data = bytearray(WHOLE * 3)
        for _ in range(chance.randrange(1, 20)):
            place = chance.randrange(len(data))
            del data[place : place + chance.randrange(3)]
        found = list(frames(bytes(data)))
        covered = 0
        for one in found:
            start = one.start if isinstance(one, Damage) else covered
            assert start == covered
            covered = one.end
        assert covered == len(data)
