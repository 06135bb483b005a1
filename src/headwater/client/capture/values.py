"""Values as texts: constants, closures, defaults, the state of objects.

Plain values have the canonical form that parameters have. Functions, classes and modules within them are
somebody else's to describe. Objects without a form count by their class and their pickle, or by the statement
that makes them where there is one; of what has neither it is said that its content is not known.
"""

import contextvars
import enum
import functools
import hashlib
import io
import logging
import os
import pickle
import re
import secrets
import threading
import types
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePath
from typing import Any, Protocol

from headwater.client.capture.parts import Parts, quoted, tagged
from headwater.client.capture.project import Project, is_ours
from headwater.errors import InvalidRequest
from headwater.fingerprint import canonical

#: Where values have more items than this, all in all, the next container counts by the digest of its pickle.
MAX_ITEMS = 100_000
#: An object whose pickle has more bytes is not looked at.
MAX_PICKLE_BYTES = 64 * 1024 * 1024
_MAX_DEPTH = 50
_MAX_HELD_DEPTH = 4

_SCALARS = (type(None), bool, int, float, complex, bytes)
BUILTIN_CALLABLES = (
    types.BuiltinFunctionType,
    types.MethodWrapperType,
    types.WrapperDescriptorType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
)
# What they hold is the process's own, and nothing that a step computes with.
_WITHOUT_CONTENT = (
    logging.Logger,
    contextvars.ContextVar,
    threading.local,
    type(threading.Lock()),
    type(threading.RLock()),
)
_WRITTEN_AS_THEY_ARE = frozenset([*_SCALARS, str, list, tuple, dict])


class Definitions(Protocol):
    """Describes what has a definition."""

    def function(self, function: types.FunctionType) -> str: ...

    def class_(self, cls: type) -> str: ...

    def module(self, module: types.ModuleType) -> str: ...


class ValueReader:
    """Describes values. Equal texts mean that code does the same with them."""

    def __init__(self, definitions: Definitions, project: Project, parts: Parts) -> None:
        self.place = "the function"
        """Where the values are, in the words of somebody who has to find them."""
        self._definitions = definitions
        self._project = project
        self._parts = parts
        self._has_statement = False
        self._within: set[int] = set()
        self._items = 0

    def describe(self, value: Any, depth: int = 0) -> str:
        """The text of any object."""
        if isinstance(value, str) and type(value) is str:
            return quoted(self._project.portable(value))
        if isinstance(value, _SCALARS) and type(value) in _SCALARS:
            return _canonical(value)
        if isinstance(value, types.FunctionType):
            return self._definitions.function(value)
        if isinstance(value, type):
            return self._definitions.class_(value)
        if isinstance(value, types.ModuleType):
            return self._definitions.module(value)
        if depth > _MAX_DEPTH or id(value) in self._within:
            return tagged("again", quoted(name_of(type(value))))
        self._within.add(id(value))
        try:
            return self._compound(value, depth + 1)
        finally:
            self._within.discard(id(value))

    def describe_made(self, value: Any) -> str:
        """As ``describe``, of what is made by a statement that counts where the value has no form."""
        self._has_statement = True
        try:
            return self.describe(value)
        finally:
            self._has_statement = False

    def _compound(self, value: Any, depth: int) -> str:
        if isinstance(value, types.MethodType):
            return tagged("method", self._list([value.__func__, value.__self__], depth))
        if isinstance(value, functools.partial):
            return tagged("partial", self._list([value.func, value.args, value.keywords], depth))
        if isinstance(value, functools.partialmethod):
            return tagged("partial", self._list([value.func, value.args, value.keywords], depth))
        if isinstance(value, staticmethod | classmethod):
            return tagged(type(value).__name__, self.describe(value.__func__, depth))
        if isinstance(value, property):
            return tagged("property", self._list([value.fget, value.fset, value.fdel], depth))
        if isinstance(value, BUILTIN_CALLABLES):
            return self._builtin(value, depth)
        if self._project.has_class(type(value)):
            return tagged(
                "instance", f"[{self._definitions.class_(type(value))},{self._state(value, depth)}]"
            )
        kind = type(value)
        if kind in (list, tuple, set, frozenset, dict):
            if self._items + len(value) > MAX_ITEMS:
                return self._large(value)
            self._items += len(value)
            if kind in (list, tuple):
                return self._list(value, depth)
            return self._mapping(value, depth) if kind is dict else self._set(value, depth)
        if isinstance(value, PurePath):
            return tagged("path", quoted(self._project.portable(os.fspath(value))))
        if isinstance(value, re.Pattern):
            return tagged("pattern", self._list([value.pattern, value.flags], depth))
        if isinstance(value, slice):
            return tagged("slice", self._list([value.start, value.stop, value.step], depth))
        return self._foreign(value, depth)

    def _list(self, values: Iterable[Any], depth: int) -> str:
        return f"[{','.join(self.describe(value, depth) for value in values)}]"

    def _set(self, values: Iterable[Any], depth: int) -> str:
        # In an order that does not depend on hashes, because parts are numbered as they are met.
        ordered = sorted(values, key=_place)
        return tagged("set", f"[{','.join(sorted(self.describe(value, depth) for value in ordered))}]")

    def _mapping(self, values: Mapping[Any, Any], depth: int) -> str:
        ordered = sorted(values.items(), key=lambda item: _place(item[0]))
        pairs = [f"[{self.describe(key, depth)},{self.describe(value, depth)}]" for key, value in ordered]
        return tagged("map", f"[{','.join(pairs)}]")

    def _foreign(self, value: Any, depth: int) -> str:
        """An object of an installed class."""
        size = getattr(value, "size", 0)
        if isinstance(size, int) and size > MAX_ITEMS and type(value).__name__ == "ndarray":
            return self._large(value) if value.dtype.hasobject else _large_array(value)
        if not callable(value):
            try:
                return canonical(value, what="value")
            except InvalidRequest:
                pass
        wrapped = getattr(value, "__wrapped__", None)
        held = [self.describe(wrapped, depth)] if callable(wrapped) else []
        if is_ours(type(value).__module__):
            stands = getattr(type(value), "text_in_code", None)
            if isinstance(stands, property):
                # An output of another step. One that nothing tells apart from others is no one else's equal.
                held.append(quoted(value.text_in_code or secrets.token_hex(16)))
            return tagged("ours", f"[{','.join(held)}]")
        # A wrapper or a container made by a library: what it holds of the project counts. An object that is
        # not called (an application, a graph of tasks) may hold all the project further inside.
        held += self.held([value] if isinstance(value, Mapping | list | tuple) else [], depth)
        attributes = getattr(value, "__dict__", {}).values()
        held += self.held(attributes, depth if callable(value) else _MAX_HELD_DEPTH)
        held = list(dict.fromkeys(held))
        if not callable(value) or callable(wrapped):
            # A wrapper has the name of what it wraps.
            text = quoted(name_of(type(value)))
            if not callable(value):
                held += _plain_state(value)
            if callable(wrapped):
                return tagged("external", f"[{','.join([text, *held])}]")
            return self._opaque(value, [text, *held], depth)
        name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
        named = f"{getattr(value, '__module__', None) or type(value).__module__}.{name}"
        text = quoted(named if isinstance(name, str) else name_of(type(value)))
        if not isinstance(name, str) and not held:
            return self._opaque(value, [text], depth)
        return tagged("external", f"[{','.join([text, *held])}]")

    def _opaque(self, value: Any, known: list[str], depth: int) -> str:
        """An object without a form: by the statement that makes it, or by its pickle."""
        if self._has_statement or _is_without_content(value):
            return tagged("opaque", f"[{','.join(known)}]")
        try:
            try:
                digest = self._pickled(value, depth, fast=True)
            except Exception:  # It holds itself, or one thing many times.
                digest = self._pickled(value, depth, fast=False)
        except _TooLarge:
            digest = self._unknown(value, f"has more than {MAX_PICKLE_BYTES >> 20} MiB")
        except Exception as error:  # User code is behind every object that is pickled.
            digest = self._unknown(value, f"cannot be pickled ({type(error).__name__}: {error})"[:300])
        return tagged("pickled", f"[{','.join([*known, quoted(digest)])}]")

    def _pickled(self, value: Any, depth: int, *, fast: bool) -> str:
        file = _Digesting(at_most=MAX_PICKLE_BYTES)
        pickler = _ContentPickler(file, value, lambda part: self._text_in_pickle(part, depth))
        pickler.fast = fast
        pickler.dump(value)
        return file.digest.hexdigest()

    def _text_in_pickle(self, value: Any, depth: int) -> Any:
        """What stands for a part of an object that is pickled; ``None`` for its own pickle."""
        if isinstance(value, set | frozenset):
            # In an order that does not depend on hashes.
            return [name_of(type(value)), sorted(value, key=_place)]
        if _is_without_content(value):
            return name_of(type(value))
        code = (types.FunctionType, types.MethodType, types.ModuleType, type, functools.partial)
        if isinstance(value, code) or self._project.has_class(type(value)):
            return self.describe(value, depth)
        if type(value).__name__ == "ndarray" and getattr(value, "nbytes", 0) > MAX_PICKLE_BYTES:
            raise _TooLarge  # Before it is copied.
        return None

    def _large(self, value: Any) -> str:
        """A value that is too large to be looked at item by item: its pickle, or what no other value has."""
        file = _Digesting()
        try:
            pickler = pickle.Pickler(file, protocol=4)
            # Equal items are written alike then, whether they are one object or two.
            pickler.fast = True
            pickler.dump(sorted(value, key=_place) if isinstance(value, set | frozenset) else value)
        except Exception as error:  # As above.
            token = self._unknown(value, f"cannot be pickled ({type(error).__name__}: {error})"[:300])
            return tagged("large", f"[{quoted(name_of(type(value)))},{quoted(token)}]")
        return tagged("pickled", f"[{quoted(name_of(type(value)))},{quoted(file.digest.hexdigest())}]")

    def _unknown(self, value: object, why: str) -> str:
        """What no other value has; and it is said that this one is not known."""
        self._parts.doubts.append(
            f"{self.place} holds an object of type {name_of(type(value))!r}, which {why}, so nobody knows "
            "whether it changed"
        )
        return secrets.token_hex(16)

    def held(self, values: Iterable[Any], depth: int = 1) -> list[str]:
        """The texts of functions and classes of the project among ``values`` and their items."""
        found = []
        for value in values:
            if isinstance(value, types.FunctionType | types.MethodType | functools.partial):
                found.append(self.describe(value, depth))
            elif isinstance(value, type):
                if self._project.has_class(value):
                    found.append(self._definitions.class_(value))
            elif isinstance(value, Mapping | list | tuple) and depth < _MAX_HELD_DEPTH:
                self._items += len(value)
                if self._items <= MAX_ITEMS:
                    items = value.values() if isinstance(value, Mapping) else value
                    found += self.held(items, depth + 1)
            elif callable(value) and (self._project.has_class(type(value)) or hasattr(value, "__wrapped__")):
                found.append(self.describe(value, depth))
        return found

    def _builtin(self, value: Any, depth: int) -> str:
        owner = getattr(value, "__self__", None)
        name = name_of(value)
        if owner is None or isinstance(owner, types.ModuleType):
            return tagged("external", f"[{quoted(name)}]")
        return tagged("external", f"[{quoted(name)},{self.describe(owner, depth)}]")

    def _state(self, value: Any, depth: int) -> str:
        if isinstance(value, enum.Enum):
            return self.describe(value.value, depth)
        state: dict[str, Any] = dict(getattr(value, "__dict__", {}))
        for cls in type(value).__mro__:
            slots = vars(cls).get("__slots__", ())
            for name in [slots] if isinstance(slots, str) else slots:
                if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                    state[name] = getattr(value, name)
        text = self._mapping(state, depth)
        if isinstance(value, dict):
            return f"[{text},{self._mapping(value, depth)}]"
        if isinstance(value, list | tuple):
            return f"[{text},{self._list(value, depth)}]"
        if isinstance(value, set | frozenset):
            return f"[{text},{self._set(value, depth)}]"
        if isinstance(value, str | int | float):
            plain = next(kind(value) for kind in (str, int, float) if isinstance(value, kind))
            return f"[{text},{self.describe(plain, depth)}]"
        return text


def _plain_state(value: object) -> list[str]:
    """The attributes of an object that is nothing but its attributes: options of a command line, say."""
    state = getattr(value, "__dict__", None)
    if not state:
        return []
    try:
        return [canonical(dict(state), what="value")]
    except InvalidRequest:
        return []


def is_incomplete(text: str) -> bool:
    """Whether a description lacks something, so that the statement behind the value has to count as well."""
    return any(mark in text for mark in ('{"$opaque"', '{"$large"', '{"$again"'))


def _is_without_content(value: object) -> bool:
    if isinstance(value, io.TextIOBase):
        return getattr(value, "name", None) in ("<stdin>", "<stdout>", "<stderr>")
    return isinstance(value, _WITHOUT_CONTENT)


def _canonical(value: object) -> str:
    return canonical(value, what="value")


def name_of(value: Any) -> str:
    """The full name of a class or a function, or of an object's class."""
    module = getattr(value, "__module__", None) or getattr(value, "__objclass__", type(value)).__module__
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    return f"{module}.{name or type(value).__qualname__}".replace("__mp_main__", "__main__")


def _place(value: Any) -> tuple[str, str]:
    """A place among others that does not depend on hashes or addresses."""
    if isinstance(value, types.FunctionType | type):
        return "code", f"{value.__module__}.{value.__qualname__}"
    try:
        return "value", canonical(value, what="value")
    except InvalidRequest:
        return "object", name_of(type(value))


class _TooLarge(Exception):
    """There is more of it than is looked at."""


class _Digesting:
    """A file that only digests what is written to it."""

    def __init__(self, at_most: int | None = None) -> None:
        self.digest = hashlib.sha256()
        self._left = at_most

    def write(self, data: bytes) -> int:
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                raise _TooLarge
        self.digest.update(data)
        return len(data)


class _ContentPickler(pickle.Pickler):
    """Writes what an object holds, and not how it lies in memory. Nothing reads it again."""

    def __init__(self, file: _Digesting, whole: object, text_of: Callable[[Any], Any]) -> None:
        super().__init__(file, protocol=4)
        self._whole = whole
        self._text_of = text_of

    def persistent_id(self, obj: Any) -> Any:
        if type(obj) in _WRITTEN_AS_THEY_ARE or obj is self._whole:
            return None
        return self._text_of(obj)


def _large_array(value: Any) -> str:
    digest = hashlib.sha256(value.tobytes()).hexdigest()
    shape = ",".join(map(str, value.shape))
    return tagged("array", f"[{quoted(str(value.dtype))},[{shape}],{quoted(digest)}]")
