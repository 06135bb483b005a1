"""One URI for one place, so that the same file is the same artifact however its path was spelled.

What is kept and what is made equal:

* A local path, relative or not, is ``file:///`` and its absolute path. ``..`` is taken out of the text;
  symbolic links are not looked at, because where they point may change. Case is kept.
* A file or web URI is percent-encoded one way: letters, digits and ``-._~!$&'()*+,;=:@/`` stand for
  themselves, all other bytes are ``%`` and two upper-case digits. Elsewhere (``s3``, ``gs``, ``abfs``,
  ``memory``...) the part behind the bucket is a key that the store and its tools take letter by letter,
  so ``%20``, ``//`` and ``..`` stay as they are.
* The scheme is lower case and so is a host; a bucket is not a host. ``s3a`` and ``s3n`` are ``s3``,
  ``gcs`` is ``gs``. The usual port of a scheme and a slash at the end are left out (the slash is part of
  the name on the web and stays there).
* Credentials never get in: no user and password, no parameter of a signed URL or that is named like a
  secret. What is before the ``@`` of Azure's ``abfs://container@account...`` is a name and stays.
"""

import ntpath
import os
import re
from pathlib import Path
from urllib.parse import quote, quote_from_bytes, unquote_to_bytes

from headwater.errors import InvalidRequest

ALIASES = {"s3a": "s3", "s3n": "s3", "gcs": "gs"}

# One letter is the drive of a Windows path.
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]+):(//?)(.*)", re.DOTALL)
_DRIVE = re.compile(r"[A-Za-z]:(?=[\\/])")
_ROOTED_DRIVE = re.compile(r"/[A-Za-z]:(?=/|$)")
_WEB_AUTHORITY = re.compile(r"[^/?#]*")

_PATH_SAFE = "/!$&'()*+,;=:@"
_WEB = ("http", "https")
_WITH_HOST = (*_WEB, "ftp", "ftps", "sftp", "ssh", "smb", "hdfs", "webhdfs", "webdav", "dav")
_AZURE = ("abfs", "abfss", "wasb", "wasbs", "az", "adl")
_PORTS = {"http": "80", "https": "443", "ftp": "21", "ftps": "990", "sftp": "22", "ssh": "22", "smb": "445"}

_SECRET = (
    r"x-amz-[\w-]*|x-goog-[\w-]*|x-oss-[\w-]*|sig|signature|(?:[\w-]*[-_])?(?:token|secret|password|passwd)"
    r"|pwd|jwt|auth|authorization|credentials?|api[-_]?key|key-pair-id|googleaccessid|client[-_]secret"
    r"|[\w-]*access[-_]?key(?:[-_]?id)?|accesstoken|sessiontoken"
)
_SECRET_NAME = re.compile(_SECRET, re.IGNORECASE)
_SECRET_IN_TEXT = re.compile(rf"(?<![\w-])({_SECRET})=[^&#\s'\"]*", re.IGNORECASE)
# A name alone is a credential on the web, and Azure's container elsewhere.
_USER_IN_TEXT = re.compile(r"(https?://)[^/@\s]+@|(://)[^/@\s]+:[^/@\s]*@", re.IGNORECASE)
# Parts of a signed URL that mean nothing by themselves; dropped with its signature.
_BESIDE_A_SIGNATURE = re.compile(r"expires|policy|s[epvrts]|sip|srt|sk(?:oid|tid|t|e|s|v)|saoid|suoid|scid")


def canonical_uri(path_or_uri: str | os.PathLike[str]) -> str:
    """The one URI of the place that ``path_or_uri`` names; a canonical URI is its own.

    A path object is a local path. A text is a URI if it begins with a scheme of two letters or more and
    ``:/``, or with ``file:``; otherwise it is a local path, in which ``~`` is the home directory and a
    relative one begins at the working directory of the process. Nothing is looked up.

    Raises:
        InvalidRequest: it is empty, holds a NUL or a lone surrogate, or names a file within another one
            ("zip://a.csv::s3://...").
    """
    text = path_or_uri if isinstance(path_or_uri, str) else os.fsdecode(os.fspath(path_or_uri))
    if not text or "\0" in text:
        raise InvalidRequest(f"{text!r} is not a path or a URI; pass one that is not empty and without NUL")
    if not isinstance(path_or_uri, str) or _DRIVE.match(text):
        return _of_local(os.path.expanduser(text))  # noqa: PTH111  # the text may be of another platform
    if text[:5].lower() == "file:":
        return _of_file_uri(text[5:])
    found = _SCHEME.fullmatch(text)
    if "::" in text and (found or "://" in text):
        raise InvalidRequest(
            f"{without_secrets(text)!r} names a file within another one ('::'); record the outer file"
        )
    if not found:
        return _of_local(os.path.expanduser(text))  # noqa: PTH111
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidRequest(f"URI {without_secrets(text)!r} holds a lone surrogate; pass Unicode") from None
    scheme = found[1].lower()
    scheme = ALIASES.get(scheme, scheme)
    rest = found[3] if found[2] == "//" else f"/{found[3]}"
    return _of_web(scheme, rest) if scheme in _WEB else _of_store(scheme, rest)


def local_path(uri: str | os.PathLike[str]) -> Path | None:
    """Where ``uri`` is on this machine; ``None`` if it is elsewhere. A path counts as its own URI.

    Raises:
        InvalidRequest: as ``canonical_uri``.
    """
    canonical = canonical_uri(uri)
    if not canonical.startswith("file://"):
        return None
    host, _, quoted = canonical.removeprefix("file://").partition("/")
    path = os.fsdecode(unquote_to_bytes(f"/{quoted}"))
    on_drive = _ROOTED_DRIVE.match(f"/{quoted}")
    if os.name != "nt":
        return None if host or on_drive else Path(path)
    if host:
        return Path(f"//{host}{path}")
    # "C:" alone would be where that drive was last looked at.
    return Path(f"{path[1:]}/" if on_drive else path)


def scheme_of(canonical: str) -> str:
    """The scheme of a canonical URI."""
    return canonical.partition(":")[0]


def without_secrets(text: str) -> str:
    """``text`` for people's eyes: what looks like a password or a signature in it is left out."""
    return _SECRET_IN_TEXT.sub(r"\1=...", _USER_IN_TEXT.sub(r"\1\2", text))


def quoted_path(relative: str | bytes) -> str:
    """A path as it stands in a file URI: ASCII, so that it sorts alike everywhere."""
    return quote_from_bytes(os.fsencode(relative), safe=_PATH_SAFE)


def _of_file_uri(rest: str) -> str:
    host = ""
    if rest.startswith("//"):
        host, slash, path = rest[2:].partition("/")
        rest = slash + path
        host = host.rpartition("@")[2].lower()
        if re.fullmatch(r"[a-z]:", host):
            # file://C:/data, as Windows programs often write it.
            host, rest = "", f"/{host}{rest}"
        elif host == "localhost":
            host = ""
        rest = rest or "/"
    # Before decoding: a directory of POSIX that is called 'c:' has its colon encoded.
    on_drive = not host and _ROOTED_DRIVE.match(rest)
    path = os.fsdecode(unquote_to_bytes(rest))
    if not path or "\0" in path:
        raise InvalidRequest(f"'file:{rest}' is not the URI of a file; pass one with a path and without NUL")
    return _of_local(path[1:] if on_drive else path, host)


def _of_local(path: str, host: str = "") -> str:
    if host:
        path = "/" + os.path.normpath(f"/{path}").replace(os.sep, "/").lstrip("/")
        quoted = quoted_path(path)
    elif os.name == "nt" or _DRIVE.match(path) or re.fullmatch(r"[A-Za-z]:", path):
        full = os.path.abspath(path) if os.name == "nt" else ntpath.normpath(path)  # noqa: PTH100
        full = re.sub(r"^\\\\[?.]\\(UNC\\)?", lambda start: r"\\" if start[1] else "", full)
        drive, tail = ntpath.splitdrive(full)
        tail = tail.replace("\\", "/")
        if drive.startswith("\\\\"):
            host, _, share = drive[2:].partition("\\")
            host, path = host.lower(), f"/{share}{tail}"
        else:
            path = f"/{drive.upper()}{tail}"
        quoted = quoted_path(path)
    else:
        # POSIX leaves two slashes at the start as they are; here they mean the same as one.
        try:
            path = "/" + os.path.abspath(path).lstrip("/")  # noqa: PTH100  # Path keeps '..'
        except FileNotFoundError:
            raise InvalidRequest(
                f"{path!r} is relative to a working directory that is gone; pass an absolute path"
            ) from None
        quoted = quoted_path(path)
        if _ROOTED_DRIVE.match(quoted):
            quoted = quoted.replace(":", "%3A", 1)
    return f"file://{host}{quoted.rstrip('/') or '/'}"


def _of_web(scheme: str, rest: str) -> str:
    found = _WEB_AUTHORITY.match(rest)
    authority = found[0] if found else ""
    path, _, query = rest[len(authority) :].partition("#")[0].partition("?")
    path = _without_dots(_percent(path))
    query = _percent(_without_secret_parameters(query))
    return f"{scheme}://{_host(scheme, authority)}{'' if path == '/' else path}{'?' if query else ''}{query}"


def _of_store(scheme: str, rest: str) -> str:
    if scheme == "memory":
        return f"memory://{rest.strip('/')}"
    authority, slash, key = rest.rstrip("/").partition("/")
    key, mark, query = key.partition("?")
    public = _without_secret_parameters(query)
    if public != "&".join(filter(None, query.split("&"))):
        mark, query = mark if public else "", public
    container, at, host = authority.rpartition("@")
    if scheme in _AZURE:
        authority = f"{container.partition(':')[0]}{at}{host.lower() if at else host}"
    elif scheme in _WITH_HOST:
        authority = _host(scheme, authority)
    else:
        authority = host
    return f"{scheme}://{authority}{(slash + key + mark + query).rstrip('/')}"


def _host(scheme: str, authority: str) -> str:
    host = authority.rpartition("@")[2].lower()
    return host.removesuffix(f":{_PORTS.get(scheme, '')}")


def _without_secret_parameters(query: str) -> str:
    pairs = [pair for pair in query.split("&") if pair]
    names = [pair.partition("=")[0].lower() for pair in pairs]
    signed = any(name in ("sig", "signature") or name.startswith(("x-amz-", "x-goog-")) for name in names)
    return "&".join(
        pair
        for pair, name in zip(pairs, names, strict=True)
        if not _SECRET_NAME.fullmatch(name) and not (signed and _BESIDE_A_SIGNATURE.fullmatch(name))
    )


def _percent(text: str) -> str:
    def one_way(found: re.Match[str]) -> str:
        character = chr(int(found[1], 16))
        unreserved = character.isascii() and (character.isalnum() or character in "-._~")
        return character if unreserved else found[0].upper()

    text = re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", text)
    return quote(re.sub(r"%([0-9A-Fa-f]{2})", one_way, text), safe=f"{_PATH_SAFE}?%[]")


def _without_dots(path: str) -> str:
    kept: list[str] = []
    segments = path.split("/")
    for segment in segments:
        if segment == ".." and len(kept) > 1:
            kept.pop()
        if segment not in (".", ".."):
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/".join(kept)
