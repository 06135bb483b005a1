"""What can go wrong, in words a caller can act on.

::

    HeadwaterError
     +- InvalidRequest        the request contradicts itself, the types, or the contract
     +- NotFound              a thing asked for by its key is not there
     +- AlreadyExists         a name, external id or edge is taken
     +- FailedPrecondition    the stored state forbids it now
     |   +- DatabaseRefused   the database cannot be served as it is
    |       +- SchemaTooOld  its schema version is older than the one that is served
     +- OutOfRange            an index points past its list
     +- Aborted               another writer was in the way; the same call may succeed
     +- Unimplemented         a call or option that this store does not have
     +- ResourceExhausted     larger than a limit
     +- DeadlineExceeded      the caller's time was up
     +- Cancelled             the caller went away
     +- Unavailable           the store cannot be reached, or is stopping
     +- DataLoss              what is stored cannot be read
     +- PermissionDenied      the caller may not do this
     +- Unauthenticated       the caller did not say who it is
     +- Internal              a fault of headwater itself

Nothing here knows gRPC or SQL: ``headwater.service.status`` holds the table to status codes, and the
client turns codes back into these classes, so a program sees the same exception over gRPC and in
process.
"""


class HeadwaterError(Exception):
    """Base of every error that headwater raises on purpose. ``str(error)`` is one sentence."""


class InvalidRequest(HeadwaterError):
    """The request cannot be carried out whatever is stored: mend it and send it again."""


class NotFound(HeadwaterError):
    """A thing asked for by its key is not stored."""


class AlreadyExists(HeadwaterError):
    """A name, an external id or an edge is taken, or a type is stored with other properties."""


class FailedPrecondition(HeadwaterError):
    """The stored state forbids the request; read it again and decide."""


class DatabaseRefused(FailedPrecondition):
    """A database that cannot be served as it is. The message says what to do about it."""


class SchemaTooOld(DatabaseRefused):
    """A database that an upgrade would make fit to serve ('headwater db upgrade')."""


class OutOfRange(HeadwaterError):
    """An index points outside the list it belongs to."""


class Aborted(HeadwaterError):
    """Another writer held the database for too long. The same request may succeed."""


class Unimplemented(HeadwaterError):
    """A call or an option that this store does not have."""


class ResourceExhausted(HeadwaterError):
    """The request or its answer is larger than a limit, or the disk is full."""


class DeadlineExceeded(HeadwaterError):
    """The caller's deadline passed before the answer was ready.

    In process nothing was changed; over gRPC a write may have been carried out all the same.
    """


class Cancelled(HeadwaterError):
    """The caller went away before its request was carried out."""


class Unavailable(HeadwaterError):
    """The store cannot be reached now, or is shutting down."""


class DataLoss(HeadwaterError):
    """Something stored cannot be read back."""


class PermissionDenied(HeadwaterError):
    """The caller is known and may not do this."""


class Unauthenticated(HeadwaterError):
    """The caller did not prove who it is."""


class Internal(HeadwaterError):
    """A fault of headwater itself. The server's log has the details."""
