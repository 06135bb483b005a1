"""The source of what is running: which part of a file made a function or a class.

A file may be edited while its program runs, so the text on the disk need not be what runs. Every answer is
checked: the file is compiled again and its code objects are compared with the running ones. What does not
match has no source here.
"""

import ast
import functools
import hashlib
import linecache
import types
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headwater.client.capture.syntax import FunctionNode

_OPTIMIZED = 0x1  # A function's code object has this flag; that of a class or a module does not.
_COMPARED = (
    "co_name", "co_code", "co_names", "co_varnames", "co_freevars", "co_cellvars", "co_argcount",
    "co_posonlyargcount", "co_kwonlyargcount", "co_flags",
)  # fmt: skip

# Methods that change the object they are called on, of the containers of the standard library.
_CHANGING_METHODS = frozenset(
    ["add", "append", "appendleft", "clear", "discard", "extend", "insert", "pop", "popitem", "remove",
     "setdefault", "update"]
)  # fmt: skip
_READING_METHODS = frozenset(["pop", "popitem", "setdefault"])

Definition = FunctionNode | ast.Lambda

# By file name, with the very list of lines that linecache gave: it makes another when the file has changed.
_latest: dict[str, "tuple[list[str], Source | None]"] = {}


@dataclass(frozen=True)
class Source:
    """One file, parsed and compiled."""

    text: str = field(repr=False)
    tree: ast.Module
    code: types.CodeType
    definitions: Mapping[tuple[str, int], list[Definition]]
    """Functions and lambdas by name and first line, which is that of the first decorator."""
    classes: Mapping[str, list[ast.ClassDef]]
    """By qualified name, in the order of the file."""
    codes: Mapping[tuple[str, int], list[types.CodeType]]
    """Every code object by name and first line."""
    bindings: Mapping[str, list[ast.stmt]]
    """The statements that bind a name of the module, in order; those inside an ``if`` or ``try`` too."""

    def segment(self, node: ast.AST) -> str:
        """The text of ``node`` with its decorators."""
        lines = self.text.splitlines()
        first, last = first_line(node), getattr(node, "end_lineno", None)
        if isinstance(node, ast.Lambda):
            return ast.get_source_segment(self.text, node) or ""
        return "\n".join(lines[first - 1 : last])


def source_of(filename: str, namespace: Mapping[str, Any] | None = None) -> Source | None:
    """The file as it is now; ``None`` if it cannot be read or is not Python.

    ``namespace`` is that of its module, whose loader may have the text (a zip file). Cells of a notebook
    are found too, because IPython puts them into ``linecache``.
    """
    linecache.checkcache(filename)
    lines = linecache.getlines(filename, dict(namespace) if namespace else None)
    latest = _latest.get(filename)
    if lines and latest is not None and latest[0] is lines:
        return latest[1]
    if not lines and not (filename.endswith("__init__.py") and Path(filename).is_file()):
        return None
    source = _parsed("".join(lines), filename)
    _latest[filename] = (lines, source)
    return source


@functools.lru_cache(maxsize=256)
def _parsed(text: str, filename: str) -> Source | None:
    try:
        tree = ast.parse(text)
        # A cell of a notebook may await at its top level.
        code = compile(tree, filename, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError):
        return None
    definitions: dict[tuple[str, int], list[Definition]] = defaultdict(list)
    classes: dict[str, list[ast.ClassDef]] = defaultdict(list)
    _index(tree, "", definitions, classes)
    codes: dict[tuple[str, int], list[types.CodeType]] = defaultdict(list)
    for each in nested_codes(code):
        codes[each.co_name, each.co_firstlineno].append(each)
    bindings: dict[str, list[ast.stmt]] = defaultdict(list)
    for statement in _statements(tree.body):
        for name in bound_names(statement):
            bindings[name].append(statement)
    return Source(text, tree, code, definitions, classes, codes, bindings)


def digest_of_text(source: Source) -> str:
    """The digest of a whole file, layout and all."""
    return hashlib.sha256(source.text.encode(errors="surrogatepass")).hexdigest()


def nested_codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """``code`` and all code objects within, outer ones first."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from nested_codes(constant)


def first_line(node: ast.AST) -> int:
    """The line where a definition starts, its first decorator included; 1 for a module."""
    lines: list[int] = [decorator.lineno for decorator in getattr(node, "decorator_list", ())]
    return min([*lines, getattr(node, "lineno", 1)])


def function_node(code: types.CodeType, source: Source) -> Definition | None:
    """The definition that ``code`` was compiled from, or ``None`` if the file says otherwise by now."""
    key = (code.co_name, code.co_firstlineno)
    if not any(same_code(code, other) for other in source.codes.get(key, ())):
        return None
    found = source.definitions.get(key, [])
    if len(found) > 1:
        found = [node for node in found if _lies_within(code, node)]
    return found[0] if len(found) == 1 else None


def class_nodes(cls: type, source: Source) -> list[ast.ClassDef]:
    """The definitions of ``cls``: one, or several where the same name is defined in several places.

    Empty if the file has no such class, or one of the running methods differs from what it says there.
    """
    nodes = source.classes.get(cls.__qualname__, [])
    spans = [(first_line(node), node.end_lineno or 0) for node in nodes]
    seen: set[int] = set()
    for member in vars(cls).values():
        function = getattr(member, "fget", None) or getattr(member, "__func__", member)
        code = getattr(function, "__code__", None)
        if not isinstance(code, types.CodeType) or code.co_filename != source.code.co_filename:
            continue
        if getattr(function, "__qualname__", "").rpartition(".")[0] != cls.__qualname__:
            continue  # A function from elsewhere, or a wrapper.
        if function_node(code, source) is None:
            return []
        seen.update(
            place for place, (first, last) in enumerate(spans) if first <= code.co_firstlineno <= last
        )
    line = vars(cls).get("__firstlineno__")  # Since Python 3.13.
    exact = [node for node, (first, _) in zip(nodes, spans, strict=True) if first == line]
    return exact or [nodes[place] for place in sorted(seen)] or nodes


def class_code(node: ast.ClassDef, source: Source) -> types.CodeType | None:
    """The code object of a class's body."""
    codes = source.codes.get((node.name, first_line(node)), [])
    return next((code for code in codes if not code.co_flags & _OPTIMIZED), None)


def same_code(one: types.CodeType, other: types.CodeType) -> bool:
    """Whether two code objects do the same, wherever their lines are."""
    if any(getattr(one, name) != getattr(other, name) for name in _COMPARED):
        return False
    if len(one.co_consts) != len(other.co_consts):
        return False
    return all(map(_same_constant, one.co_consts, other.co_consts))


def _same_constant(one: object, other: object) -> bool:
    if isinstance(one, types.CodeType) and isinstance(other, types.CodeType):
        return same_code(one, other)
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_same_constant, one, other))
    # The type and the text tell 1 from 1.0 and True, and 0.0 from -0.0; a set has no fixed order.
    if type(one) is not type(other):
        return False
    return one == other if isinstance(one, frozenset) else repr(one) == repr(other)


def _lies_within(code: types.CodeType, node: Definition) -> bool:
    """Whether ``code`` was compiled from ``node``, among others of its name on its line."""
    positions = getattr(code, "co_positions", None)  # Since Python 3.11.
    if positions is None or not isinstance(node, ast.Lambda):
        return False
    body = node.body
    start, end = (body.lineno, body.col_offset), (body.end_lineno or 0, body.end_col_offset or 0)
    places = [
        (line, column)
        for line, end_line, column, end_column in positions()
        # What belongs to the lambda as a whole has the width of nothing.
        if None not in (line, end_line, column, end_column) and (line, column) != (end_line, end_column)
    ]
    return bool(places) and all(start <= place < end for place in places)


def _index(
    node: ast.AST,
    prefix: str,
    definitions: dict[tuple[str, int], list[Definition]],
    classes: dict[str, list[ast.ClassDef]],
) -> None:
    for child in ast.iter_child_nodes(node):
        within = prefix
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            definitions[child.name, first_line(child)].append(child)
            within = f"{prefix}{child.name}.<locals>."
        elif isinstance(child, ast.Lambda):
            definitions["<lambda>", child.lineno].append(child)
            within = f"{prefix}<lambda>.<locals>."
        elif isinstance(child, ast.ClassDef):
            classes[f"{prefix}{child.name}"].append(child)
            within = f"{prefix}{child.name}."
        _index(child, within, definitions, classes)


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The simple statements and definitions of a module, those in its blocks too."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        for name in ("body", "orelse", "finalbody"):
            yield from _statements(getattr(statement, name, []))
        for handler in getattr(statement, "handlers", []):
            yield from _statements(handler.body)


def bound_names(statement: ast.stmt) -> list[str]:
    """The names that a statement itself binds, without those bound by statements within it."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    if isinstance(statement, ast.Import):
        return [alias.asname or alias.name.partition(".")[0] for alias in statement.names]
    if isinstance(statement, ast.ImportFrom):
        return [alias.asname or alias.name for alias in statement.names]
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign | ast.AugAssign | ast.For | ast.AsyncFor):
        targets = [statement.target]
    elif isinstance(statement, ast.With | ast.AsyncWith):
        targets = [item.optional_vars for item in statement.items if item.optional_vars]
    # Also what is stored into: ``TABLE["x"] = 1`` makes TABLE what it is.
    return [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]


def reads_and_changes(function: ast.AST) -> tuple[set[str], set[str]]:
    """The names from around ``function`` that it reads, and those that it changes.

    ``log.append(x)`` changes ``log`` and does not read it. A name in both is what a memo, a counter or a
    client made at first use looks like.
    """
    body = getattr(function, "body", [])
    inside = [each for part in (body if isinstance(body, list) else [body]) for each in ast.walk(part)]
    declared = {name for each in inside if isinstance(each, ast.Global | ast.Nonlocal) for name in each.names}
    changed, read, targets = set(), set(), set()
    for each in inside:
        if isinstance(each, ast.AugAssign) and isinstance(each.target, ast.Name):
            read.add(each.target.id)
        target: ast.expr | None = None
        if isinstance(each, ast.Subscript | ast.Attribute) and not isinstance(each.ctx, ast.Load):
            target = each.value
        elif isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute):
            target = each.func.value if each.func.attr in _CHANGING_METHODS else None
        while isinstance(target, ast.Subscript | ast.Attribute):
            target = target.value
        if isinstance(target, ast.Name):
            changed.add(target.id)
            targets.add(id(target))
            if isinstance(each, ast.Call) and each.func.attr in _READING_METHODS:  # type: ignore[attr-defined]
                read.add(target.id)
    names = [each for each in inside if isinstance(each, ast.Name)]
    read |= {each.id for each in names if isinstance(each.ctx, ast.Load) and id(each) not in targets}
    stored = {each.id for each in names if not isinstance(each.ctx, ast.Load)}
    arguments = getattr(function, "args", None)
    local = {each.arg for each in ast.walk(arguments) if isinstance(each, ast.arg)} if arguments else set()
    local |= stored - declared
    return read - local, (changed | (stored & declared)) - local
