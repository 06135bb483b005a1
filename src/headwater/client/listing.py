"""Listings that fetch page after page as they are read."""

from collections.abc import Iterator
from typing import Any, Literal, TypeVar

from google.protobuf.message import Message

from headwater.client.transport import Ask
from headwater.errors import InvalidRequest
from headwater.v1 import metadata_store_pb2 as pb

OrderBy = Literal["id", "create_time", "update_time"]
LARGEST_PAGE = 100
R = TypeVar("R", bound=Message)

_Field = pb.ListOperationOptions.OrderByField
_ORDERS = {"id": _Field.ID, "create_time": _Field.CREATE_TIME, "update_time": _Field.LAST_UPDATE_TIME}


def list_options(
    *, where: str | None, order_by: OrderBy, descending: bool, limit: int | None, page_size: int
) -> pb.ListOperationOptions:
    """The wire's options for a listing that begins at its first page.

    Raises:
        InvalidRequest: an unknown ``order_by``, a negative ``limit``, or a ``page_size`` not from 1 to 100.
    """
    if order_by not in _ORDERS:
        raise InvalidRequest(f"order_by must be one of {', '.join(map(repr, _ORDERS))}, and is {order_by!r}")
    if limit is not None and limit < 0:
        raise InvalidRequest(f"limit cannot be negative, and is {limit}")
    if not 1 <= page_size <= LARGEST_PAGE:
        raise InvalidRequest(f"page_size must be from 1 to {LARGEST_PAGE}, and is {page_size}")
    return pb.ListOperationOptions(
        max_result_size=page_size if limit is None else max(1, min(page_size, limit)),
        order_by_field=_Field(field=_ORDERS[order_by], is_asc=not descending),
        filter_query=where or None,
    )


def both(first: str, second: str | None) -> str:
    """The filter of what matches ``first`` and, if given, ``second``."""
    return f"{first} AND ({second})" if second else first


def pages(
    ask: Ask,
    request: Any,  # One of the list requests, which share only the shape of their options.
    response_class: type[R],
) -> Iterator[R]:
    """The answers to ``request`` and, each when it is asked for, to its continuations."""
    while True:
        answer: Any = ask(request, response_class)
        yield answer
        if not answer.next_page_token:
            return
        request.options.next_page_token = answer.next_page_token
