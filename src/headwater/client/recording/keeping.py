"""Values that are not files: in the record itself if they are plain, pickled if the author asks for it.

Plain is what JSON gives back exactly: ``None``, truth values, ints, floats, text, and lists and mappings
of such, up to 32 KiB. A tuple is not plain, because JSON would make a list of it.
"""

import contextlib
import hashlib
import json
import os
import pickle
import re
import uuid
from pathlib import Path
from typing import Any

from google.protobuf import wrappers_pb2

from headwater.client.values import to_value
from headwater.errors import InvalidRequest
from headwater.v1 import metadata_store_pb2 as pb

VALUE = "value"
"""Custom property of an output: the JSON text of a plain value."""
FORMAT = "format"
PICKLE = "pickle"
PYTHON_CLASS = "python_class"
RETURNED = "returned"
"""Custom property of an output that a function returned: where in the result it stood."""

MAX_PLAIN_BYTES = 32 * 1024
_MAX_DEPTH = 50
# PostgreSQL refuses to index more than 2.7 kB, and a character has up to 4 bytes.
_LONGEST_INDEXED = 500
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def plain_text(value: object) -> str | None:
    """The JSON text of a plain value; ``None`` if it is not plain."""
    if not _is_plain(value, 0):
        return None
    try:
        text = json.dumps(value, ensure_ascii=True)
    except (TypeError, ValueError):
        return None
    return text if len(text) <= MAX_PLAIN_BYTES else None


def plain_value(text: object) -> Any:
    """The value of a text of ``plain_text``."""
    return json.loads(str(text))


def _is_plain(value: object, depth: int) -> bool:
    kind = type(value)
    if kind is str:
        return len(value) <= MAX_PLAIN_BYTES  # type: ignore[arg-type]  # it is a str
    if value is None or kind in (bool, int, float):
        return True
    if depth >= _MAX_DEPTH:
        return False
    if kind is list:
        return len(value) <= MAX_PLAIN_BYTES and all(_is_plain(item, depth + 1) for item in value)  # type: ignore[arg-type, attr-defined]  # it is a list
    if kind is dict:
        return all(type(key) is str and _is_plain(item, depth + 1) for key, item in value.items())  # type: ignore[attr-defined]  # it is a dict
    return False


def class_name(value: object) -> str:
    """The class of an object, as it is recorded."""
    return f"{type(value).__module__}.{type(value).__qualname__}"


def write_pickle(value: object, directory: Path, *parts: str) -> Path:
    """Pickle an object to a file of its own below ``directory``; where it is.

    Raises:
        InvalidRequest: it cannot be pickled.
    """
    path = directory.joinpath(*(_UNSAFE.sub("_", part).strip(".") or "_" for part in parts))
    name = path.name
    if name != parts[-1].lower():
        # "a/b" and "a b" look alike by now, and so do "A" and "a" on some systems.
        digits = hashlib.sha256(parts[-1].encode(errors="surrogatepass")).hexdigest()[:8]
        name = f"{name}-{digits}"
    path = path.with_name(f"{name}.pickle")
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        with beside.open("wb") as file:
            pickle.dump(value, file, protocol=4)
        beside.replace(path)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise InvalidRequest(
            f"output {parts[-1]!r} is a {class_name(value)}, which cannot be pickled ({error}); "
            "return a file instead, or leave persist out"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            beside.unlink()
    return path


def read_pickle(path: Path) -> Any:
    """The object in a file of ``write_pickle``. Only for files whose digest was checked, in our directory."""
    with path.open("rb") as file:
        return pickle.load(file)


def is_beneath(path: Path, directory: Path) -> bool:
    """Whether a file lies in ``directory``, symbolic links followed."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(directory))


def property_value(name: str, value: object) -> pb.Value:
    """A custom property; what is plain but no property, such as a list, as its JSON text.

    A long text is packed into a message, because databases refuse an index on long texts.

    Raises:
        InvalidRequest: it is neither.
    """
    if isinstance(value, str) and len(value) > _LONGEST_INDEXED:
        packed = pb.Value()
        packed.proto_value.Pack(wrappers_pb2.StringValue(value=value))
        return packed
    try:
        return to_value(os.fspath(value) if isinstance(value, os.PathLike) else value)
    except InvalidRequest as error:
        text = plain_text(value)
        if text is None:
            raise InvalidRequest(f"property {name!r}: {error}") from error
        return property_value(name, text)
