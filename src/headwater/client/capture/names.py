"""Which names a piece of code uses."""

import ast
import dis
import importlib.util
import types
from collections.abc import Iterator

from headwater.client.capture.source import nested_codes

Chain = tuple[str, ...]
"""A name and the attributes that are asked of it: ``("helpers", "clean")`` for ``helpers.clean``."""

_OPENING = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
_OPENING_FREE = {"LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"}
_FOLLOWING = {"LOAD_ATTR", "LOAD_METHOD"}
_BETWEEN = {"CACHE", "EXTENDED_ARG", "NOP", "PRECALL", "PUSH_NULL"}


def chains(code: types.CodeType, *, free: bool = False) -> list[Chain]:
    """What ``code`` and the code within it use of their module, sorted.

    With ``free``, what they use of the functions around them instead. Names reached in other ways
    (``globals()["clean"]``, ``getattr``) are not seen.
    """
    opening = _OPENING_FREE if free else _OPENING
    found: set[Chain] = set()
    for each in nested_codes(code):
        chain: Chain = ()
        for instruction in dis.get_instructions(each):
            if instruction.opname in _BETWEEN:
                continue
            if chain and instruction.opname in _FOLLOWING:
                chain = (*chain, str(instruction.argval))
                continue
            if chain:
                found.add(chain)
            chain = (str(instruction.argval),) if instruction.opname in opening else ()
        if chain:
            found.add(chain)
    return sorted(found)


def chains_of(node: ast.AST) -> list[Chain]:
    """What an expression or a statement would use if it stood in a module."""
    if isinstance(node, ast.expr):
        tree: ast.Module | ast.Expression = ast.Expression(node)
    elif isinstance(node, ast.Module):
        tree = node
    else:
        tree = ast.Module([node] if isinstance(node, ast.stmt) else [], [])
    try:
        return chains(compile(tree, "<part>", "eval" if isinstance(node, ast.expr) else "exec"))
    except (SyntaxError, ValueError):
        return []


def head(node: ast.expr) -> Chain:
    """The chain that an expression such as ``a.b(...).c`` begins with; empty if it begins otherwise."""
    while isinstance(node, ast.Call | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    if isinstance(node, ast.Name):
        return (node.id,)
    if isinstance(node, ast.Attribute):
        before = head(node.value)
        return (*before, node.attr) if before else ()
    return ()


def imports_within(node: ast.AST, package: str) -> Iterator[tuple[str, Chain]]:
    """The modules that ``node`` imports itself, by full name, each with what is used of it.

    An empty chain stands for the module as a whole, which is handed around or only imported.
    """
    used = _used_within(node)
    for statement in ast.walk(node):
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                module = alias.name if alias.asname else alias.name.partition(".")[0]
                for chain in used.get(alias.asname or module, {()}):
                    yield module, chain
        elif isinstance(statement, ast.ImportFrom):
            origin = absolute_name(statement, package)
            for alias in statement.names if origin else ():
                for chain in used.get(alias.asname or alias.name, {()}):
                    yield str(origin), (alias.name, *chain)


def absolute_name(statement: ast.ImportFrom, package: str) -> str | None:
    """The full name of the module that ``from ... import`` names, within ``package``."""
    relative = "." * statement.level + (statement.module or "")
    try:
        return importlib.util.resolve_name(relative, package)
    except (ImportError, ValueError):
        return None


def _used_within(node: ast.AST) -> dict[str, set[Chain]]:
    """By name, the attributes asked of it; the empty chain where it is used bare."""
    used: dict[str, set[Chain]] = {}
    inner: set[int] = set()
    for each in ast.walk(node):  # Outer expressions come first.
        if isinstance(each, ast.Attribute | ast.Name) and id(each) not in inner:
            chain = head(each)
            below: ast.expr = each
            while isinstance(below, ast.Attribute):
                below = below.value
                inner.add(id(below))
            if chain and isinstance(below, ast.Name):
                used.setdefault(chain[0], set()).add(chain[1:])
    return used
