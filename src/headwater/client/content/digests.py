"""The digest of what is at a path or URI, here or in another store."""

import os
from collections.abc import Mapping
from typing import Any

from headwater.client.content import local, remote
from headwater.client.content.algorithms import DEFAULT, Content, digest_text, hasher
from headwater.client.content.memo import Memo
from headwater.client.content.uris import canonical_uri, local_path
from headwater.errors import FailedPrecondition


def digest_of(
    uri: str | os.PathLike[str],
    *,
    algorithm: str = DEFAULT,
    memo: Memo | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> Content:
    """Digest and size of the file or directory at ``uri``.

    ``algorithm`` is "sha256", "blake2b-256", or with their packages "blake3" and "xxh3_128". ``memo``
    remembers local files. ``storage_options`` go to fsspec for all that is not local.

    Memory is bounded whatever the size. The digest of a directory covers the relative path, size and
    digest of each file in it (``algorithms.tree_digest``), and is the same here and in an object store.
    Empty directories in it do not count; symbolic links are followed.

    Raises:
        NotFound: nothing is there.
        PermissionDenied: it is closed to this process or these credentials.
        Unavailable: reading failed, or the store did not answer.
        FailedPrecondition: the package that reads this scheme is not installed, or the file is on
            another host.
        InvalidRequest: not a path or URI, an unknown algorithm or scheme, or no file at all (a device,
            a FIFO, a socket).
        Aborted: it was written to while it was read, several times in a row.
    """
    hasher(algorithm)
    path = local_path(uri)
    if path is not None:
        return local.content_of(path, algorithm=algorithm, memo=memo)
    name = canonical_uri(uri)
    if name.startswith("file:"):
        raise FailedPrecondition(f"{name} is a file of another host; mount it and name it by its local path")
    return remote.content_of(os.fspath(uri), algorithm=algorithm, storage_options=storage_options)


def digest_of_bytes(data: bytes | bytearray | memoryview, *, algorithm: str = DEFAULT) -> Content:
    """The content that a file with these bytes has."""
    view = memoryview(data)
    digest = hasher(algorithm)
    digest.update(view)
    return Content(digest_text(algorithm, digest.hexdigest()), view.nbytes, False, None)
