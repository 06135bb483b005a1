"""Pages: from the options of a listing request to a position, and to the token of the next page."""

import base64
import binascii
import hashlib
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from headwater.errors import InvalidRequest
from headwater.filters import compile_filter
from headwater.storage.kinds import NodeKind
from headwater.storage.listing import EVERYTHING, Filter, Order, Position, Scope, all_ids, list_page
from headwater.storage.nodes import joined, load_nodes
from headwater.storage.transactions import Transaction
from headwater.storage.values import checked_text
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc
from headwater.v1.page_token_pb2 import PageToken

LARGEST_PAGE = 100
# Ties that a token names for the sake of a client that goes on with ML Metadata's own server.
_MOST_TIES_NAMED = 1_000

_Field = pb.ListOperationOptions.OrderByField
_COLUMNS = {
    _Field.ID: "id",
    _Field.CREATE_TIME: "create_time_since_epoch",
    _Field.LAST_UPDATE_TIME: "last_update_time_since_epoch",
}


@dataclass(frozen=True)
class _Listing:
    """The options of a request, understood."""

    limit: int
    order: Order
    where: Filter | None
    after: Position | None
    ties: tuple[int, ...]
    """Ids at the position's time that were listed before, the last first."""


def list_nodes(
    tx: Transaction,
    kind: NodeKind,
    options: pb.ListOperationOptions | None,
    *,
    scope: Scope = EVERYTHING,
    has_empty_token: bool = False,
) -> bytes:
    """The response of a listing call: a page, or without ``options`` every node of ``scope``.

    With ``has_empty_token`` the last page has a token too, the empty one; otherwise it has none. As in
    MLMD, the options of a listing of a type or context that has no nodes are not looked at.

    Raises:
        InvalidRequest: the page size, the order, the filter or the token is wrong.
    """
    if options is None:
        ids = all_ids(tx, kind, scope)
        return joined(load_nodes(tx, kind, ids), ids)
    try:
        listing = _understood(kind, options, scope)
    except InvalidRequest:
        if scope is not EVERYTHING and _is_empty(tx, kind, scope):
            return b""
        raise
    rows = list_page(
        tx,
        kind,
        limit=listing.limit + 1,
        scope=scope,
        order=listing.order,
        after=listing.after,
        where=listing.where,
    )
    page = rows[: listing.limit]
    token: str | None = None
    if len(rows) > len(page):
        token = _token(kind, options, scope, listing, page)
    elif has_empty_token and (page or not _is_empty(tx, kind, scope)):
        token = ""
    ids = [position.node_id for position in page]
    return joined(load_nodes(tx, kind, ids), ids) + _as_field_2(token)


def _is_empty(tx: Transaction, kind: NodeKind, scope: Scope) -> bool:
    return not list_page(tx, kind, limit=1, scope=scope)


def _understood(kind: NodeKind, options: pb.ListOperationOptions, scope: Scope) -> _Listing:
    if options.max_result_size <= 0:
        raise InvalidRequest(f"max_result_size must be 1 or more, not {options.max_result_size}")
    field = options.order_by_field.field
    if field not in _COLUMNS:
        raise InvalidRequest("order_by_field must be ID, CREATE_TIME or LAST_UPDATE_TIME")
    order = Order(_COLUMNS[field], options.order_by_field.is_asc)
    where = (
        compile_filter(checked_text(options.filter_query, "filter_query"), kind)
        if options.filter_query
        else None
    )
    after: Position | None = None
    ties: tuple[int, ...] = ()
    if options.next_page_token:
        after, ties = _position(kind, options, scope)
    return _Listing(min(options.max_result_size, LARGEST_PAGE), order, where, after, ties)


# Tokens


def _as_field_2(token: str | None) -> bytes:
    """The token's place in every response of a listing call."""
    return rpc.GetArtifactsResponse(next_page_token=token).SerializeToString()


def _token(
    kind: NodeKind, options: pb.ListOperationOptions, scope: Scope, listing: _Listing, page: list[Position]
) -> str:
    last = page[-1]
    token = PageToken(id_offset=last.node_id, field_offset=last.value, listing=_digest(kind, options, scope))
    token.set_options.max_result_size = options.max_result_size
    if options.HasField("order_by_field"):
        token.set_options.order_by_field.CopyFrom(options.order_by_field)
    if options.order_by_field.field == _Field.LAST_UPDATE_TIME:
        ties = [position.node_id for position in reversed(page) if position.value == last.value]
        if listing.after is not None and listing.after.value == last.value:
            ties += listing.ties
        token.listed_ids.extend(ties[:_MOST_TIES_NAMED])
    return base64.urlsafe_b64encode(token.SerializeToString()).decode("ascii").rstrip("=")


def _position(
    kind: NodeKind, options: pb.ListOperationOptions, scope: Scope
) -> tuple[Position, tuple[int, ...]]:
    """Where the page of a token begins, from a token of ours or of MLMD."""
    token = _parsed(options.next_page_token)
    if token.HasField("listing"):
        if token.listing != _digest(kind, options, scope):
            raise InvalidRequest(
                "next_page_token belongs to another listing: the call, its type or context and the filter "
                "must stay the same from page to page; start again without a token"
            )
    elif token.set_options.filter_query != options.filter_query:
        raise InvalidRequest("next_page_token belongs to another filter_query; start again without a token")
    given, was = options.order_by_field, token.set_options.order_by_field
    if (given.field, given.is_asc) != (was.field, was.is_asc):
        raise InvalidRequest("next_page_token belongs to another order; start again without a token")
    if given.field == _Field.LAST_UPDATE_TIME:
        if not token.listed_ids:
            raise InvalidRequest("next_page_token is damaged: it names no rows; start again without a token")
        return Position(token.field_offset, token.listed_ids[0]), tuple(token.listed_ids)
    return Position(token.field_offset, token.id_offset), ()


def _parsed(text: str) -> PageToken:
    try:
        raw = checked_text(text, "next_page_token").encode("ascii")
        content = base64.b64decode(raw + b"=" * (-len(raw) % 4), altchars=b"-_", validate=True)
        return PageToken.FromString(content)
    except (UnicodeEncodeError, binascii.Error, ValueError, DecodeError) as error:
        raise InvalidRequest(
            "next_page_token is not one that this service gave; start again without a token"
        ) from error


def _digest(kind: NodeKind, options: pb.ListOperationOptions, scope: Scope) -> bytes:
    text = f"{kind.name}\0{scope.type_id}\0{scope.context_id}\0{options.filter_query}"
    return hashlib.sha256(text.encode()).digest()[:8]
