"""What is at a URI: its canonical name, the digest of its content, and whether it is still what it was.

>>> from headwater.client.content import digest_of_bytes
>>> digest_of_bytes(b"").digest
'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'

Files and directories of this machine are read here; ``s3``, ``gs`` and the others through fsspec.
"""

from headwater.client.content.algorithms import Content
from headwater.client.content.checking import ALLOWED_SCHEMES, Expected, Problem, check_all, problem_with
from headwater.client.content.digests import digest_of, digest_of_bytes
from headwater.client.content.memo import Memo
from headwater.client.content.uris import canonical_uri, local_path

__all__ = [
    "ALLOWED_SCHEMES",
    "Content",
    "Expected",
    "Memo",
    "Problem",
    "canonical_uri",
    "check_all",
    "digest_of",
    "digest_of_bytes",
    "local_path",
    "problem_with",
]
