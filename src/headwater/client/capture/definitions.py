"""What a step's code is made of, followed from one running object to the next.

A function leads to its syntax, to what it closes over, to its defaults, and to the names of its module; those
to other functions, classes and constants of the project. What was installed counts by its name alone, because
its version belongs to the environment.
"""

import ast
import functools
import logging
import os
import sys
import types
from collections.abc import Collection
from typing import Any

from headwater.client.capture.bytecode import bytecode_text
from headwater.client.capture.files import FileReader
from headwater.client.capture.names import (
    Chain,
    absolute_name,
    chains,
    chains_of,
    head,
    imports_within,
)
from headwater.client.capture.parts import Part, Parts, quoted, short_digest, tagged
from headwater.client.capture.project import Project, is_ours, version_of
from headwater.client.capture.source import (
    Definition,
    Source,
    bound_names,
    class_code,
    class_nodes,
    digest_of_text,
    function_node,
    reads_and_changes,
    source_of,
)
from headwater.client.capture.syntax import canonical_syntax
from headwater.client.capture.values import BUILTIN_CALLABLES, ValueReader, is_incomplete, name_of

# What a module says of itself; its file differs from one checkout to the next.
_MODULE_NAMES = frozenset(
    ["__annotate__", "__annotations__", "__builtins__", "__cached__", "__conditional_annotations__",
     "__doc__", "__file__", "__loader__", "__name__", "__package__", "__path__", "__spec__",
     "__warningregistry__"]
)  # fmt: skip
_CLASS_NAMES = frozenset(
    ["__annotate__", "__annotate_func__", "__annotations__", "__annotations_cache__", "__dict__", "__doc__",
     "__firstlineno__", "__module__", "__qualname__", "__static_attributes__", "__weakref__"]
)  # fmt: skip


def describe_step(function: Any, parts: Parts) -> str:
    """The text for a step, whose code becomes ``parts``. With a version if somebody else wrote it."""
    target = innermost(function)
    module_name = str(getattr(target, "__module__", None) or type(target).__module__)
    project = Project(target, module_name)
    text = DefinitionReader(parts, project).values.describe(function)
    if is_ours(module_name) or _is_written_by(project, target):
        return text
    return tagged("installed", f"[{text},{quoted(version_of(module_name))}]")


def _is_written_by(project: Project, target: Any) -> bool:
    if isinstance(target, types.FunctionType):
        return project.has_function(target)
    if isinstance(target, BUILTIN_CALLABLES):
        return False
    return project.has_class(target if isinstance(target, type) else type(target))


class DefinitionReader:
    """Describes functions, classes and modules. Those of the project become parts."""

    def __init__(self, parts: Parts, project: Project) -> None:
        self.values = ValueReader(self, project, parts)
        self._parts = parts
        self._project = project
        self._files = FileReader(parts, self.function)
        # Module variables, by the id of their module's namespace and their name.
        self._memos: set[tuple[int, str]] = set()
        self._read: set[tuple[int, str]] = set()

    # Functions.

    def function(self, function: types.FunctionType) -> str:
        if not self._project.has_function(function):
            return self._installed_function(function)
        text = self._parts.refer(
            ("function", id(function)),
            f"{_module_name(function)}.{function.__qualname__}",
            lambda part: self._fill_function(part, function),
            keep=function,
        )
        return text or _whole_file(function.__code__.co_filename, function.__globals__, function.__code__)

    def _installed_function(self, function: types.FunctionType) -> str:
        cells = [cell for _, cell in _cells(function)]
        held = self.values.held(cells, 1)
        wrapped = function.__dict__.get("__wrapped__")
        if callable(wrapped):
            held.append(self.values.describe(wrapped, 1))
        held = list(dict.fromkeys(held))
        if is_ours(str(function.__module__)) or is_ours(str(function.__globals__.get("__name__"))):
            return tagged("ours", f"[{','.join(held)}]")
        # Its own name, and not the one that functools.wraps() gave it.
        named = f"{function.__globals__.get('__name__')}.{function.__code__.co_name}"
        return tagged("external", f"[{','.join([quoted(named), *held])}]")

    def _fill_function(self, part: Part, function: types.FunctionType) -> None:
        code, namespace = function.__code__, function.__globals__
        source = source_of(code.co_filename, namespace)
        node = function_node(code, source) if source else None
        read: set[str] = set()
        changed: set[str] = set()
        if node is None:
            part.own = bytecode_text(code)
        else:
            part.own = self._syntax(node, namespace)
            self._add_decorators(part, node, namespace)
            self._add_imports(part, node, namespace)
            self._note_memos(node, namespace, but=code.co_freevars)
            read, changed = reads_and_changes(node)
        self._add_chains(part, chains(code), namespace, unread=changed - read)
        self._add_cells(part, function, node)
        self._add_defaults(part, function, node)
        wrapped = function.__dict__.get("__wrapped__")
        if callable(wrapped):
            part.references.append(("__wrapped__", self._value(part, "__wrapped__", wrapped)))

    def _note_memos(self, node: ast.AST, namespace: dict[str, Any], *, but: Collection[str] = ()) -> None:
        """Remember which module variables the functions in ``node`` both read and change."""
        for each in ast.walk(node):
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                read, changed = reads_and_changes(each)
                for name in read & changed - set(but):
                    if name in namespace:
                        home, original = _home(self._project, namespace, name)
                        self._memos.add((id(home), original))

    def _syntax(self, node: ast.AST, namespace: dict[str, Any]) -> str:
        return canonical_syntax(node, left_out=lambda decorator: self._is_ours(decorator, namespace))

    def _is_ours(self, decorator: ast.expr, namespace: dict[str, Any]) -> bool:
        """Whether a decorator is headwater's: what it says has components of its own in the fingerprint."""
        chain = head(decorator)
        if chain and chain[0] in namespace:
            value = namespace[chain[0]]
            name = value.__name__ if isinstance(value, types.ModuleType) else getattr(value, "__module__", "")
            return is_ours(str(name)) or is_ours(type(value).__module__)
        # ``with client.run() as run: @run.step``: a local name, which nothing here can look up.
        return len(chain) > 1 and chain[-1] == "step"

    def _add_decorators(self, part: Part, node: Definition | ast.ClassDef, namespace: dict[str, Any]) -> None:
        for decorator in getattr(node, "decorator_list", ()):
            if not self._is_ours(decorator, namespace):
                self._add_chains(part, chains_of(decorator), namespace)

    def _add_imports(self, part: Part, node: ast.AST, namespace: dict[str, Any]) -> None:
        for module_name, chain in sorted(set(imports_within(node, str(namespace.get("__package__") or "")))):
            text = self._files.reference(module_name, chain)
            if text is not None:
                part.references.append((".".join((module_name, *chain)), text))

    def _add_cells(self, part: Part, function: types.FunctionType, node: Definition | None) -> None:
        used = chains(function.__code__, free=True)
        # Of what it changes and does not read, the value makes no difference either.
        changed = reads_and_changes(node)[1] if node is not None else set()
        for name, value in _cells(function):
            if isinstance(value, types.ModuleType):
                for chain in [chain for chain in used if chain[0] == name] or [(name,)]:
                    self._add_chains(part, [chain], {name: value})
            elif name in changed:
                part.references.append((name, tagged("state", f"[{','.join(self.values.held([value], 1))}]")))
            else:
                part.references.append((name, self._value(part, name, value)))

    def _add_defaults(self, part: Part, function: types.FunctionType, node: Definition | None) -> None:
        values: dict[Any, Any] = dict(enumerate(function.__defaults__ or ()))
        values |= function.__kwdefaults__ or {}
        written: dict[Any, ast.expr | None] = {}
        if node is not None:
            written = dict(enumerate(node.args.defaults))
            keywords = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
            written |= {argument.arg: default for argument, default in keywords}
        for place, value in values.items():
            # A literal is in the syntax already. If it is a list or a dict, calls may have changed it since.
            if not _is_literal(written.get(place)):
                part.references.append((f"={place}", self._value(part, f"default {place}", value)))

    # Names of modules.

    def _add_chains(
        self, part: Part, used: list[Chain], namespace: dict[str, Any], *, unread: Collection[str] = ()
    ) -> None:
        """``unread``: names that are only changed."""
        for chain in used:
            text = self._named(chain, namespace, is_read=chain[0] not in unread)
            reference = (".".join(chain), text)
            if text is not None and reference not in part.references:
                part.references.append((".".join(chain), text))

    def _named(self, chain: Chain, namespace: dict[str, Any], *, is_read: bool) -> str | None:
        """The text for what a chain leads to; ``None`` for built-in and unknown names."""
        name, rest = chain[0], chain[1:]
        if name in _MODULE_NAMES or name not in namespace:
            return None
        value = namespace[name]
        while isinstance(value, types.ModuleType) and self._project.has_module(value):
            if not rest or rest[0] not in vars(value) or rest[0] in _MODULE_NAMES:
                break
            namespace, name, rest = vars(value), rest[0], rest[1:]
            value = namespace[name]
        if isinstance(value, types.ModuleType):
            return self.module(value)
        if isinstance(value, types.FunctionType | type | types.BuiltinFunctionType):
            # ``from random import random``: a method of an object that changes with each call.
            return self.values.describe_made(value)
        home, name = _home(self._project, namespace, name)
        if is_read:
            self._read.add((id(home), name))
        text = self._parts.refer(
            ("constant", id(home), name),
            f"{home.get('__name__')}.{name}",
            lambda part: self._fill_constant(part, home, name, value),
            keep=home,
            last=True,  # Whether its value counts depends on the functions that use it.
        )
        return text or self.values.describe_made(value)

    def _fill_constant(self, part: Part, namespace: dict[str, Any], name: str, value: Any) -> None:
        if isinstance(value, logging.Logger):
            part.own = tagged("opaque", quoted("logging.Logger"))
            return
        source = _source_of_namespace(namespace)
        key = (id(namespace), name)
        statements = source.bindings.get(name, ()) if source else ()
        if source is not None and (key in self._memos or key not in self._read):
            part.own = tagged("state", f"[{','.join(self.values.held([value], 1))}]")
        else:
            self.values.place = part.name
            part.own = self.values.describe_made(value) if statements else self.values.describe(value)
            if not is_incomplete(part.own):
                return
        for statement in statements:
            # No canonical form, or one that changes while the program runs: what makes it counts instead.
            part.references.append(("=", quoted(self._syntax(statement, namespace))))
            used = [chain for chain in chains_of(statement) if chain[0] != name]
            self._add_chains(part, used, namespace)

    def module(self, module: types.ModuleType) -> str:
        if is_ours(module.__name__):
            return tagged("ours", "[]")
        text = self._files.reference(module.__name__, ()) if self._project.has_module(module) else None
        # ``from os import path`` has another name on each system.
        name = "os.path" if module is os.path else module.__name__
        return text or tagged("external", f"[{quoted(name)}]")

    # Classes.

    def class_(self, cls: type) -> str:
        if not self._project.has_class(cls):
            return tagged("external", f"[{quoted(name_of(cls))}]")
        name = name_of(cls)
        text = self._parts.refer(("class", id(cls)), name, lambda part: self._fill_class(part, cls), keep=cls)
        if text is not None:
            return text
        module = sys.modules.get(cls.__module__)
        return _whole_file(getattr(module, "__file__", None), vars(module) if module else {}, name)

    def _fill_class(self, part: Part, cls: type) -> None:
        module = sys.modules.get(cls.__module__)
        methods = [value for value in vars(cls).values() if isinstance(value, types.FunctionType)]
        # Not what a decorator of a library puts there.
        own = [
            method
            for method in methods
            if method.__qualname__.startswith(f"{cls.__qualname__}.") and self._project.has_function(method)
        ]
        namespace = own[0].__globals__ if own else (vars(module) if module else {})
        source = _source_of_namespace(namespace)
        if source is None and own:
            source = source_of(own[0].__code__.co_filename, namespace)
        nodes = class_nodes(cls, source) if source else []
        for base in cls.__bases__:
            if base is not object:
                part.references.append(("base", self.class_(base)))
        # One that was installed comes with a base, and has other names in other versions of Python.
        if self._project.has_class(type(cls)):
            part.references.append(("metaclass", self.class_(type(cls))))
        if source is None or not nodes:
            self._add_members(part, cls)
            return
        part.own = "\n".join(self._syntax(node, namespace) for node in nodes)
        for node in nodes:
            self._add_decorators(part, node, namespace)
            self._add_imports(part, node, namespace)
            code = class_code(node, source)
            if code is not None:
                self._add_chains(part, chains(code), namespace)
            self._add_attributes(part, node, cls)
            self._note_memos(node, namespace)
        for method in own:
            # A class made within a function closes over its names; what decorators generate does not count.
            for name, value in _cells(method) if function_node(method.__code__, source) else ():
                if name != "__class__":
                    part.references.append((name, self._value(part, name, value)))

    def _add_attributes(self, part: Part, node: ast.ClassDef, cls: type) -> None:
        """Plain attributes that are computed, such as settings read from variables of the environment."""
        for statement in node.body:
            if isinstance(statement, ast.Assign | ast.AnnAssign) and not _is_literal(statement.value):
                for name in bound_names(statement):
                    value = vars(cls).get(name)
                    if type(value) in (bool, int, float, str, bytes, tuple, list, dict, set, frozenset):
                        # The statement is in the syntax already.
                        part.references.append((name, self.values.describe_made(value)))

    def _add_members(self, part: Part, cls: type) -> None:
        for name in sorted(vars(cls).keys() - _CLASS_NAMES):
            value = vars(cls)[name]
            if not isinstance(value, types.MemberDescriptorType | types.GetSetDescriptorType):
                # Decorators put objects of their own here.
                part.references.append((name, self.values.describe_made(value)))

    def _value(self, part: Part, name: str, value: Any) -> str:
        self.values.place = f"{name} of {part.name}"
        return self.values.describe(value)


def innermost(function: Any) -> Any:
    """What a partial, a method or a wrapper finally calls."""
    target = function
    for _ in range(100):
        if isinstance(target, functools.partial):
            target = target.func
        elif isinstance(target, types.MethodType | staticmethod | classmethod):
            target = target.__func__
        elif callable(getattr(target, "__wrapped__", None)):
            target = target.__wrapped__
        else:
            break
    return target


def _whole_file(filename: str | None, namespace: dict[str, Any], otherwise: types.CodeType | str) -> str:
    """What stands for a part that is one too many."""
    source = source_of(filename, namespace) if filename else None
    if source is not None:
        return tagged("file", quoted(digest_of_text(source)))
    text = otherwise if isinstance(otherwise, str) else bytecode_text(otherwise)
    return tagged("file", quoted(short_digest(text)))


def _module_name(function: types.FunctionType) -> str:
    return str(function.__globals__.get("__name__", function.__module__)).replace("__mp_main__", "__main__")


def _cells(function: types.FunctionType) -> list[tuple[str, Any]]:
    """What a function closes over, by name; names that have no value yet are absent."""
    found = []
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            found.append((name, cell.cell_contents))
        except ValueError:
            continue
    return found


def _is_literal(node: ast.expr | None) -> bool:
    if node is None:
        return False
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return True


def _source_of_namespace(namespace: dict[str, Any]) -> Source | None:
    filename = namespace.get("__file__")
    return source_of(filename, namespace) if isinstance(filename, str) else None


def _home(project: Project, namespace: dict[str, Any], name: str) -> tuple[dict[str, Any], str]:
    """The module that makes a name, where others import it from."""
    for _ in range(10):
        source = _source_of_namespace(namespace)
        statements = source.bindings.get(name, []) if source else []
        found = None
        for statement in statements:
            if isinstance(statement, ast.ImportFrom):
                origin = absolute_name(statement, str(namespace.get("__package__") or ""))
                original = next(
                    (alias.name for alias in statement.names if (alias.asname or alias.name) == name), name
                )
                found = sys.modules.get(origin or ""), original
        if found is None or found[0] is None or not project.has_module(found[0]):
            break
        namespace, name = vars(found[0]), found[1]
    return namespace, name
