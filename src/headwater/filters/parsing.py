"""From the shape of a filter to checked conditions, by way of sqlglot.

sqlglot reads one flat group at a time, written in words of our own (``a0 = a1 AND g0``), so its depth is
bounded and none of its dialect's leniency about names, literals and functions is in play. Of the tree it
makes only the nodes listed here are accepted; whatever else it understands is refused.
"""

import logging
from collections.abc import Callable

import sqlglot
from sqlglot import exp
from sqlglot.dialects.bigquery import BigQuery
from sqlglot.errors import SqlglotError

from headwater.filters import functions, operations, typed
from headwater.filters.faults import Fault
from headwater.filters.names import Type
from headwater.filters.rows import Row
from headwater.filters.shapes import Column, Constant, Group, Shape
from headwater.filters.typed import Typed

_DIALECT = BigQuery()

_COMPARISONS: dict[type[exp.Expression], str] = {
    exp.EQ: "=", exp.NEQ: "!=", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">=",
}  # fmt: skip
# How tightly each binds. sqlglot gives | & ^ << >> and || one rank, GoogleSQL does not.
_ARITHMETIC: dict[type[exp.Expression], tuple[str, int]] = {
    exp.BitwiseOr: ("|", 0),
    exp.BitwiseXor: ("^", 1),
    exp.BitwiseAnd: ("&", 2),
    exp.BitwiseLeftShift: ("<<", 3),
    exp.BitwiseRightShift: (">>", 3),
    exp.Add: ("+", 4),
    exp.Sub: ("-", 4),
    exp.Mul: ("*", 5),
    exp.Div: ("/", 5),
    exp.DPipe: ("||", 5),
}
_CONNECTIVES: dict[type[exp.Expression], str] = {exp.And: "AND", exp.Or: "OR"}
_UNARY: dict[type[exp.Expression], str] = {exp.Neg: "-", exp.BitwiseNot: "~"}
_IS = {f"is_{word.lower()}": word for word in ("NULL", "TRUE", "FALSE", "UNKNOWN")}
_CAST_TYPES = {"BIGINT": Type.INT64, "DOUBLE": Type.FLOAT64, "TEXT": Type.STRING, "BOOLEAN": Type.BOOL}
_WITHOUT_PARENTHESES = (*_COMPARISONS, *_CONNECTIVES, exp.Not, exp.Like, exp.In, exp.Between)
# What a node may hold; a tree with anything else in it means more than is looked at here.
_ARGUMENTS = {
    "this", "expression", "expressions", "low", "high", "ifs", "default", "true", "to", "negate", "typed",
    "safe", "quoted",
}  # fmt: skip


def parse(shape: Shape, row_of: Callable[[int | None], Row]) -> Typed:
    """The condition that ``shape`` describes.

    Raises:
        Fault: its groups are no expressions, or the types do not fit.
    """
    groups: list[Typed] = []
    for group in shape.groups:
        groups.append(_Parser(shape, group, groups, row_of).parse())
    whole = groups[-1]
    if whole.type is not Type.BOOL:
        raise Fault(
            f"a filter is a condition, and this is {whole.type.value}; compare it with something", whole.at
        )
    return whole


class _Parser:
    def __init__(
        self, shape: Shape, group: Group, groups: list[Typed], row_of: Callable[[int | None], Row]
    ) -> None:
        self._shape = shape
        self._group = group
        self._groups = groups
        self._row_of = row_of

    def parse(self) -> Typed:
        return self._typed(self._tree())

    def _tree(self) -> exp.Expression:
        try:
            tree = sqlglot.parse_one(self._group.text, dialect=_DIALECT, into=exp.Condition)
        except SqlglotError as error:
            raise self._refused(error) from None
        assert isinstance(tree, exp.Expression)
        return tree

    def _refused(self, error: SqlglotError) -> Fault:
        """The fault behind an error of sqlglot, whose own text speaks of our words."""
        details = (getattr(error, "errors", None) or [{}])[0]
        before = str(details.get("start_context") or "").split()
        index = min(len(before), len(self._group.places) - 1)
        words = self._group.text.split()
        if "BETWEEN" in words and words[index] != "BETWEEN":
            return Fault("expected BETWEEN low AND high, once", self._group.places[index])
        return Fault("this is not an expression; put parentheses around its parts", self._group.places[index])

    def _typed(self, node: exp.Expression) -> Typed:
        """Recurses within one group only: prefixes, and one step for each rank of operators."""
        kind = type(node)
        if any(value and name not in _ARGUMENTS for name, value in node.args.items()):
            raise self._unknown(node)
        if kind in _CONNECTIVES:
            return operations.connect(_CONNECTIVES[kind], [self._typed(n) for n in _chain(node, kind)])
        if kind in _ARITHMETIC:
            return self._arithmetic(node)
        result = self._predicate(node, kind) if kind in _WITHOUT_PARENTHESES else self._value(node, kind)
        return operations.negate(result) if node.args.get("negate") else result

    def _predicate(self, node: exp.Expression, kind: type[exp.Expression]) -> Typed:
        if kind is exp.Not:
            return operations.negate(self._typed(node.this))
        left = self._operand(node.this)
        if kind in _COMPARISONS:
            return operations.compare(_COMPARISONS[kind], left, self._operand(node.expression), self._row_of)
        if kind is exp.Like:
            if isinstance(node.expression, exp.Column) and node.expression.name in _IS:
                return operations.is_(left, _IS[node.expression.name])
            return operations.like(left, self._operand(node.expression))
        if kind is exp.Between:
            return operations.between(left, self._operand(node.args["low"]), self._operand(node.args["high"]))
        if kind is exp.In:
            members = [self._typed(member) for member in node.expressions]
            if members:
                return operations.member(left, members, self._row_of)
        raise self._unknown(node)

    def _operand(self, node: exp.Expression) -> Typed:
        """A side of a comparison, where another one must stand in parentheses."""
        side = self._typed(node)
        if isinstance(node, _WITHOUT_PARENTHESES):
            raise Fault("comparisons do not chain; connect them with AND, or use parentheses", side.at)
        return side

    def _value(self, node: exp.Expression, kind: type[exp.Expression]) -> Typed:
        if kind is exp.Column:
            return self._named(node)
        if kind in _UNARY:
            return operations.unary(_UNARY[kind], self._operand(node.this))
        if kind is exp.Anonymous:
            return self._call(node)
        if kind is exp.Cast:
            type_ = _CAST_TYPES.get(node.args["to"].this.name)
            if type_ is None:
                raise self._unknown(node)
            return functions.cast(self._typed(node.this), type_)
        if kind is exp.Case:
            subject, default = node.args.get("this"), node.args.get("default")
            return functions.case(
                None if subject is None else self._typed(subject),
                [(self._typed(branch.this), self._typed(branch.args["true"])) for branch in node.args["ifs"]],
                None if default is None else self._typed(default),
            )
        raise self._unknown(node)

    def _named(self, node: exp.Expression) -> Typed:
        """One of the words that the reader made."""
        word = node.name
        index = int(word[1:]) if word[1:].isdigit() and isinstance(node.this, exp.Identifier) else -1
        if word[0] == "g" and 0 <= index < len(self._groups):
            return self._groups[index]
        if word[0] != "a" or not 0 <= index < len(self._shape.operands):
            raise self._unknown(node)
        operand, at = self._shape.operands[index], self._shape.operand_places[index]
        if isinstance(operand, Column):
            return typed.column(self._row_of(operand.neighbour), operand, at)
        return typed.constant(operand, at) if isinstance(operand, Constant) else typed.literal(operand, at)

    def _call(self, node: exp.Expression) -> Typed:
        name = str(node.this)
        arguments = [self._typed(argument) for argument in node.expressions]
        if name.startswith("enum_"):
            of, words = arguments
            return operations.enum_predicate(name, of, words)
        return functions.call(name.removeprefix("f_"), arguments, self._group.places[0])

    def _arithmetic(self, node: exp.Expression) -> Typed:
        """Operands and operators in the order of the text, put together by GoogleSQL's ranks."""
        values: list[Typed] = []
        waiting: list[tuple[str, int]] = []

        def reduce(rank: int) -> None:
            while waiting and waiting[-1][1] >= rank:
                right, left = values.pop(), values.pop()
                values.append(operations.arithmetic(waiting.pop()[0], left, right))

        for item in _in_order(node):
            if isinstance(item, exp.Expression):
                values.append(self._operand(item))
            else:
                reduce(item[1])
                waiting.append(item)
        reduce(-1)
        return values[0]

    def _unknown(self, node: exp.Expression) -> Fault:
        return Fault(f"{node.key.upper()} is not part of the filter language", self._group.places[0])


def _chain(node: exp.Expression, kind: type[exp.Expression]) -> list[exp.Expression]:
    """The operands of a chain of one connective, which leans to the left."""
    operands = []
    while type(node) is kind:
        operands.append(node.expression)
        node = node.this
    return [node, *reversed(operands)]


def _in_order(node: exp.Expression) -> list[exp.Expression | tuple[str, int]]:
    items: list[exp.Expression | tuple[str, int]] = []
    pending: list[exp.Expression | tuple[str, int]] = [node]
    while pending:
        item = pending.pop()
        if isinstance(item, exp.Expression) and type(item) in _ARITHMETIC:
            pending += (item.expression, _ARITHMETIC[type(item)], item.this)
        else:
            items.append(item)
    return items


# sqlglot warns on its logger about what it cannot parse; callers get an error instead.
logging.getLogger("sqlglot").addHandler(logging.NullHandler())
