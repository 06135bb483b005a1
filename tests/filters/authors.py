"""Random filters with their meaning: a text, and a function that evaluates it on a choice of rows.

The evaluation knows nothing of SQL. It takes a row for each label and gives a value, or ``None`` for NULL.
"""

import math
import operator
import re
from collections.abc import Callable, Mapping
from random import Random

from headwater.storage.kinds import ARTIFACT, CONTEXT, EXECUTION, NodeKind

Rows = Mapping[str, Mapping[str, object]]
Evaluate = Callable[[Rows], object]
Term = tuple[str, Evaluate]


class Overflow(Exception):
    """Not a number of 64 bits. What becomes of it differs among databases."""


COMPARE = {
    "=": operator.eq, "!=": operator.ne, "<>": operator.ne, "<": operator.lt, "<=": operator.le,
    ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
LABELS = {
    ARTIFACT: [
        "contexts_a", "contexts_b", "events_a", "properties.n", "properties.s", "properties.acc",
        "properties.b", "custom_properties.n", "custom_properties.u",
    ],
    EXECUTION: ["contexts_a", "events_a", "events_b", "properties.n"],
    CONTEXT: ["parent_contexts_a", "child_contexts_a", "artifacts_a", "executions_a", "properties.n"],
}  # fmt: skip
INTS = {
    "artifact": ["id", "create_time_since_epoch"], "execution": ["id"], "context": ["id"], "contexts": ["id"],
    "parent_contexts": ["id"], "child_contexts": ["id"], "artifacts": ["id"], "executions": ["id"],
    "events": ["milliseconds_since_epoch"], "properties": ["int_value"], "custom_properties": ["int_value"],
}  # fmt: skip
STRINGS = {
    "artifact": ["name", "uri", "type", "external_id"], "execution": ["name", "type"],
    "context": ["name", "type"],
    "contexts": ["name", "type"], "parent_contexts": ["name", "type"], "child_contexts": ["name", "type"],
    "artifacts": ["name", "uri", "type", "external_id"], "executions": ["name", "type"],
    "properties": ["string_value"], "custom_properties": ["string_value"],
}  # fmt: skip
FLOATS = {"properties": ["double_value"], "custom_properties": ["double_value"]}
BOOLS = {"properties": ["bool_value"], "custom_properties": ["bool_value"]}
ENUMS = {
    "artifact": ("state", ["LIVE", "PENDING", "ABANDONED"], [2, 1, 5]),
    "artifacts": ("state", ["LIVE", "PENDING", "ABANDONED"], [2, 1, 5]),
    "execution": ("last_known_state", ["RUNNING", "COMPLETE"], [2, 3]),
    "executions": ("last_known_state", ["RUNNING", "COMPLETE"], [2, 3]),
    "events": ("type", ["INPUT", "OUTPUT", "PENDING_OUTPUT"], [3, 4, 7]),
}
WORDS = [
    "m1", "M1", "m2", "d1", "e1", "r1", "p1", "Model", "Run", "Train", "/p/1", "foo", "50", "5.0", "", "it's",
    "漢€😀", "a%b_c",
]  # fmt: skip
PATTERNS = ["m%", "M_", "%1", "/p%", "", "%", "_%", "漢%", "%😀", "__", "%o%", r"%\\_%", r"a\\%b%"]


def lifted(function: Callable[..., object], *terms: Evaluate) -> Evaluate:
    """NULL if any operand is."""

    def evaluate(rows: Rows) -> object:
        values = [term(rows) for term in terms]
        return None if None in values else function(*values)

    return evaluate


def conjunction(values: list[object]) -> object:
    return False if False in values else None if None in values else True


def negation(value: object) -> object:
    return None if value is None else not value


def within_64_bits(value: int) -> int:
    if not -(2**63) <= value < 2**63:
        raise Overflow
    return value


def wrapped(value: int) -> int:
    """The low 64 bits, as a signed number."""
    return (value + 2**63) % 2**64 - 2**63


def shifted_left(value: int, bits: int) -> int | None:
    return None if bits < 0 else wrapped(value << bits) if bits < 64 else 0


def shifted_right(value: int, bits: int) -> int | None:
    return None if bits < 0 else wrapped(value % 2**64 >> bits)


def remainder(value: int, divisor: int) -> int | None:
    return None if divisor == 0 else int(math.fmod(value, divisor))


def quotient(value: float, divisor: float) -> float | None:
    return None if divisor == 0 else value / divisor


def rounded(value: float) -> int:
    return within_64_bits(int(math.copysign(math.floor(abs(value) + 0.5), value)))


def integer_in(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[+-]?[0-9]+", text) else None


def part(text: str, start: int, count: int = 2**40) -> str | None:
    begin = start - 1 if start > 0 else max(len(text) + start, 0) if start else 0
    return None if count < 0 else text[begin : begin + count]


INTEGER_OPERATORS = {
    "+": lambda a, b: within_64_bits(a + b),
    "-": lambda a, b: within_64_bits(a - b),
    "*": lambda a, b: within_64_bits(a * b),
    "^": operator.xor, "&": operator.and_, "|": operator.or_, "<<": shifted_left, ">>": shifted_right,
}  # fmt: skip
FLOAT_OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": quotient}


class Author:
    """Writes conditions on nodes of ``kind`` that speak of the labels ``labels``."""

    def __init__(self, random: Random, kind: NodeKind, labels: list[str], backend: str) -> None:
        self.random = random
        self.sources = ["", *labels]
        self.kind = kind
        self.backend = backend

    def column(self, columns: Mapping[str, list[str]]) -> Term | None:
        source = self.random.choice(self.sources)
        fields = columns.get(family_of(source) if source else self.kind.name)
        if not fields:
            return None
        field = self.random.choice(fields)
        return f"{source}.{field}" if source else field, lambda rows: rows[source][field]

    def integer(self, depth: int) -> Term:
        choice = self.random.randrange(12 if depth else 2)
        if choice == 0:
            value = self.random.choice([-1, 0, 1, 2, 3, 5, 50, 63, 64, 100, 2**40, 2**63 - 1, -(2**63)])
            return str(value), lambda rows: value
        if choice == 1:
            return self.column(INTS) or self.integer(0)
        if choice == 2:
            text, a = self.string(depth - 1)
            return f"LENGTH({text})", lifted(len, a)
        if choice == 3:
            text, a = self.string(depth - 1)
            return f"CAST({text} AS INT64)", lifted(integer_in, a)
        if choice == 4:
            number, a = self.float(depth - 1)
            return f"CAST({number} AS INT64)", lifted(rounded, a)
        (left, a), (right, b) = self.integer(depth - 1), self.integer(depth - 1)
        if choice == 5:
            return f"COALESCE({left}, {right})", lambda rows: b(rows) if a(rows) is None else a(rows)
        if choice == 6:
            condition, c = self.condition(depth - 1)
            return f"IF({condition}, {left}, {right})", lambda rows: a(rows) if c(rows) else b(rows)
        if choice == 7:
            return f"ABS({left})", lifted(lambda value: within_64_bits(abs(value)), a)
        if choice == 8:
            return f"MOD({left}, {right})", lifted(remainder, a, b)
        if choice == 9:
            return f"~({left})", lifted(operator.invert, a)
        sign, function = self.random.choice(list(INTEGER_OPERATORS.items()))
        return f"({left} {sign} {right})", lifted(function, a, b)

    def float(self, depth: int) -> Term:
        choice = self.random.randrange(5 if depth else 2)
        if choice == 0:
            value = self.random.choice([0.5, -0.5, 2.5, 0.9, 2.0, 1e3, 0.1])
            return str(value), lambda rows: value
        if choice == 1:
            return self.column(FLOATS) or self.float(0)
        if choice == 2:
            number, a = self.integer(depth - 1)
            return f"CAST({number} AS FLOAT64)", lifted(float, a)
        (left, a), (right, b) = self.float(depth - 1), self.float(depth - 1)
        sign, function = self.random.choice(list(FLOAT_OPERATORS.items()))
        return f"({left} {sign} {right})", lifted(function, a, b)

    def string(self, depth: int) -> Term:
        choice = self.random.randrange(9 if depth else 2)
        if choice == 0:
            value = self.random.choice(WORDS)
            return repr(value), lambda rows: value
        if choice == 1:
            return self.column(STRINGS) or self.string(0)
        (left, a), (right, b) = self.string(depth - 1), self.string(depth - 1)
        if choice == 2:
            return f"CONCAT({left}, {right})", lifted(operator.add, a, b)
        if choice == 3:
            return f"LOWER({left})", lifted(str.lower, a)
        if choice == 4:
            return f"UPPER({left})", lifted(str.upper, a)
        if choice == 5:
            condition, c = self.condition(depth - 1)
            return f"CASE WHEN {condition} THEN {left} END", lambda rows: a(rows) if c(rows) else None
        start, b = self.integer(depth - 1)
        if choice == 6:
            return f"SUBSTR({left}, {start})", lifted(part, a, b)
        if choice == 7:
            count, c = self.integer(0)
            return f"SUBSTR({left}, {start}, {count})", lifted(part, a, b, c)
        return f"CAST({start} AS STRING)", lifted(str, b)

    def enum(self) -> Term | None:
        source = self.random.choice(self.sources)
        known = ENUMS.get(family_of(source) if source else self.kind.name)
        if known is None:
            return None
        field, words, numbers = known
        column = f"{source}.{field}" if source else field
        some = self.random.sample(range(len(words)), 2)
        word, number = words[some[0]], numbers[some[0]]
        listed, members = ", ".join(words[i] for i in some), {numbers[i] for i in some}
        return self.random.choice([
            (f"{column} = {word}", lifted(lambda value: value == number, lambda rows: rows[source][field])),
            (f"{column} <> {word}", lambda rows: rows[source][field] != number),
            (f"{column} IN({listed})", lifted(lambda v: v in members, lambda rows: rows[source][field])),
            (f"{column} NOT IN ({listed})", lambda rows: rows[source][field] not in members),
        ])  # fmt: skip

    def match(self) -> Term:
        """LIKE and its like."""
        text, a = self.string(1)
        choice = self.random.randrange(3)
        if choice == 0:
            pattern = self.random.choice(PATTERNS)
            return f"{text} LIKE '{pattern}'", lifted(lambda value: self.is_like(value, pattern), a)
        affix, b = self.string(1)
        if choice == 1:
            return f"STARTS_WITH({text}, {affix})", lifted(str.startswith, a, b)
        return f"ENDS_WITH({text}, {affix})", lifted(str.endswith, a, b)

    def is_like(self, value: str, pattern: str) -> bool:
        # MySQL's _ is a byte of UTF-8; SQLite's LIKE ignores the case of ASCII letters.
        of = (lambda text: text.encode().decode("latin1")) if self.backend == "mysql" else str
        pieces = re.findall(r"\\\\.|.", pattern)
        expression = "".join(
            {"%": ".*", "_": "."}.get(p) or re.escape(of(p.removeprefix("\\\\"))) for p in pieces
        )
        flags = re.IGNORECASE if self.backend == "sqlite" else 0
        return bool(re.fullmatch(expression, of(value), flags | re.DOTALL))

    def condition(self, depth: int) -> Term:
        choice = self.random.randrange(15 if depth else 10)
        kind_of_value = self.random.choice([self.integer, self.string, self.float])
        left, a = kind_of_value(min(depth, 2))
        right, b = kind_of_value(0)
        if choice <= 2:
            sign = self.random.choice(list(COMPARE))
            return f"{left} {sign} {right}", lifted(COMPARE[sign], a, b)
        if choice == 3:
            return f"{left} IS NULL", lambda rows: a(rows) is None
        if choice == 4:
            last, c = kind_of_value(0)
            return f"{left} BETWEEN {right} AND {last}", lambda rows: conjunction(
                [lifted(operator.le, b, a)(rows), lifted(operator.le, a, c)(rows)]
            )
        if choice == 5:
            last, c = kind_of_value(0)
            no = self.random.random() < 0.5
            found = lambda rows: negation(  # noqa: E731
                conjunction([lifted(operator.ne, a, b)(rows), lifted(operator.ne, a, c)(rows)])
            )
            if no:
                return f"{left} NOT IN ({right}, {last})", lambda rows: negation(found(rows))
            return f"{left} IN ({right}, {last})", found
        if choice in (6, 7):
            return self.match()
        if choice == 8:
            return self.column(BOOLS) or self.condition(0)
        if choice == 9:
            return self.enum() or self.condition(0)
        (left, a), (right, b) = self.condition(depth - 1), self.condition(depth - 1)
        if choice == 10:
            return f"NOT ({left})", lambda rows: negation(a(rows))
        if choice == 11:
            word, value = self.random.choice([("TRUE", True), ("FALSE", False), ("UNKNOWN", None)])
            return f"({left}) IS {word}", lambda rows: a(rows) is value
        if choice == 12:
            return f"({left}) = ({right})", lifted(operator.eq, a, b)
        if choice == 13:
            return f"({left}) OR ({right})", lambda rows: negation(
                conjunction([negation(a(rows)), negation(b(rows))])
            )
        return f"({left}) AND ({right})", lambda rows: conjunction([a(rows), b(rows)])


def family_of(label: str) -> str:
    return label.partition(".")[0] if "properties" in label else label.rpartition("_")[0]
