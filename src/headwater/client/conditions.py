"""Conditions on runs as people write them: ``metrics.auc > 0.9``, ``params.model = 'small'``.

A condition is a field, an operator and a value; several in one text are joined by AND. Texts stand in quotes
of either kind, a quote within them doubled. What is wrong is said with its column, as for filters.
"""

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, NoReturn, Protocol

from headwater.client.values import Plain, to_value
from headwater.errors import InvalidRequest
from headwater.v1 import pipelines_pb2 as pp

_NAMED: Mapping[str, str] = {
    **dict.fromkeys(("param", "params", "parameter", "parameters"), "PARAMETER"),
    **dict.fromkeys(("metric", "metrics"), "METRIC"),
    **dict.fromkeys(("tag", "tags"), "TAG"),
}
_PLAIN: Mapping[str, str] = {
    "state": "STATE",
    "owner": "OWNER",
    "trigger": "TRIGGER",
    "name": "NAME",
    "run": "NAME",
    "started": "START_MS",
    "start_ms": "START_MS",
    "commit": "COMMIT",
}
_FIELDS = "params.NAME, metrics.NAME, tags.NAME, state, owner, trigger, name, started or commit"
_OPERATORS: Mapping[str, str] = {
    "=": "EQUAL",
    "==": "EQUAL",
    "!=": "NOT_EQUAL",
    "<>": "NOT_EQUAL",
    "<": "LESS",
    "<=": "LESS_OR_EQUAL",
    ">": "GREATER",
    ">=": "GREATER_OR_EQUAL",
    "LIKE": "LIKE",
}
_STATES = ("RUNNING", "COMPLETE", "FAILED", "CANCELED")

_BLANK = re.compile(r"\s*")
_FIELD = re.compile(r"([A-Za-z_]+)(\.(?:`([^`]*)`|([^\s=!<>`'\"]*)))?")
_OPERATOR = re.compile(r"<=|>=|<>|==|!=|=|<|>|LIKE(?!\w)", re.IGNORECASE)
_QUOTED = re.compile(r"'((?:[^']|'')*)'|\"((?:[^\"]|\"\")*)\"")
_BARE = re.compile(r"[^\s'\"`=<>!]+")
_AND = re.compile(r"AND(?!\w)", re.IGNORECASE)
_INT = re.compile(r"[+-]?[0-9]+")
_DOUBLE = re.compile(
    r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf|infinity|nan)", re.IGNORECASE
)
_AGE = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smhdw])")
_AGES_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_LARGEST_INT = 2**63


class FieldLike(Protocol):
    """What a run is chosen or ordered by."""

    @property
    def kind(self) -> str:
        """A name of ``RunCondition.Field``."""

    @property
    def name(self) -> str:
        """Of the parameter, metric or tag; empty for the others."""


class ConditionLike(Protocol):
    """One comparison."""

    @property
    def field(self) -> FieldLike: ...

    @property
    def operator(self) -> str:
        """A name of ``RunCondition.Operator``."""

    @property
    def value(self) -> Plain: ...


@dataclass(frozen=True)
class Field:
    """What a run is chosen or ordered by, as ``FieldLike``."""

    kind: str
    name: str = ""


@dataclass(frozen=True)
class Condition:
    """One comparison, as ``ConditionLike``."""

    field: Field
    operator: str
    value: Plain


def read_field(text: str, *, what: str = "field") -> Field:
    """The field that ``text`` is; ``what`` names it in an error.

    Raises:
        InvalidRequest: it is none; the message says where and what there is.
    """
    reader = _Reader(text, what)
    field = reader.field()
    reader.expect_end()
    return field


def read_conditions(text: str) -> list[Condition]:
    """The conditions of ``text``, all of which must be met.

    Raises:
        InvalidRequest: not a condition; the message says where.
    """
    reader = _Reader(text, "condition")
    found = [reader.condition()]
    while reader.is_joined():
        found.append(reader.condition())
    return found


def condition_messages(where: "str | ConditionLike | Iterable[str | ConditionLike]") -> list[pp.RunCondition]:
    """The wire's conditions for texts or for conditions that were read before.

    Raises:
        InvalidRequest: as ``read_conditions``, or a value that cannot be compared with.
    """
    conditions: list[ConditionLike] = []
    for one in where if isinstance(where, Iterable) and not isinstance(where, str) else [where]:
        if isinstance(one, str):
            conditions += read_conditions(one)
        else:
            conditions.append(one)
    return [
        pp.RunCondition(
            field=condition.field.kind,
            name=condition.field.name,
            operator=condition.operator,
            value=to_value(condition.value),
        )
        for condition in conditions
    ]


class _Word(NamedTuple):
    at: int
    text: str
    is_quoted: bool


class _Reader:
    """Reads a text from its beginning to its end."""

    def __init__(self, text: str, what: str) -> None:
        self._text = text
        self._what = what
        self._at = 0
        self._skip_blank()

    def condition(self) -> Condition:
        field = self.field()
        at, operator = self._operator()
        word = self._value(operator)
        kind = field.kind
        if kind == "START_MS":
            value: Plain = self._moment(word)
        elif kind == "METRIC":
            value = self._number(word)
        elif kind == "PARAMETER":
            value = self._parameter(word)
        else:
            value = self._text_of(word, kind, operator)
        if operator == "LIKE" and not isinstance(value, str):
            self._refuse(at, "LIKE compares with a text in quotes")
        if isinstance(value, bool) and operator not in ("=", "==", "!=", "<>"):
            self._refuse(at, f"{operator} compares numbers and texts; truth values are equal (=) or not (!=)")
        return Condition(field, _OPERATORS[operator], value)

    def field(self) -> Field:
        at, found = self._at, _FIELD.match(self._text, self._at)
        if found is None:
            self._refuse(at, f"expected {_FIELDS}, found {self._found()}")
        group, dotted = found[1].lower(), found[2]
        name = found[3] if found[3] is not None else found[4]
        if group in _NAMED:
            if not name:
                self._refuse(found.end(), f"expected a name after {found[1]!r}, for example {found[1]}.auc")
            self._go(found.end())
            return Field(_NAMED[group], name)
        if group not in _PLAIN:
            self._refuse(at, f"there is no field {found[0]!r}; there are {_FIELDS}")
        if dotted is not None:
            self._refuse(found.end(1), f"{found[1]!r} has no parts, found {dotted!r}")
        self._go(found.end())
        return Field(_PLAIN[group])

    def is_joined(self) -> bool:
        """Whether another condition follows."""
        if self._at == len(self._text):
            return False
        joined = _AND.match(self._text, self._at)
        if joined is None:
            self._refuse(self._at, f"expected AND or the end, found {self._found()}")
        self._go(joined.end())
        return True

    def expect_end(self) -> None:
        if self._at != len(self._text):
            self._refuse(self._at, f"expected nothing more, found {self._found()}")

    def _operator(self) -> tuple[int, str]:
        at, found = self._at, _OPERATOR.match(self._text, self._at)
        if found is None:
            self._refuse(at, f"expected one of = != < <= > >= LIKE, found {self._found()}")
        self._go(found.end())
        return at, found[0].upper()

    def _value(self, operator: str) -> _Word:
        at = self._at
        quoted = _QUOTED.match(self._text, at)
        if quoted is not None:
            self._go(quoted.end())
            quote = quoted[0][0]
            return _Word(at, quoted[0][1:-1].replace(quote * 2, quote), True)
        if self._text[at : at + 1] in ("'", '"'):
            self._refuse(at, f"the text that begins with {self._text[at]} does not end")
        bare = _BARE.match(self._text, at)
        if bare is None or _AND.fullmatch(bare[0]):
            self._refuse(at, f"expected a value after {operator!r}, found {self._found()}")
        self._go(bare.end())
        return _Word(at, bare[0], False)

    def _number(self, word: _Word) -> int | float:
        number = None if word.is_quoted else _number(word.text)
        if number is None:
            self._refuse(word.at, f"a metric is a number; expected one, found {self._shown(word)}")
        return number

    def _parameter(self, word: _Word) -> Plain:
        if word.is_quoted:
            return word.text
        if word.text.lower() in ("true", "false"):
            return word.text.lower() == "true"
        number = _number(word.text)
        if number is None:
            self._refuse(
                word.at,
                f"expected a number, true, false or a text in quotes, found {word.text!r}; "
                f"if it is a text, write '{word.text}'",
            )
        return number

    def _text_of(self, word: _Word, kind: str, operator: str) -> str:
        if kind != "STATE" or operator == "LIKE":
            return word.text
        if word.text.upper() not in _STATES:
            self._refuse(word.at, f"a run is {', '.join(_STATES)}, never {word.text!r}")
        return word.text.upper()

    def _moment(self, word: _Word) -> int:
        """Milliseconds since the epoch."""
        age = _AGE.fullmatch(word.text)
        if age is not None:
            return time.time_ns() // 1_000_000 - round(float(age[1]) * _AGES_MS[age[2]])
        if _INT.fullmatch(word.text) and len(word.text) > 8 and abs(int(word.text)) < _LARGEST_INT:
            return int(word.text)
        # Python 3.10 does not know Z.
        text = re.sub("[zZ]$", "+00:00", word.text)
        try:
            # Without an offset it is a local time.
            return round(datetime.fromisoformat(text).timestamp() * 1_000)
        except (ValueError, OverflowError, OSError):
            self._refuse(
                word.at,
                "expected a time, 2026-01-31 or 2026-01-31T12:30, an age in s, m, h, d or w like 7d, or "
                f"milliseconds since 1970, found {self._shown(word)}",
            )

    def _go(self, at: int) -> None:
        self._at = at
        self._skip_blank()

    def _skip_blank(self) -> None:
        blank = _BLANK.match(self._text, self._at)
        assert blank is not None
        self._at = blank.end()

    def _found(self) -> str:
        rest = self._text[self._at :].split(maxsplit=1)
        return repr(rest[0][:40]) if rest else f"the end of the {self._what}"

    def _shown(self, word: _Word) -> str:
        return repr(word.text[:40]) if word.is_quoted else word.text[:40]

    def _refuse(self, at: int, message: str) -> NoReturn:
        shown = "".join(c if c.isprintable() else " " for c in self._text)
        raise InvalidRequest(f"{self._what}, column {at + 1}: {message}\n{shown}\n{' ' * at}^")


def _number(text: str) -> int | float | None:
    if _INT.fullmatch(text) and abs(int(text)) < _LARGEST_INT:
        return int(text)
    return float(text) if _DOUBLE.fullmatch(text) else None
