"""Page tokens of walks: how far a reader has come, and what it was that he reads."""

import base64
import binascii
import hashlib
import struct
from dataclasses import dataclass

from headwater.errors import InvalidRequest
from headwater.graph.events import Bounds
from headwater.v1.lineage_pb2 import WalkRequest

_FORMAT = struct.Struct(">BQQQQBQ8s")
_VERSION = 1


@dataclass(frozen=True)
class Position:
    """The pages that were given, and the bounds that the first of them had."""

    pages: int
    bounds: Bounds
    last_is_artifact: bool
    """Kind of the node that was given last."""
    last_id: int


def token_of(position: Position, request: WalkRequest) -> str:
    """The token for the page behind ``position``. It belongs to this request only."""
    bounds = position.bounds
    content = _FORMAT.pack(
        _VERSION,
        position.pages,
        bounds.event_id,
        bounds.attribution_id,
        bounds.association_id,
        position.last_is_artifact,
        position.last_id,
        _digest(request),
    )
    return base64.urlsafe_b64encode(content).decode("ascii").rstrip("=")


def position_of(request: WalkRequest) -> Position | None:
    """Where the request goes on; ``None``: it begins.

    Raises:
        InvalidRequest: the token is none of ours, or belongs to another request.
    """
    if not request.page_token:
        return None
    try:
        raw = request.page_token.encode("ascii")
        content = base64.b64decode(raw + b"=" * (-len(raw) % 4), altchars=b"-_", validate=True)
        version, pages, event, attribution, association, is_artifact, last_id, digest = _FORMAT.unpack(
            content
        )
    except (UnicodeEncodeError, binascii.Error, ValueError, struct.error) as error:
        raise InvalidRequest(
            "page_token is not one that this service gave; start again without a token"
        ) from error
    if version != _VERSION:
        raise InvalidRequest("page_token is of another release of headwater; start again without a token")
    if digest != _digest(request):
        raise InvalidRequest(
            "page_token belongs to another request: all else must stay the same from page to page; "
            "start again without a token"
        )
    as_of_ms = request.as_of_ms if request.HasField("as_of_ms") else None
    return Position(pages, Bounds(event, attribution, association, as_of_ms), bool(is_artifact), last_id)


def _digest(request: WalkRequest) -> bytes:
    plain = WalkRequest()
    plain.CopyFrom(request)
    plain.ClearField("page_token")
    return hashlib.sha256(plain.SerializeToString(deterministic=True)).digest()[:8]
