"""The exceptions of ``ml_metadata.errors``, and the one table to them from our own."""

import logging
from collections.abc import Mapping

from headwater import errors as ours

log = logging.getLogger(__name__)

OK = 0
CANCELLED = 1
UNKNOWN = 2
INVALID_ARGUMENT = 3
DEADLINE_EXCEEDED = 4
NOT_FOUND = 5
ALREADY_EXISTS = 6
PERMISSION_DENIED = 7
RESOURCE_EXHAUSTED = 8
FAILED_PRECONDITION = 9
ABORTED = 10
OUT_OF_RANGE = 11
UNIMPLEMENTED = 12
INTERNAL = 13
UNAVAILABLE = 14
DATA_LOSS = 15
UNAUTHENTICATED = 16


class StatusError(Exception):
    """Base of the others: a ``message`` and an ``error_code``, one of the numbers of this module."""

    def __init__(self, message: str, error_code: int) -> None:
        super().__init__(message)
        self.message = message
        self.error_code = error_code


class CancelledError(StatusError):
    """The caller gave up."""

    def __init__(self, message: str) -> None:
        super().__init__(message, CANCELLED)


class UnknownError(StatusError):
    """Failed for a reason that has no class of its own."""

    def __init__(self, message: str, error_code: int = UNKNOWN) -> None:
        super().__init__(message, error_code)


class InvalidArgumentError(StatusError):
    """The request contradicts itself or the types."""

    def __init__(self, message: str) -> None:
        super().__init__(message, INVALID_ARGUMENT)


class DeadlineExceededError(StatusError):
    """No answer within ``client_timeout_sec``."""

    def __init__(self, message: str) -> None:
        super().__init__(message, DEADLINE_EXCEEDED)


class NotFoundError(StatusError):
    """What was asked for is not stored."""

    def __init__(self, message: str) -> None:
        super().__init__(message, NOT_FOUND)


class AlreadyExistsError(StatusError):
    """A name, an external id or an edge is taken, or a type has other properties."""

    def __init__(self, message: str) -> None:
        super().__init__(message, ALREADY_EXISTS)


class PermissionDeniedError(StatusError):
    """The caller is known and may not do this."""

    def __init__(self, message: str) -> None:
        super().__init__(message, PERMISSION_DENIED)


class UnauthenticatedError(StatusError):
    """The caller did not prove who it is."""

    def __init__(self, message: str) -> None:
        super().__init__(message, UNAUTHENTICATED)


class ResourceExhaustedError(StatusError):
    """A request or an answer is larger than a limit."""

    def __init__(self, message: str) -> None:
        super().__init__(message, RESOURCE_EXHAUSTED)


class FailedPreconditionError(StatusError):
    """The stored state forbids the request."""

    def __init__(self, message: str) -> None:
        super().__init__(message, FAILED_PRECONDITION)


class AbortedError(StatusError):
    """Another writer was in the way. ``MetadataStore`` has tried again before it raises this."""

    def __init__(self, message: str) -> None:
        super().__init__(message, ABORTED)


class OutOfRangeError(StatusError):
    """An index points past its list."""

    def __init__(self, message: str) -> None:
        super().__init__(message, OUT_OF_RANGE)


class UnimplementedError(StatusError):
    """The store does not have this call or option."""

    def __init__(self, message: str) -> None:
        super().__init__(message, UNIMPLEMENTED)


class InternalError(StatusError):
    """A fault of the store."""

    def __init__(self, message: str) -> None:
        super().__init__(message, INTERNAL)


class UnavailableError(StatusError):
    """The store cannot be reached now."""

    def __init__(self, message: str) -> None:
        super().__init__(message, UNAVAILABLE)


class DataLossError(StatusError):
    """Something stored cannot be read back."""

    def __init__(self, message: str) -> None:
        super().__init__(message, DATA_LOSS)


_CLASSES: Mapping[int, type[StatusError]] = {
    CANCELLED: CancelledError,
    UNKNOWN: UnknownError,
    INVALID_ARGUMENT: InvalidArgumentError,
    DEADLINE_EXCEEDED: DeadlineExceededError,
    NOT_FOUND: NotFoundError,
    ALREADY_EXISTS: AlreadyExistsError,
    PERMISSION_DENIED: PermissionDeniedError,
    RESOURCE_EXHAUSTED: ResourceExhaustedError,
    FAILED_PRECONDITION: FailedPreconditionError,
    ABORTED: AbortedError,
    OUT_OF_RANGE: OutOfRangeError,
    UNIMPLEMENTED: UnimplementedError,
    INTERNAL: InternalError,
    UNAVAILABLE: UnavailableError,
    DATA_LOSS: DataLossError,
    UNAUTHENTICATED: UnauthenticatedError,
}

_CODES: Mapping[type[ours.HeadwaterError], int] = {
    ours.Cancelled: CANCELLED,
    ours.HeadwaterError: UNKNOWN,
    ours.InvalidRequest: INVALID_ARGUMENT,
    ours.DeadlineExceeded: DEADLINE_EXCEEDED,
    ours.NotFound: NOT_FOUND,
    ours.AlreadyExists: ALREADY_EXISTS,
    ours.PermissionDenied: PERMISSION_DENIED,
    ours.ResourceExhausted: RESOURCE_EXHAUSTED,
    ours.FailedPrecondition: FAILED_PRECONDITION,
    ours.Aborted: ABORTED,
    ours.OutOfRange: OUT_OF_RANGE,
    ours.Unimplemented: UNIMPLEMENTED,
    ours.Internal: INTERNAL,
    ours.Unavailable: UNAVAILABLE,
    ours.DataLoss: DATA_LOSS,
    ours.Unauthenticated: UNAUTHENTICATED,
}


def exception_type_from_error_code(error_code: int) -> type[StatusError]:
    """The class for a code.

    Raises:
        KeyError: no error has that code.
    """
    return _CLASSES[error_code]


def make_exception(message: str, error_code: int) -> StatusError:
    """An exception to raise; ``UnknownError`` for a code that no error has. Internal ones are logged."""
    if error_code == INTERNAL:
        log.warning("mlmd client InternalError: %s", message)
    if error_code not in _CLASSES:
        return UnknownError(message)
    # Each class fixes its own code, which the base class cannot say.
    return _CLASSES[error_code](message)  # type: ignore[call-arg]


def from_ours(error: ours.HeadwaterError) -> StatusError:
    """What ML Metadata's client raises where ours raises ``error``."""
    code = next(_CODES[base] for base in type(error).__mro__ if base in _CODES)
    return make_exception(str(error), code)
