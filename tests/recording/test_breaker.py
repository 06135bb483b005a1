"""A store that did not answer is left alone for a while, and then tried by one caller."""

import pytest

from headwater.client.recording.breaker import Breaker


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(first_pause_s=5, longest_pause_s=12, clock=clock)


def test_a_new_one_allows_everything(breaker):
    assert [breaker.allows() for _ in range(3)] == [True, True, True]


def test_one_failure_at_once_is_forgiven(breaker):
    breaker.failed()

    assert not breaker.is_silent
    assert not breaker.is_open
    assert breaker.allows()


def test_the_second_failure_in_a_row_opens_it(breaker):
    breaker.failed()
    breaker.failed()

    assert breaker.is_open
    assert not breaker.allows()


def test_an_answer_between_two_failures_counts_anew(breaker):
    breaker.failed()
    breaker.succeeded()
    breaker.failed()

    assert breaker.allows()


def test_a_call_that_ran_out_of_time_opens_it_at_once(breaker):
    breaker.failed(ran_out_of_time=True)

    assert not breaker.allows()


def test_after_the_pause_one_caller_may_try(breaker, clock):
    breaker.failed(ran_out_of_time=True)
    clock.now += 5

    assert [breaker.allows() for _ in range(3)] == [True, False, False]


def test_an_answer_to_the_one_who_tries_closes_it(breaker, clock):
    breaker.failed(ran_out_of_time=True)
    clock.now += 5
    breaker.allows()
    breaker.succeeded()

    assert not breaker.is_open
    assert [breaker.allows() for _ in range(2)] == [True, True]


def test_pauses_double_up_to_the_longest(breaker, clock):
    breaker.failed(ran_out_of_time=True)
    pauses = []
    for _ in range(4):
        began = clock.now
        while not breaker.allows():
            clock.now += 1
        pauses.append(clock.now - began)
        breaker.failed()

    assert pauses == [5, 10, 12, 12]


def test_callers_that_fail_together_open_it_once(breaker, clock):
    for _ in range(10):
        breaker.failed(ran_out_of_time=True)
    clock.now += 5

    assert breaker.allows()
