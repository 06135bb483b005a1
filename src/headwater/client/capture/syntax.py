"""A piece of Python as canonical text: what it does, without how it is laid out.

Comments, blank lines, indentation, quotes and parentheses never reach the syntax tree. Left out as well:

- documentation strings of functions and classes;
- annotations of a function's parameters, result and variables, unless the function has a decorator,
  which may read them. Annotations of a class's own attributes stay: dataclasses and models live by them;
- whatever decorators the caller names, which are headwater's own.

The text is written here and not by ``ast.dump``, whose output differs between Python versions: empty
fields are skipped, so a field that a later version adds changes nothing where it is not used.
"""

import ast
from collections.abc import Callable

LeftOut = Callable[[ast.expr], bool]
"""Says of a decorator whether to leave it out."""

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
DefinitionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef

# What says how a name is used, how text was quoted, or what a comment claims.
_SKIPPED_FIELDS = frozenset({"ctx", "kind", "type_comment", "type_ignores"})


def nothing(decorator: ast.expr) -> bool:
    """Leaves no decorator out."""
    return False


def canonical_syntax(node: ast.AST, *, left_out: LeftOut = nothing) -> str:
    """The text of ``node``. Equal texts mean equal behaviour, given what their names stand for."""
    return _Writer(left_out).text(node)


def without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    """The statements of a function, class or module behind its documentation string, if it has one."""
    first = body[0].value if body and isinstance(body[0], ast.Expr) else None
    is_documented = isinstance(first, ast.Constant) and isinstance(first.value, str)
    return body[1:] if is_documented else body


class _Writer:
    def __init__(self, left_out: LeftOut) -> None:
        self._left_out = left_out
        # Whether annotations are written, by the scopes around: a class says yes, a function mostly no.
        self._annotated = [False]

    def text(self, node: object) -> str:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return self._definition(node)
        if isinstance(node, ast.Constant):
            return _constant(node.value)
        if isinstance(node, ast.Module):
            return self._fields("Module", {"body": without_docstring(node.body)})
        if isinstance(node, ast.AnnAssign) and not self._annotated[-1]:
            return self._assignment(node)
        if isinstance(node, ast.AST):
            return self._fields(
                type(node).__name__, {name: getattr(node, name, None) for name in node._fields}
            )
        if isinstance(node, list):
            return f"[{','.join(self.text(item) for item in node)}]"
        return _constant(node)

    def _fields(self, kind: str, fields: dict[str, object]) -> str:
        written = [
            f"{name}={self.text(value)}"
            for name, value in fields.items()
            if name not in _SKIPPED_FIELDS and value is not None and value != []
        ]
        return f"{kind}({','.join(written)})"

    def _definition(self, node: DefinitionNode) -> str:
        fields = {name: getattr(node, name, None) for name in node._fields}
        decorators = [decorator for decorator in node.decorator_list if not self._left_out(decorator)]
        fields["decorator_list"] = decorators
        fields["body"] = without_docstring(node.body)
        if isinstance(node, ast.ClassDef):
            return self._within(True, type(node).__name__, fields)
        if not decorators:
            fields["returns"] = None
            fields["args"] = _without_annotations(node.args)
        return self._within(bool(decorators), type(node).__name__, fields)

    def _within(self, annotated: bool, kind: str, fields: dict[str, object]) -> str:
        self._annotated.append(annotated)
        text = self._fields(kind, fields)
        self._annotated.pop()
        return text

    def _assignment(self, node: ast.AnnAssign) -> str:
        if node.value is None:
            # It makes its name local all the same.
            return self._fields("Declared", {"target": node.target})
        return self._fields("Assign", {"targets": [node.target], "value": node.value})


def _without_annotations(arguments: ast.arguments) -> ast.arguments:
    def bare(argument: ast.arg) -> ast.arg:
        return ast.arg(arg=argument.arg, annotation=None)

    return ast.arguments(
        posonlyargs=[bare(argument) for argument in arguments.posonlyargs],
        args=[bare(argument) for argument in arguments.args],
        vararg=bare(arguments.vararg) if arguments.vararg else None,
        kwonlyargs=[bare(argument) for argument in arguments.kwonlyargs],
        kw_defaults=arguments.kw_defaults,
        kwarg=bare(arguments.kwarg) if arguments.kwarg else None,
        defaults=arguments.defaults,
    )


def _constant(value: object) -> str:
    # Python refuses to write very long integers in decimal, and what repr() of text escapes follows the
    # version's Unicode tables.
    if type(value) is int:
        return hex(value)
    if isinstance(value, str):
        return ascii(value)
    return repr(value)
