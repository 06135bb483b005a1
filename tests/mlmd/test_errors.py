import inspect
import logging

import pytest

from headwater import errors as ours
from headwater.mlmd import errors

OURS = [
    thing for _, thing in inspect.getmembers(ours, inspect.isclass) if issubclass(thing, ours.HeadwaterError)
]


@pytest.mark.parametrize("error_class", OURS, ids=lambda error_class: error_class.__name__)
def test_each_of_our_errors_has_one_of_theirs(error_class):
    error = errors.from_ours(error_class("the words"))

    assert isinstance(error, errors.StatusError)
    assert (error.message, str(error)) == ("the words", "the words")
    assert errors.exception_type_from_error_code(error.error_code) is type(error)


def test_a_refused_database_is_a_failed_precondition():
    assert type(errors.from_ours(ours.DatabaseRefused("no"))) is errors.FailedPreconditionError


def test_all_16_codes_have_a_class():
    classes = {errors.exception_type_from_error_code(code) for code in range(1, 17)}

    assert len(classes) == 16


def test_a_code_that_no_error_has_is_unknown():
    with pytest.raises(KeyError):
        errors.exception_type_from_error_code(99)
    assert type(errors.make_exception("what", 99)) is errors.UnknownError


def test_internal_errors_are_logged(caplog):
    with caplog.at_level(logging.WARNING):
        errors.make_exception("broken", errors.INTERNAL)

    assert "mlmd client InternalError: broken" in caplog.text
