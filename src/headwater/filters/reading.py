"""From the text of a filter to its shape and its values.

The shape is the filter without what varies: literals, labels and property names have become numbered
operands. It is cut into groups, one for each parenthesis, function or CASE; a group names the groups
inside it, so each is a flat expression that a recursive parser reads at no depth at all. For

    properties.acc.double_value > 0.9 AND (name = 'a' OR name = 'b')

the groups are ``a2 = a3 OR a4 = a5`` and ``a0 > a1 AND g0``. Operands and operators are checked to
alternate here, where the place of each is known.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from headwater.filters import limits
from headwater.filters.faults import Fault, near_miss
from headwater.filters.names import Mention, Type, Words, resolve
from headwater.filters.scanning import END, FLOAT, INT, NAME, QUOTED, STRING, Scanner, Token
from headwater.filters.shapes import Draft, Shape
from headwater.storage.kinds import NodeKind

FUNCTIONS = (
    "ABS", "COALESCE", "CONCAT", "ENDS_WITH", "IF", "IFNULL", "LENGTH", "LOWER", "MOD", "STARTS_WITH",
    "SUBSTR", "UPPER",
)  # fmt: skip
CAST_TYPES = ("STRING", "INT64", "FLOAT64", "BOOL")
ENUM_PREDICATES = {"=": "enum_eq", "!=": "enum_ne", "IN": "enum_in", "NOT IN": "enum_not_in"}

_LITERALS = {INT: Type.INT64, FLOAT: Type.FLOAT64, STRING: Type.STRING}
_COMPARISONS = ("=", "!=", "<>", "<", "<=", ">", ">=")
_ARITHMETIC = ("+", "-", "*", "/", "&", "|", "^", "<<", ">>", "||")
_POSTFIX = ("IS", "IN", "NOT", "LIKE", "BETWEEN")
_WORDS = frozenset((
    "AND", "OR", "NOT", "IN", "LIKE", "BETWEEN", "IS", "NULL", "TRUE", "FALSE", "UNKNOWN",
    "CASE", "WHEN", "THEN", "ELSE", "END", "CAST", "AS",
))  # fmt: skip
_MAX_INT, _MIN_INT = 2**63 - 1, -(2**63)


def read(text: str, kind: NodeKind) -> tuple[Shape, dict[str, object]]:
    """The shape of ``text`` and the values of its parameters.

    Raises:
        Fault: the text is no expression, or larger than a limit.
    """
    try:
        too_long = len(text) > limits.MAX_TEXT_BYTES or len(text.encode()) > limits.MAX_TEXT_BYTES
    except UnicodeEncodeError as error:
        raise Fault("half a character", error.start) from None
    if too_long:
        raise Fault(f"longer than {limits.MAX_TEXT_BYTES} bytes", None)
    return _Reader(text, kind).read()


@dataclass
class _Frame:
    """A bracket that is open: ``(``, ``IN (``, a function, CAST, CASE, or the whole text."""

    kind: str
    opened: Token
    words: list[str] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    members: list[Token] = field(default_factory=list)
    """Literals of an IN list, gathered."""
    stage: str = ""
    """The last of WHEN, THEN, ELSE in a CASE; AS in a CAST."""

    def add(self, word: str, at: int) -> None:
        self.words.append(word)
        self.places.append(at)


class _Reader:
    def __init__(self, text: str, kind: NodeKind) -> None:
        self._scanner = Scanner(text)
        self._kind = kind
        self._draft = Draft(kind)
        self._frames: list[_Frame] = []
        self._prefixes = 0
        self._before: Token | None = None
        """The token in front of the one that is looked at."""

    def read(self) -> tuple[Shape, dict[str, object]]:
        self._frames.append(_Frame("whole", self._scanner.peek()))
        wants_value = True
        while True:
            token = self._scanner.next()
            if wants_value:
                wants_value = self._value(token)
            elif token.kind == END:
                break
            else:
                wants_value = self._operator(token)
            self._before = self._scanner.latest
        if len(self._frames) > 1:
            frame = self._frames[-1]
            raise Fault(
                f"{'this CASE has no END' if frame.kind == 'case' else 'this ( has no )'}", frame.opened.at
            )
        self._close_group()
        return self._draft.finish(), self._draft.values

    # Where a value must follow. Each returns whether a value must follow still.

    def _value(self, token: Token) -> bool:
        frame, keyword = self._frames[-1], token.keyword
        if keyword in ("NOT", "-", "~", "+"):
            return self._prefix(token, keyword)
        self._prefixes = 0
        if keyword == "(":
            self._open(_Frame("group", token))
            return True
        if keyword == "CASE":
            self._open(_Frame("case", token), "CASE")
            # CASE WHEN ..., or CASE value WHEN ...
            if self._scanner.peek().keyword == "WHEN":
                self._case_word(self._scanner.next())
            return True
        if keyword in ("TRUE", "FALSE", "NULL"):
            frame.add(self._draft.constant(keyword, token.at), token.at)
            return False
        if token.kind in _LITERALS:
            if self._is_member(frame):
                return self._member(frame, token)
            frame.add(self._draft.literal(_LITERALS[token.kind], _within_64_bits(token), token.at), token.at)
            return False
        if token.kind in (NAME, QUOTED) and keyword not in _WORDS:
            if self._scanner.peek().keyword == "(" and len(token.parts) == 1:
                self._function(token, keyword)
                return True
            self._column(token)
            return False
        if keyword == "CAST" and self._scanner.peek().keyword == "(":
            self._open(_Frame("cast", self._scanner.next()), "CAST", "(")
            return True
        raise self._value_missing(token)

    def _value_missing(self, token: Token) -> Fault:
        before = self._before
        if before is None:
            what = "nothing but blanks" if token.kind == END else str(token)
            return Fault(f"expected a condition, found {what}", token.at)
        if before.keyword == token.keyword == "=":
            return Fault("equality is written with one '='", token.at)
        after = before.keyword if before.keyword.isalpha() else str(before)
        what = f"a list in parentheses after {after}" if before.keyword == "IN" else f"a value after {after}"
        return Fault(
            f"expected {what}, found {token.keyword if token.keyword.isalpha() else token}", token.at
        )

    def _prefix(self, token: Token, keyword: str) -> bool:
        following = self._scanner.peek()
        if keyword in ("-", "+") and following.kind in (INT, FLOAT):
            self._scanner.next()
            sign = -1 if keyword == "-" else 1
            assert isinstance(following.value, int | float)
            signed = Token(following.kind, keyword + following.text, token.at, sign * following.value)
            return self._value(signed)
        self._prefixes += 1
        if self._prefixes > limits.MAX_DEPTH:
            raise Fault(f"more than {limits.MAX_DEPTH} NOTs or signs in a row", token.at)
        self._draft.count_operand(token.at)
        # Not every database has a unary plus.
        for word in ("-", "-") if keyword == "+" else (keyword,):
            self._frames[-1].add(word, token.at)
        return True

    def _function(self, name: Token, keyword: str) -> None:
        if keyword not in FUNCTIONS:
            raise Fault(
                f"unknown function {name}{near_miss(keyword, FUNCTIONS)}; "
                f"there are {', '.join(FUNCTIONS)}, CASE and CAST",
                name.at,
            )
        self._scanner.next()
        self._open(_Frame("call", name), f"f_{keyword.lower()}", "(")

    def _column(self, token: Token) -> None:
        mention = resolve(self._kind, token)
        operator = self._enum_operator(mention)
        column = self._draft.column(mention, token.at)
        if operator is None or mention.words is None:
            self._frames[-1].add(column, token.at)
            return
        if self._before is not None and self._before.keyword in (*_COMPARISONS, *_ARITHMETIC):
            raise Fault(f"put parentheses around the comparison of {token}", token.at)
        for _ in operator.split():
            self._before = self._scanner.next()
        words = self._enum_list(operator, mention.words) if "IN" in operator else [
            self._enum_word(self._scanner.next(), mention.words, f"'{operator}'")
        ]  # fmt: skip
        value = words if "IN" in operator else words[0]
        literal = self._draft.literal(Type.INT64, value, token.at)
        for word in (ENUM_PREDICATES[operator], "(", column, ",", literal, ")"):
            self._frames[-1].add(word, token.at)
        if self._scanner.peek().keyword in (*_COMPARISONS, *_ARITHMETIC, *_POSTFIX):
            raise Fault(f"put parentheses around the comparison of {token}", token.at)

    def _enum_operator(self, mention: Mention) -> str | None:
        if mention.words is None:
            return None
        operator = self._scanner.peek().keyword
        if operator == "NOT" and self._scanner.peek(1).keyword == "IN":
            return "NOT IN"
        return {"=": "=", "!=": "!=", "<>": "!=", "IN": "IN"}.get(operator)

    def _enum_list(self, operator: str, words: Words) -> list[int]:
        opening = self._scanner.next()
        if opening.keyword != "(":
            raise Fault(f"expected a list in parentheses after {operator}, found {opening}", opening.at)
        members = [self._enum_word(self._scanner.next(), words, "'('")]
        while (separator := self._scanner.next()).keyword == ",":
            members.append(self._enum_word(self._scanner.next(), words, "','"))
            if len(members) > limits.MAX_IN_MEMBERS:
                raise _too_many_members(separator)
        if separator.keyword != ")":
            raise Fault(f"expected ',' or ')', found {separator}", separator.at)
        return members

    def _enum_word(self, token: Token, words: Words, after: str) -> int:
        if token.kind == NAME and token.text in words:
            return words[token.text]
        advice = near_miss(token.text.strip("'\"").upper(), words)
        if token.kind == STRING and token.value in words:
            advice = f"; write {token.value} without quotes"
        elif token.kind == INT and token.value in words.values():
            advice = f"; {token.text} is {next(w for w, n in words.items() if n == token.value)}"
        raise Fault(f"expected one of {', '.join(words)} after {after}, found {token}{advice}", token.at)

    def _is_member(self, frame: _Frame) -> bool:
        """Whether the literal just read stands alone in an IN list."""
        starts = self._before is not None and self._before.keyword in ("(", ",") and not self._prefixes
        return frame.kind == "in" and starts and self._scanner.peek().keyword in (",", ")")

    def _member(self, frame: _Frame, token: Token) -> bool:
        _within_64_bits(token)
        frame.members.append(token)
        if len(frame.members) > limits.MAX_IN_MEMBERS:
            raise _too_many_members(token)
        return False

    # Where an operator must follow.

    def _operator(self, token: Token) -> bool:
        frame, keyword = self._frames[-1], token.keyword
        if keyword in ("AND", "OR"):
            self._draft.count_condition(token.at)
        elif keyword == ")":
            self._close(token)
            return False
        elif keyword == "," and frame.kind in ("call", "in"):
            if frame.words and frame.words[-1] != ",":
                frame.add(",", token.at)
            return True
        elif keyword in ("WHEN", "THEN", "ELSE", "END") and frame.kind == "case":
            return self._case_word(token)
        elif keyword == "AS" and frame.kind == "cast":
            self._cast_type(token)
            return False
        elif keyword == "NOT" and self._scanner.peek().keyword in ("LIKE", "IN", "BETWEEN"):
            frame.add("NOT", token.at)
            self._before = token
            return self._operator(self._scanner.next())
        elif keyword == "IS":
            self._is(token)
            return False
        elif keyword == "IN":
            opening = self._scanner.peek()
            self._before = token
            if opening.keyword != "(":
                raise self._value_missing(opening)
            frame.add(keyword, token.at)
            self._open(_Frame("in", self._scanner.next()))
            return True
        elif keyword not in (*_COMPARISONS, *_ARITHMETIC, "LIKE", "BETWEEN"):
            raise self._operator_missing(token)
        frame.add(keyword, token.at)
        return True

    def _operator_missing(self, token: Token) -> Fault:
        if token.keyword == "ESCAPE":
            return Fault("LIKE has no ESCAPE; '%' and '_' are escaped by a backslash", token.at)
        before = self._before
        return Fault(f"expected an operator, AND or OR after {before}, found {token}", token.at)

    def _is(self, token: Token) -> None:
        # Handed on as ``LIKE is_null``, which binds the same: sqlglot takes UNKNOWN for NULL.
        frame = self._frames[-1]
        following = self._scanner.next()
        if following.keyword == "NOT":
            frame.add("NOT", following.at)
            following = self._scanner.next()
        if following.keyword not in ("NULL", "TRUE", "FALSE", "UNKNOWN"):
            raise Fault(f"expected NULL, TRUE, FALSE or UNKNOWN after IS, found {following}", following.at)
        frame.add("LIKE", token.at)
        frame.add(f"is_{following.keyword.lower()}", following.at)

    def _cast_type(self, token: Token) -> None:
        frame, type_ = self._frames[-1], self._scanner.next()
        if frame.stage or type_.keyword not in CAST_TYPES:
            raise Fault(f"expected one of {', '.join(CAST_TYPES)} after AS, found {type_}", type_.at)
        if self._scanner.peek().keyword != ")":
            raise Fault(f"expected ')' after {type_}, found {self._scanner.peek()}", self._scanner.peek().at)
        frame.stage = "AS"
        frame.add("AS", token.at)
        frame.add(type_.keyword, type_.at)

    def _case_word(self, token: Token) -> bool:
        frame, keyword = self._frames[-1], token.keyword
        allowed = {"": "WHEN", "WHEN": "THEN", "THEN": "WHEN ELSE END", "ELSE": "END"}[frame.stage].split()
        if keyword not in allowed:
            raise Fault(f"expected {' or '.join(allowed)}, found {keyword}", token.at)
        frame.stage = keyword
        frame.add(keyword, token.at)
        if keyword == "END":
            self._close_group()
            return False
        self._draft.count_condition(token.at)
        return True

    # Brackets

    def _open(self, frame: _Frame, *words: str) -> None:
        self._prefixes = 0
        if len(self._frames) > limits.MAX_PARENTHESES:
            raise _too_deep(frame.opened)
        for word in words:
            frame.add(word, frame.opened.at)
        self._frames.append(frame)

    def _close(self, token: Token) -> None:
        frame = self._frames[-1]
        if frame.kind in ("whole", "case"):
            raise Fault("this ) closes nothing", token.at)
        if frame.kind == "cast" and not frame.stage:
            raise Fault(f"expected AS and a type, {', '.join(CAST_TYPES)}, found ')'", token.at)
        if frame.kind == "in":
            self._close_list(token)
            return
        if frame.kind != "group":
            frame.add(")", token.at)
        self._close_group()

    def _close_list(self, token: Token) -> None:
        frame = self._frames.pop()
        if frame.words and frame.words[-1] == ",":
            frame.words.pop()
            frame.places.pop()
        if frame.members:
            if frame.words:
                frame.add(",", token.at)
            frame.add(self._member_list(frame.members), frame.members[0].at)
        outer = self._frames[-1]
        outer.add("(", frame.opened.at)
        outer.words += frame.words
        outer.places += frame.places
        outer.add(")", token.at)

    def _member_list(self, members: Sequence[Token]) -> str:
        types = {_LITERALS[member.kind] for member in members}
        if Type.STRING in types and len(types) > 1:
            other = next(m for m in members if (m.kind == STRING) != (members[0].kind == STRING))
            raise Fault(f"the members of a list are of one type; {members[0]} and {other} are not", other.at)
        type_ = Type.FLOAT64 if Type.FLOAT64 in types else next(iter(types))
        return self._draft.literal(type_, [member.value for member in members], members[0].at)

    def _close_group(self) -> None:
        frame = self._frames.pop()
        # Parentheses around a name or around parentheses mean nothing.
        is_needed = len(frame.words) > 1 or not self._frames
        word = self._draft.group(frame.words, frame.places) if is_needed else frame.words[0]
        if self._frames:
            self._frames[-1].add(word, frame.opened.at)


def _within_64_bits(token: Token) -> object:
    if token.kind == INT and not _MIN_INT <= token.value <= _MAX_INT:  # type: ignore[operator]  # an int
        raise Fault(f"{token} does not fit in 64 bits", token.at)
    if token.kind == FLOAT and token.value in (float("inf"), float("-inf")):
        raise Fault(f"{token} is larger than any number that is stored", token.at)
    return token.value


def _too_deep(token: Token) -> Fault:
    return Fault(f"nested too deeply; at most {limits.MAX_PARENTHESES} parentheses may be open", token.at)


def _too_many_members(token: Token) -> Fault:
    return Fault(f"a list has at most {limits.MAX_IN_MEMBERS} members; send several filters", token.at)
