"""Which artifacts have some content at some place.

So an input that is given as a place and a digest is joined to the artifact that it is: the newest output
that was left there, or the raw data that was read before.
"""

import hashlib
from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from headwater.storage import schema
from headwater.storage.dialects import InList, Values
from headwater.storage.statements import Insert, Prepared
from headwater.storage.transactions import Question, Transaction

_content = schema.content_table
_INSERT = Insert(_content, "artifact_id", "content")
_NEWEST = Prepared(
    sa.select(_content.c.content, sa.func.max(_content.c.artifact_id))
    .where(InList(_content.c.content, "contents"))
    .group_by(_content.c.content),
    "contents",
)


def content_key(uri: str, digest: str) -> str:
    """What identifies content at a place."""
    return hashlib.sha256(f"{uri}\0{digest}".encode()).hexdigest()


def raw_external_id(key: str) -> str:
    """The external id of the artifact that stands for raw data, of which there is one."""
    return f"raw:{key}"


def newest_artifacts(tx: Transaction, keys: Iterable[str]) -> dict[str, int]:
    """Artifact id by content key; what is new is absent."""
    wanted = sorted(set(keys))
    return dict(tuple(row) for row in tx.rows(*question_of_contents(wanted))) if wanted else {}


def question_of_contents(keys: Iterable[str]) -> Question:
    """What ``newest_artifacts`` asks, for ``ask_ahead``."""
    return _NEWEST, Values(sorted(set(keys)))


def put_contents(tx: Transaction, contents: Sequence[tuple[str, int]]) -> None:
    """Note content keys of new artifacts, given as (key, artifact id)."""
    tx.insert(_INSERT, [(artifact_id, key) for key, artifact_id in contents])
