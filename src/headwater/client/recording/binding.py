"""The arguments of a call: which are parameters of the step, and which are what it reads.

An ``Output`` or a ``File``, alone or inside lists, tuples, dicts and dataclasses, is an input, and so is one
that ``functools.partial`` bound; so is what the author declared to be one. Inside anything else it is
refused, because there its name alone would count. All else is a parameter. A path object that is not declared
is a parameter too: its name counts, and not what lies there, because it may be where a step is to write.
"""

import copy
import dataclasses
import enum
import functools
import inspect
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from headwater.client.recording.outputs import File, Output
from headwater.client.values import to_value
from headwater.errors import InvalidRequest
from headwater.fingerprint import canonical, component
from headwater.v1 import metadata_store_pb2 as pb

Place = File | Output
_LONGEST_SHOWN = 8 * 1024
_WITHOUT_PARTS = (type(None), bool, int, float, complex, str, bytes, bytearray, memoryview, range)
# Texts that could be taken for an index, for another kind of key, or for the end of one.
_QUOTED_KEY = re.compile(r"|true|false|null|-?\d[\d.e+-]*|.*[\[\]{}\"\\\s].*", re.DOTALL)


@dataclass
class Given:
    """What a step is given."""

    parameters: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, Place] = field(default_factory=dict)
    """By the name of the parameter; several of one parameter as ``name[0]``, ``name[key]``, ``name.field``.

    A key that is not text, or could be taken for something else, stands in its canonical form in braces:
    ``name{1}``, ``name{"1"}``.
    """

    def add_input(self, name: str, place: Place) -> None:
        """Raises InvalidRequest if there is one of this name."""
        if name in self.inputs:
            raise InvalidRequest(f"two inputs are named {name!r}; give one an argument of another name")
        self.inputs[name] = place


def given_of_call(
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    inputs: "Mapping[str, Any] | Sequence[str]" = (),
    params: Mapping[str, Any],
    exclude: frozenset[str],
) -> Given:
    """Parameters and inputs of a call of ``function``, with its defaults.

    ``inputs`` are names of arguments that are inputs, or further inputs by name; ``params`` further
    parameters.

    Raises:
        TypeError: the arguments do not fit, as calling the function would raise.
        InvalidRequest: a name is not that of an argument, or is given twice, or a ``File`` or ``Output`` is
            where it cannot become an input.
    """
    arguments = _arguments(function, args, kwargs)
    further = inputs if isinstance(inputs, Mapping) else {}
    declared = () if isinstance(inputs, Mapping) else ((inputs,) if isinstance(inputs, str) else inputs)
    _check_names("inputs", declared, arguments)
    twice = sorted((arguments.keys() & further.keys()) | (arguments.keys() & params.keys()))
    if twice:
        raise InvalidRequest(f"{twice[0]!r} is an argument of the function already; choose another name")
    return _given(arguments, declared=declared, exclude=exclude, further=further, params=params)


def _arguments(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    try:
        signature = inspect.signature(function)
    except ValueError:  # Some functions that are written in C do not tell theirs.
        return {**{str(index): value for index, value in enumerate(args)}, **kwargs}
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    arguments: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        kind = signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            for key, item in value.items():
                # ``def f(a, /, **more)`` can be given another ``a``.
                is_taken = key != name and key in signature.parameters
                arguments[f"{name}[{key}]" if is_taken else key] = item
        elif kind is not inspect.Parameter.VAR_POSITIONAL or value:
            arguments[name] = value
    for name, value in _bound_places(function).items():
        arguments[f"{name}[bound]" if name in arguments else name] = value
    return arguments


def _bound_places(function: Callable[..., Any]) -> dict[str, Any]:
    """What ``functools.partial`` bound by position, as far as it holds a ``File`` or an ``Output``.

    The rest counts as code; what is bound by name is a default in the signature.
    """
    if not isinstance(function, functools.partial):
        return {}
    inner = inspect.signature(function.func)
    given = inner.bind_partial(*function.args).arguments
    found = _bound_places(function.func)
    for name, value in given.items():
        if _has_places(value):
            found[f"{name}[bound]" if name in found else name] = value
    return found


def given_outright(
    inputs: "Mapping[str, Any] | Sequence[str]", params: Mapping[str, Any], exclude: frozenset[str]
) -> Given:
    """Parameters and inputs of a step that is not a call.

    Raises:
        InvalidRequest: inputs without names.
    """
    if not isinstance(inputs, Mapping):
        if inputs:
            raise InvalidRequest(f"inputs must be a mapping of names to places here, and are {inputs!r:.100}")
        inputs = {}
    return _given({}, declared=(), exclude=exclude, further=inputs, params=params)


def _given(
    arguments: Mapping[str, Any],
    *,
    declared: Sequence[str],
    exclude: frozenset[str],
    further: Mapping[str, Any],
    params: Mapping[str, Any],
) -> Given:
    given = Given()
    for name, value in [*arguments.items(), *params.items()]:
        if name in exclude:
            continue
        if name in declared:
            _add_declared(given, name, value)
            continue
        try:
            rest = _without_places(given, name, value)
        except RecursionError:
            raise InvalidRequest(f"argument {name!r} contains itself, or is nested too deeply") from None
        if rest is not _NOTHING_LEFT:
            given.parameters[name] = rest
    for name, value in further.items():
        _add_declared(given, name, value)
    return given


def _check_names(what: str, names: Sequence[str], arguments: Mapping[str, Any]) -> None:
    for name in names:
        if name not in arguments:
            raise InvalidRequest(f"{what} names {name!r}, which the function has no argument for")


def _add_declared(given: Given, name: str, value: object) -> None:
    if value is None:
        given.parameters[name] = None
        return
    if isinstance(value, Place):
        given.add_input(name, value)
    elif isinstance(value, str | os.PathLike):
        given.add_input(name, File(value))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _add_declared(given, f"{name}[{index}]", item)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            _add_declared(given, _name_of_item(name, key), item)
    else:
        raise InvalidRequest(
            f"input {name!r} is of type {type(value).__name__!r}; give a path, a URI, a File, or an output "
            "of a step"
        )


def _name_of_item(name: str, key: object) -> str:
    if type(key) is str and not _QUOTED_KEY.fullmatch(key):
        return f"{name}[{key}]"
    if _has_places(key):
        raise _hidden(name, key)
    return f"{name}{{{canonical(key, what=f'a key of {name!r}')}}}"


_NOTHING_LEFT = object()


def _without_places(given: Given, name: str, value: object) -> object:
    """What is left of a value when the places in it became inputs."""
    if isinstance(value, Place):
        given.add_input(name, value)
        return _NOTHING_LEFT
    if not _has_places(value):
        return value
    if type(value) in (list, tuple):
        items: Iterable[object] = value  # type: ignore[assignment]  # it is a list or a tuple
        left = [_without_places(given, f"{name}[{index}]", item) for index, item in enumerate(items)]
        return _NOTHING_LEFT if _is_nothing(left) else [_marked(item) for item in left]
    if type(value) is dict:
        kept = {key: _without_places(given, _name_of_item(name, key), item) for key, item in value.items()}
        return _NOTHING_LEFT if _is_nothing(kept.values()) else {k: _marked(item) for k, item in kept.items()}
    fields = _fields_of(value)
    if fields is None:
        raise _hidden(name, value)
    rest = {field: _marked(_without_places(given, f"{name}.{field}", item)) for field, item in fields.items()}
    return {f"{type(value).__module__}.{type(value).__qualname__}": rest}


def _hidden(name: str, value: object) -> InvalidRequest:
    return InvalidRequest(
        f"argument {name!r} holds a File or an Output inside a {type(value).__qualname__!r}, where it cannot "
        "become an input; give it as an argument of its own"
    )


def _is_nothing(items: Iterable[object]) -> bool:
    return all(item is _NOTHING_LEFT for item in items)


def _marked(item: object) -> object:
    return "input" if item is _NOTHING_LEFT else item


def _fields_of(value: object) -> dict[str, Any] | None:
    """The fields of a named tuple or a dataclass."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return dict(zip(value._fields, value, strict=True))
    if dataclasses.is_dataclass(value) and not isinstance(value, type | Mapping | Sequence | Set):
        names = [field.name for field in dataclasses.fields(value)]
        return {name: getattr(value, name) for name in names if hasattr(value, name)}
    return None


def _has_places(value: object) -> bool:
    """Whether there is a place anywhere in what has a canonical form."""
    waiting, seen = [value], set()
    while waiting:
        one = waiting.pop()
        if isinstance(one, Place):
            return True
        if type(one) in _WITHOUT_PARTS or id(one) in seen:
            continue
        seen.add(id(one))
        waiting.extend(part for part in _parts(one) if type(part) not in _WITHOUT_PARTS)
    return False


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, (type, *_WITHOUT_PARTS)):
        return ()
    if isinstance(value, enum.Enum):
        return [value.value]
    found: list[Any] = []
    if isinstance(value, Mapping):
        found += [*value.keys(), *value.values()]
    elif isinstance(value, Sequence | Set):
        found += value
    elif getattr(getattr(value, "dtype", None), "hasobject", False) is True:
        found.append(value.tolist())
    kind = type(value)
    if dataclasses.is_dataclass(value):
        found += [getattr(value, field.name, None) for field in dataclasses.fields(value)]
    elif hasattr(kind, "__attrs_attrs__"):
        found += [getattr(value, field.name, None) for field in kind.__attrs_attrs__]
    elif hasattr(kind, "model_fields"):
        found += [*vars(value).values(), *(getattr(value, "model_extra", None) or {}).values()]
    return found


def with_values(value: Any) -> Any:
    """An argument as the function gets it: objects for outputs that are in memory, all else as it is."""
    try:
        return _with_values(value)
    except RecursionError:
        return value


def _with_values(value: Any) -> Any:
    if isinstance(value, Output):
        return value if value.is_file and not value.is_pickled else value.value
    if type(value) in _WITHOUT_PARTS or isinstance(value, File):
        return value
    # Nothing else is looked into: iterating over what is lazy would load it.
    if type(value) in (list, tuple):
        items = [_with_values(item) for item in value]
        is_same = all(item is before for item, before in zip(items, value, strict=True))
        return value if is_same else type(value)(items)
    fields = value if type(value) is dict else _fields_of(value)
    if fields is None:
        return value
    given = {name: _with_values(item) for name, item in fields.items()}
    if all(given[name] is item for name, item in fields.items()):
        return value
    if fields is value:
        return given
    if isinstance(value, tuple):
        return type(value)(*given.values())
    changed = copy.copy(value)
    for name, item in given.items():
        object.__setattr__(changed, name, item)  # It may be frozen.
    return changed


def parameter_components(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Components of the fingerprint.

    Raises:
        InvalidRequest: a parameter has no canonical form; it is named.
    """
    found = {}
    for name, value in parameters.items():
        try:
            text = canonical(value, what=f"parameter {name!r}")
        except InvalidRequest as error:
            raise InvalidRequest(
                f"{error}. What another step returned can be given as it came; exclude={name!r} keeps it out"
            ) from None
        found[f"parameter:{name}"] = component(text)
    return found


def parameter_values(parameters: Mapping[str, Any]) -> dict[str, pb.Value]:
    """Parameters as they are shown and searched for; those without a canonical form by their class."""
    return {name: _shown(value) for name, value in parameters.items()}


def _shown(value: Any) -> pb.Value:
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    try:
        if _can_be_stored(value):
            shown = to_value(value)
            if shown.ByteSize() <= _LONGEST_SHOWN:
                return shown
    except (InvalidRequest, UnicodeError, RecursionError):
        pass
    try:
        text = canonical(value, what="parameter")
    except InvalidRequest:
        return pb.Value(string_value=f"<{type(value).__module__}.{type(value).__qualname__}>")
    return pb.Value(string_value=text if len(text.encode()) <= _LONGEST_SHOWN else component(text))


def _can_be_stored(value: object) -> bool:
    """Whether databases hold it as it is: no NUL in texts, and no number without an end in a struct."""
    if isinstance(value, str):
        return "\0" not in value
    if isinstance(value, float):
        return isfinite(value)
    if isinstance(value, Mapping):
        return all(type(key) is str and "\0" not in key and _can_be_stored(value[key]) for key in value)
    if isinstance(value, list | tuple):
        return all(map(_can_be_stored, value))
    return True
