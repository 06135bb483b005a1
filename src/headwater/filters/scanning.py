"""The words of a filter: names, literals and operators, each with its place in the text.

Literals follow GoogleSQL: either kind of quote, tripled or raw, with backslash escapes; decimal, hex and
floating numbers. Nothing is looked at before it is asked for, so that a text refused early costs little.
"""

import re
from typing import NamedTuple

from headwater.filters.faults import Fault

NAME, QUOTED, INT, FLOAT, STRING, SYMBOL, END = (
    "name", "quoted name", "integer", "number", "string", "symbol", "end of the filter"
)  # fmt: skip

_BLANK = re.compile(r"(?:\s+|--[^\n\r]*|#[^\n\r]*|/\*[^*]*(?:\*(?!/)[^*]*)*\*/)*")
_TOKEN = re.compile(
    r"""
    (?P<string>[rRbB]{0,2}['"])
  | (?P<name>[A-Za-z_][0-9A-Za-z_]*)
  | (?P<quoted>`[^`]*`)
  | (?P<hex>0[xX][0-9a-fA-F]+)
  | (?P<float>[0-9]+\.[0-9]*(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+)
  | (?P<int>[0-9]+)
  | (?P<symbol><>|<=|>=|<<|>>|!=|\|\||[()=<>+\-*/&|^~,])
    """,
    re.VERBOSE,
)
_PART = re.compile(r"\.(?:([0-9A-Za-z_]+)|`([^`]*)`)")
_WORD = re.compile(r"[0-9A-Za-z_]")
_STRING_ENDS = {
    "'": re.compile(r"[^'\\\n\r]*(?:\\.[^'\\\n\r]*)*'", re.DOTALL),
    '"': re.compile(r'[^"\\\n\r]*(?:\\.[^"\\\n\r]*)*"', re.DOTALL),
    "'''": re.compile(r"[^'\\]*(?:(?:\\.|'(?!''))[^'\\]*)*'''", re.DOTALL),
    '"""': re.compile(r'[^"\\]*(?:(?:\\.|"(?!""))[^"\\]*)*"""', re.DOTALL),
}
_ESCAPE = re.compile(
    r"\\(?:[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|(.))", re.DOTALL
)
_SIMPLE = dict(zip("abfnrtv\\?\"'`", "\a\b\f\n\r\t\v\\?\"'`", strict=True))
_MAX_PARTS = 8
_NOT_FILTERS = {
    ";": "a filter is one expression and ends without ';'",
    "@": "filters have no parameters; write the value itself",
    "?": "filters have no parameters; write the value itself",
    "!": "'!' is written NOT",
}


class Part(NamedTuple):
    """What stands between the dots of a name."""

    text: str
    is_quoted: bool = False


class Token(NamedTuple):
    kind: str
    text: str
    """As written; the words of NAME in the case in which they are written."""
    at: int
    """Offset in the filter."""
    value: int | float | str | None = None
    """Of a literal."""
    parts: tuple[Part, ...] = ()
    """Of a name."""

    @property
    def keyword(self) -> str:
        """The token as grammar sees it: symbols and simple names in upper case, "" for all else."""
        if self.kind == SYMBOL or (self.kind == NAME and len(self.parts) == 1):
            return self.text.upper()
        return ""

    def __str__(self) -> str:
        if self.kind == END:
            return self.kind
        shown = self.text if len(self.text) <= 40 else self.text[:37] + "..."
        return shown if self.kind in (NAME, QUOTED, INT, FLOAT, STRING) else f"'{shown}'"


class Scanner:
    """Hands out the tokens of ``text`` one by one."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._position = 0
        self._ahead: list[Token] = []
        self.latest: Token | None = None
        """The token that ``next`` gave last."""

    def next(self) -> Token:
        """The next token; END for ever after the last.

        Raises:
            Fault: what follows is no token.
        """
        self.latest = token = self._ahead.pop(0) if self._ahead else self._scan()
        return token

    def peek(self, ahead: int = 0) -> Token:
        """The token that ``next`` gives after ``ahead`` others."""
        while len(self._ahead) <= ahead:
            self._ahead.append(self._scan())
        return self._ahead[ahead]

    def _scan(self) -> Token:
        text = self.text
        blank = _BLANK.match(text, self._position)
        at = blank.end() if blank else self._position
        if at >= len(text):
            self._position = at
            return Token(END, "", len(text))
        match = None if text.startswith("/*", at) else _TOKEN.match(text, at)
        if match is None:
            raise self._no_token(at)
        self._position = match.end()
        kind, written = match.lastgroup, match.group()
        if kind == "string":
            return self._string(at, written)
        if kind == "name":
            return self._name(at, Part(written))
        if kind == "quoted":
            return self._name(at, Part(written[1:-1], is_quoted=True))
        if kind == "symbol":
            return Token(SYMBOL, written, at)
        if _WORD.match(text, self._position):
            raise Fault(f"expected a blank or an operator after {written}", self._position)
        if kind == "float":
            return Token(FLOAT, written, at, float(written))
        if len(written) > 100:
            raise Fault("integers have at most 64 bits", at)
        return Token(INT, written, at, int(written, 16 if kind == "hex" else 10))

    def _name(self, at: int, first: Part) -> Token:
        parts = [first]
        while match := _PART.match(self.text, self._position):
            self._position = match.end()
            bare, quoted = match.groups()
            parts.append(Part(quoted, is_quoted=True) if bare is None else Part(bare))
            if len(parts) > _MAX_PARTS:
                raise Fault("a name has at most three parts; one with dots in it stands in back quotes", at)
        if any(not part.text for part in parts):
            raise Fault("a name is empty", at)
        kind = QUOTED if len(parts) == 1 and first.is_quoted else NAME
        return Token(kind, self.text[at : self._position], at, parts=tuple(parts))

    def _string(self, at: int, opening: str) -> Token:
        prefix, quote = opening[:-1].lower(), opening[-1]
        if prefix not in ("", "r"):
            raise Fault("bytes are not compared; the only prefix of a string is r, for raw", at)
        if self.text.startswith(quote * 3, self._position - 1):
            quote *= 3
            self._position += 2
        start = self._position
        match = _STRING_ENDS[quote].match(self.text, start)
        if match is None:
            advice = "" if len(quote) == 3 else "; a line break is written \\n"
            raise Fault(f"this string has no closing {quote}{advice}", at)
        self._position = match.end()
        body = self.text[start : match.end() - len(quote)]
        value = body if prefix == "r" else self._unescape(body, start)
        if "\0" in value:
            raise Fault("no stored text holds the character 0, so this matches nothing", at)
        return Token(STRING, self.text[at : match.end()], at, value)

    def _unescape(self, body: str, start: int) -> str:
        def replace(match: re.Match[str]) -> str:
            *codes, octal, simple = match.groups()
            if simple is not None:
                if simple not in _SIMPLE:
                    raise Fault(
                        f"unknown escape \\{simple}; a backslash is written \\\\", start + match.start()
                    )
                return _SIMPLE[simple]
            digits = next((code for code in codes if code), None)
            number = int(octal, 8) if digits is None else int(digits, 16)
            if number > 0x10FFFF or 0xD800 <= number < 0xE000:
                raise Fault(f"{match.group()} is no character", start + match.start())
            return chr(number)

        return _ESCAPE.sub(replace, body) if "\\" in body else body

    def _no_token(self, at: int) -> Fault:
        char = self.text[at]
        if char == "`":
            return Fault("this name has no closing `", at)
        if self.text.startswith("/*", at):
            return Fault("this comment has no closing */", at)
        if char == ".":
            return Fault("no blanks are allowed around the dots of a name", at)
        return Fault(_NOT_FILTERS.get(char, f"{char!r} has no meaning here"), at)
