"""Requests that are carried out once, however often they are sent (decision 0010).

The row of a request is written in the transaction of the request itself, so it is there exactly if the
rest is. A careful attempt writes it before anything else, so that it first waits for an earlier attempt
which still ends somewhere, and then finds what that one left instead of tripping over it.
"""

import base64
from dataclasses import dataclass

import sqlalchemy as sa

from headwater.errors import InvalidRequest
from headwater.storage import schema
from headwater.storage.statements import Insert, Prepared
from headwater.storage.transactions import Transaction

KEPT_MS = 24 * 60 * 60 * 1000
"""For so long a request that is sent again is recognised."""
_OWN_KEPT_MS = 10 * 60 * 1000
"""For so long one whose id was drawn by the server, which repeats it for a minute or so."""
LONGEST_ID = 64

_request = schema.request_table
_FIND = Prepared(
    sa.select(_request.c.digest, _request.c.answer).where(_request.c.request_id == sa.bindparam("wanted")),
    "wanted",
)
_KEEP = Insert(_request, "request_id", "digest", "recorded_ms", "answer")
_ANSWER = Prepared(
    sa.update(_request)
    .where(_request.c.request_id == sa.bindparam("wanted"))
    .values(answer=sa.bindparam("given")),
    "given",
    "wanted",
)
_recorded_ms = _request.c.recorded_ms
_FORGET = Prepared(
    sa.delete(_request).where(_recorded_ms < sa.bindparam("before", type_=sa.BigInteger())), "before"
)


class WrittenMeanwhile(Exception):
    """Another attempt at the same request was committed first: look again."""


@dataclass(frozen=True)
class RequestKey:
    """What makes two requests one: an id that the caller chose, and a digest of what it asks."""

    request_id: str
    digest: str
    """Empty where the id is the server's own."""


def find_answer(tx: Transaction, key: RequestKey) -> bytes | None:
    """The answer that was given to this request, if it was carried out.

    If it was not, nobody else carries it out until this transaction ends.

    Raises:
        InvalidRequest: the id was used for another request.
        WrittenMeanwhile: it was carried out in another transaction, and cannot be seen yet.
    """
    # Where a database has one writer at a time, nobody else can be at it.
    if tx.dialect.is_server and tx.insert_new(_KEEP, [_row(tx, key, b"")]):
        return None
    for digest, answer in tx.rows(_FIND, key.request_id):
        if digest != key.digest:
            raise InvalidRequest(
                f"the request id {key.request_id!r} was used for another request; take a new one for each"
            )
        return base64.b64decode(answer)
    if tx.dialect.is_server:
        raise WrittenMeanwhile
    return None


def keep_answer(tx: Transaction, key: RequestKey, answer: bytes) -> None:
    """Note what the request is answered, in the transaction that carries it out.

    Raises:
        WrittenMeanwhile: it was, in another.
    """
    if tx.dialect.is_server and tx.is_careful:
        tx.run(_ANSWER, _as_text(answer), key.request_id)
    elif not tx.insert_new(_KEEP, [_row(tx, key, answer)]):
        raise WrittenMeanwhile


def _row(tx: Transaction, key: RequestKey, answer: bytes) -> tuple[str, str, int, str]:
    # Rows of our own are dated back, so that they are the first to be forgotten.
    recorded_ms = tx.now_ms if key.digest else tx.now_ms - (KEPT_MS - _OWN_KEPT_MS)
    return key.request_id, key.digest, recorded_ms, _as_text(answer)


def _as_text(answer: bytes) -> str:
    return base64.b64encode(answer).decode("ascii")


def forget_old(tx: Transaction) -> None:
    """Drop the answers that nobody asks for any more."""
    tx.run(_FORGET, tx.now_ms - KEPT_MS)
