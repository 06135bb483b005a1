"""The arguments of a call: which are parameters of the step, and which are what it reads.

An ``Output`` or a ``File``, alone or inside lists, tuples and mappings, is an input; so is what the
author declared to be one. All else is a parameter. A path object that is not declared is a parameter
too: its name counts, and not what lies there, because it may be where a step is to write.
"""

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from headwater.client.recording.outputs import File, Output
from headwater.client.values import to_value
from headwater.errors import InvalidRequest
from headwater.fingerprint import canonical, component
from headwater.v1 import metadata_store_pb2 as pb

Place = File | Output
_LONGEST_SHOWN = 8 * 1024


@dataclass
class Given:
    """What a step is given."""

    parameters: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, Place] = field(default_factory=dict)
    """By the name of the parameter; several of one parameter as ``name[0]``, ``name[key]``."""


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
        InvalidRequest: a name is not that of an argument, or is given twice.
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
            arguments.update(value)
        elif kind is not inspect.Parameter.VAR_POSITIONAL or value:
            arguments[name] = value
    return arguments


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
        rest = _without_places(given, name, value)
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
        given.inputs[name] = value
    elif isinstance(value, str | os.PathLike):
        given.inputs[name] = File(value)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _add_declared(given, f"{name}[{index}]", item)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            _add_declared(given, f"{name}[{key}]", item)
    else:
        raise InvalidRequest(
            f"input {name!r} is of type {type(value).__name__!r}; give a path, a URI, a File, or an output "
            "of a step"
        )


_NOTHING_LEFT = object()


def _without_places(given: Given, name: str, value: object) -> object:
    """What is left of a value when the places in it became inputs."""
    if isinstance(value, Place):
        given.inputs[name] = value
        return _NOTHING_LEFT
    if type(value) in (list, tuple) and _has_places(value, 0):
        items = [_without_places(given, f"{name}[{index}]", item) for index, item in enumerate(value)]  # type: ignore[var-annotated, arg-type]  # it is a list
        return _NOTHING_LEFT if all(item is _NOTHING_LEFT for item in items) else _named(items)
    if type(value) is dict and _has_places(value, 0):
        left = {key: _without_places(given, f"{name}[{key}]", item) for key, item in value.items()}
        if all(item is _NOTHING_LEFT for item in left.values()):
            return _NOTHING_LEFT
        return {key: "input" if item is _NOTHING_LEFT else item for key, item in left.items()}
    return value


def _named(items: Sequence[object]) -> list[object]:
    return ["input" if item is _NOTHING_LEFT else item for item in items]


def _has_places(value: object, depth: int) -> bool:
    if isinstance(value, Place):
        return True
    if depth < 5 and type(value) in (list, tuple, dict):
        items = value.values() if isinstance(value, dict) else value
        return any(_has_places(item, depth + 1) for item in items)  # type: ignore[attr-defined]  # it is a list
    return False


def with_values(value: Any) -> Any:
    """An argument as the function gets it: objects for outputs that are in memory, all else as it is."""
    if isinstance(value, Output):
        return value if value.is_file and not value.is_pickled else value.value
    if type(value) in (list, tuple) and _has_places(value, 0):
        return type(value)(with_values(item) for item in value)
    if type(value) is dict and _has_places(value, 0):
        return {key: with_values(item) for key, item in value.items()}
    return value


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
