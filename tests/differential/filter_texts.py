"""Filter texts drawn from a grammar: mostly well formed, some with one fault, a few torn to pieces.

The tables hold what MLMD's filter language knows: the names a kind has, the neighbours, the enum words. What
the engine gets wrong (F2 to F16, see ``expected``) is in ``QUIRKS``, each with what to ask it instead.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from google.protobuf.message import Message

from .steps import Translation

NAMES = {
    "artifact": ("n1", "n2", "n3", "n4", "n5", "n9"), "execution": ("n1", "n2", "n3", "n4", "n5", "n9"),
    "context": ("c1", "c2", "c3", "c4", "c5", "c15"),
}  # fmt: skip
STRINGS = {"uri": ("", "u1", "u2", "s3://b/k"), "external_id": ("x1", "x2", "x3")}
STATES = ("UNKNOWN", "PENDING", "LIVE", "MARKED_FOR_DELETION", "DELETED")
EXECUTION_STATES = ("UNKNOWN", "NEW", "RUNNING", "COMPLETE", "FAILED", "CACHED", "CANCELED")
EVENT_TYPES = ("INPUT", "OUTPUT", "DECLARED_INPUT", "DECLARED_OUTPUT", "INTERNAL_INPUT", "INTERNAL_OUTPUT")
INT_OPERATORS = ("=", "!=", "<>", "<", "<=", ">", ">=")
STRING_OPERATORS = ("=", "!=", "<>", "<", ">=", "<=", ">")
PROPERTIES = {
    "int_value": ("i", "i2"),
    "double_value": ("d",),
    "string_value": ("s", "my prop"),
    "bool_value": ("b",),
}
CUSTOM = {
    "int_value": ("ci", "cv"),
    "double_value": ("cd",),
    "string_value": ("cs", "cv", "a:b.c"),
    "bool_value": ("cb",),
}
DATABASE_ONLY = (
    "REGEXP_CONTAINS(name, 'n')",
    "id IN UNNEST([1])",
    "EXISTS(SELECT 1)",
    "TRIM(name) = 'n1'",
    "DIV(id, 2) = 1",
)
"""What the engine hands on to the database, which mostly does not know it (F11)."""
BEYOND = ("id = 9223372036854775808", "id < 18446744073709551615")
NEIGHBOURS = {
    "artifact": ("contexts", "events"),
    "execution": ("contexts", "events"),
    "context": ("parent_contexts", "child_contexts", "artifacts", "executions"),
}
TYPE_NAMES = ("T1", "T2", "T3", "mlmd.Dataset")

INVALID = (
    "   ", "id", "id = '1'", "id == 1", "id = 1;", "id = @p", "nosuch = 1", "name = NULL", "1 < id < 3", "contexts.id = 1",
    "properties.i = 5", "properties.i.struct_value = 'x'", "create_time_since_epoch = '2020-01-01'", "state = 'LIVE'",
    "state = live", "state = 2", "state IN LIVE", "`state` = LIVE", "STATE = LIVE", "LIVE = state", "state BETWEEN PENDING AND LIVE",
    "last_known_state = 'NEW'", "last_known_state = DONE", "name LIKE 'm%' ESCAPE '!'", "properties.b.bool_value = 1",
    "contexts_a.external_id = 'x'", "contexts_a.uri = 'x'", "events_0.name = 'x'",
    "description = 'x'", "id = 1 AND", "AND id = 1", "(id = 1", "id = 1)", "name = 'n1", "id IN ()", "id BETWEEN 1", "NOT",
    "id = 1 XOR id = 2", "id IS DISTINCT FROM 1", "id = 1 id = 2", "name LIKE 1", "'a' = 1", "properties.i.int_value = 'x'",
    "Properties.i.int_value = 1", "properties . i . int_value = 1", "properties.i.INT_VALUE = 1", "name = 'a' 'b'", "id = 1.5.2",
    "TRUE = 1", "NOT id", "id AND TRUE", "name + 1 = 2", "id = ?", "(id = 1) = 1", "id IN (1, 'a')", "name BETWEEN 1 AND 2",
    "custom_properties.``.int_value = 1", "type_version = '1'", "parent_contexts_a.uri = ''", "SELECT 1", "id = (SELECT 1",
)  # fmt: skip
VALID = (
    "TRUE", "FALSE", "id = 1 -- c", "id = 1 # c", "/* c */ id = 1", "id = 0x1", "id | 1 = 1", "id & 1 = 1", "id + 1 = 2", "id / 2 = 1",
    "-id = -1", "id << 1 = 2", "id * 2 - 1 = 3", "`id` = 1", "(name = 'n1') IS NOT UNKNOWN", "(name = 'n1') IS FALSE",
    "(name = 'n1') IS TRUE", "(name = 'n1') IS NOT TRUE", "name = r'n1'", "name = '''n1'''", "name BETWEEN 'c' AND 'n2'", "id = 1e0",
    "id < 2.5", "LENGTH(name) = 2", "COALESCE(name, 'none') = 'none'", "CASE WHEN id = 1 THEN TRUE ELSE FALSE END", "ID = 1",
    "id IN (1, NULL)", "LOWER(name) = 'n1'", "UPPER(name) = 'N1'", "SUBSTR(name, 1, 1) = 'n'", "NOT TRUE", "name IS NULL IS FALSE",
    "((((id = 1))))", "id=1 or id=2", "id NOT BETWEEN 1 AND 3", "name NOT LIKE '%1'", "TRUE = FALSE", "id != id", "id = id",
    "1 = 1", "'a' = 'a'", "NULL IS NULL", "id IN (1)", "id IN (1, 1)", "name = 'n\\x31'", "id = 9223372036854775807",
    "id = -9223372036854775808", "name < 'n2' AND TRUE", "id - 1", "id >= 1 AND id <= 2 OR name = 'n1'", "NOT NOT id = 1",
    "name = \"n1\"", "name LIKE ''", "name LIKE '_1'", "name LIKE '%'", "name != ''", "~id = -2", "id >> 1 = 1", "+id = 1",
    "id = 1 OR NULL", "NULL", "name = 'n1' AND NULL IS NULL", "name IN ('n1', 'n2')", "type = 'T1'", "id = - 1", "id = --1\n1", "id BETWEEN 1 AND 2 AND TRUE",
)  # fmt: skip


@dataclass(frozen=True)
class Quirk:
    """A filter at which the engine fails, and what to ask it instead; ``finding`` as in ``expected``."""

    finding: str
    kinds: Sequence[str]
    text: str
    instead: Translation


A, E, C = ("artifact",), ("execution",), ("context",)
ALL = ("artifact", "execution", "context")


def _custom(name: str, value: str, text: str) -> Callable[[Message], bool]:
    """Whether a node has a custom property with this value; ``value`` names the member of the oneof."""

    def holds(node: Message) -> bool:
        if name not in node.custom_properties or not node.custom_properties[name].HasField(value):
            return False
        return getattr(node.custom_properties[name], value) == text

    return holds


QUIRKS = (
    Quirk("F2", A, "state = LIVE OR state = LIVE", "state = LIVE"),
    Quirk("F2", A, "state != LIVE OR state = LIVE", "TRUE"),
    Quirk("F2", E, "last_known_state = NEW OR last_known_state = NEW", "last_known_state = NEW"),
    Quirk("F2", A, "events_0.type = INPUT AND events_1.type = INPUT", "events_0.type = INPUT"),
    Quirk("F2", E, "events_0.type = INPUT OR events_0.type != INPUT", "events_0.type > 0"),
    Quirk(
        "F3",
        ALL,
        "properties.MyProp.int_value >= 0",
        lambda n: (
            "MyProp" in n.properties
            and n.properties["MyProp"].HasField("int_value")
            and n.properties["MyProp"].int_value >= 0
        ),
    ),
    Quirk("F3", ALL, "properties.I.int_value IS NOT NULL", "FALSE"),
    Quirk("F3", ALL, "custom_properties.CS.string_value = 'v1'", _custom("CS", "string_value", "v1")),
    Quirk("F4", ALL, "custom_properties.`x*`.string_value = 'v1'", _custom("x*", "string_value", "v1")),
    Quirk("F5", A, "uri = 'a\\\\b'", lambda n: n.uri == "a\\b"),
    Quirk("F5", A, "uri = 'line\\nbreak'", lambda n: n.uri == "line\nbreak"),
    Quirk(
        "F5",
        ALL,
        "custom_properties.cs.string_value = 'both \\' and \"'",
        _custom("cs", "string_value", "both ' and \""),
    ),
    Quirk("F5", ALL, "custom_properties.cs.string_value LIKE '\\\\%_'", _custom("cs", "string_value", "%_")),
    Quirk("F6", C, "parent_contexts_a.create_time_since_epoch > 0", "parent_contexts_a.id > 0"),
    Quirk("F6", C, "child_contexts_a.last_update_time_since_epoch > 0", "child_contexts_a.id > 0"),
    Quirk("F6", C, "artifacts_a.external_id IS NULL OR artifacts_a.external_id != ''", "artifacts_a.id > 0"),
    Quirk(
        "F6",
        C,
        "artifacts_a.state != LIVE",
        "artifacts_a.state < 2 OR artifacts_a.state > 2 OR artifacts_a.state IS NULL",
    ),
    Quirk(
        "F6",
        C,
        "executions_a.last_known_state NOT IN (NEW)",
        "executions_a.last_known_state < 1 OR executions_a.last_known_state > 1 OR executions_a.last_known_state IS NULL",
    ),
    Quirk("F7", ALL, "name = 'name'", lambda n: n.name == "name"),
    Quirk("F7", A, "uri = 'uri'", lambda n: n.uri == "uri"),
    Quirk("F7", ALL, "type = 'type'", "FALSE"),
    Quirk("F7", ALL, "custom_properties.name.string_value = 'v1'", _custom("name", "string_value", "v1")),
    Quirk("F7", ALL, "custom_properties.cs.string_value = 'name'", _custom("cs", "string_value", "name")),
    Quirk("F10", A, "name = 'state = LIVE' OR uri = 'u1'", "uri = 'u1'"),
    Quirk("F11", ALL, "CONCAT(name, 'x') = 'n1x'", "name = 'n1'"),
    Quirk("F11", ALL, "name || 'x' = 'n1x'", "name = 'n1'"),
    Quirk("F11", ALL, "IF(id = 1, TRUE, FALSE)", "id = 1"),
    Quirk("F11", ALL, "STARTS_WITH(name, 'n')", lambda n: n.name.startswith("n")),
    Quirk("F11", ALL, "ENDS_WITH(name, '1')", lambda n: n.name.endswith("1")),
    Quirk("F11", ALL, "MOD(id, 2) = 1", lambda n: n.id % 2 == 1),
    Quirk("F11", ALL, "id ^ 1 = 0", "id = 1"),
    Quirk("F13", ALL, "properties.b.bool_value OR properties.`b`.bool_value", "properties.b.bool_value"),
    Quirk(
        "F14",
        ("artifact", "execution"),
        "contexts_A.id = 1 AND contexts_a.id = 2",
        "contexts_b.id = 1 AND contexts_a.id = 2",
    ),
    Quirk("F15", A, "state = ABANDONED", lambda n: n.state == 5),
    Quirk("F15", A, "state IN (LIVE, REFERENCE)", lambda n: n.state in (2, 6)),
    Quirk("F15", A, "state != REFERENCE", lambda n: n.state != 6),
    Quirk("F15", ("artifact", "execution"), "events_0.type = PENDING_OUTPUT", "events_0.type > 6"),
    Quirk("F15", ("artifact", "execution"), "events_0.type != UNKNOWN", "events_0.type > 0"),
    Quirk("F16", A, "state <> LIVE", "state != LIVE"),
    Quirk("F16", A, "state IN(LIVE)", "state IN (LIVE)"),
    Quirk("F16", E, "last_known_state NOT IN(NEW, FAILED)", "last_known_state NOT IN (NEW, FAILED)"),
)
"""F2 one enum predicate twice, F3 capitals in property names, F4 special characters in them, F5 escapes, F6 fields
of neighbours, F7 texts equal to column names, F10 enum predicates inside of texts, F11 functions, F13 one property
in both spellings, F14 labels that differ in case only, F15 missing enum words, F16 blanks and ``<>``."""


def draw(random: Random, kind: str, *, step_number: int) -> str:
    """A filter for nodes of ``kind``; ``step_number`` is the present one, for marks of time."""
    luck = random.random()
    if luck < 0.10:
        return random.choice(INVALID)
    if luck < 0.20:
        return random.choice(VALID)
    if luck < 0.205:
        return random.choice((*DATABASE_ONLY, *BEYOND))
    text = _Grammar(random, kind, step_number).expression(random.choice((0, 1, 1, 2, 2, 3)))
    return _torn(random, text) if luck < 0.28 else text


def _torn(random: Random, text: str) -> str:
    tokens = re.findall(r"'[^']*'|`[^`]*`|\w+|\s+|[^\w\s]", text)
    for _ in range(random.choice((1, 1, 2))):
        if not tokens:
            break
        position = random.randrange(len(tokens))
        match random.randrange(3):
            case 0:
                del tokens[position]
            case 1:
                tokens.insert(position, tokens[random.randrange(len(tokens))])
            case 2:
                other = random.randrange(len(tokens))
                tokens[position], tokens[other] = tokens[other], tokens[position]
    return "".join(tokens)


class _Grammar:
    def __init__(self, random: Random, kind: str, step_number: int) -> None:
        self._random = random
        self._kind = kind
        self._step_number = step_number

    def expression(self, depth: int) -> str:
        if depth == 0:
            return self._predicate()
        match self._random.randrange(8):
            case 0:
                return f"NOT {self.expression(depth - 1)}"
            case 1:
                return f"({self.expression(depth - 1)})"
            case 2 | 3:
                return f"{self.expression(depth - 1)} {self._random.choice(('AND', 'and'))} {self.expression(depth - 1)}"
            case _:
                return f"{self.expression(depth - 1)} {self._random.choice(('OR', 'or'))} {self.expression(depth - 1)}"

    def _predicate(self) -> str:
        draws = [self._id, self._string, self._string, self._type, self._time, self._property, self._property]
        draws += [self._state, self._state, self._neighbour, self._neighbour]
        return self._random.choice(draws)()

    def _integers(self, column: str, values: Sequence[str]) -> str:
        choice = self._random.choice
        match self._random.randrange(6):
            case 0:
                return f"{column} {choice(('IN', 'NOT IN'))} ({', '.join(choice(values) for _ in range(choice((1, 2, 3))))})"
            case 1:
                return f"{column} {choice(('BETWEEN', 'NOT BETWEEN'))} {choice(values)} AND {choice(values)}"
            case 2:
                return f"{column} IS {choice(('NULL', 'NOT NULL'))}"
            case _:
                return f"{column} {choice(INT_OPERATORS)} {choice(values)}"

    def _strings(self, column: str, values: Sequence[str]) -> str:
        choice = self._random.choice
        match self._random.randrange(6):
            case 0:
                return f"{column} {choice(('IN', 'NOT IN'))} ({', '.join(repr(choice(values)) for _ in range(choice((1, 2))))})"
            case 1:
                return f"{column} {choice(('LIKE', 'NOT LIKE'))} '{choice(('n%', '%1', '_2', 'u_', '%', 'X%', 'c%'))}'"
            case 2:
                return f"{column} IS {choice(('NULL', 'NOT NULL'))}"
            case _:
                return f"{column} {choice(STRING_OPERATORS)} '{choice(values)}'"

    def _words(self, column: str, words: Sequence[str]) -> str:
        choice = self._random.choice
        if "UNKNOWN" not in words and self._random.random() < 0.05:
            words = (*words, "PENDING_OUTPUT", "UNKNOWN")
        match self._random.randrange(6):
            case 0:
                some = ", ".join(self._random.sample(list(words), k=choice((1, 2, 3))))
                return f"{column} {choice(('IN', 'NOT IN'))} ({some})"
            case 1:
                return f"{column} IS {choice(('NULL', 'NOT NULL'))}"
            case 2:
                return f"{column} {choice(('<', '>', '>=', '<='))} {choice(('1', '2', '3'))}"
            case 3:
                return f"{column} != {choice(words)}"
            case _:
                return f"{column} = {choice(words)}"

    def _id(self) -> str:
        return self._integers(
            self._random.choice(("id", "id", "type_id")),
            [str(n) for n in (1, 2, 3, 5, 8, 10, 12, 13, 15, 18, 20)],
        )

    def _string(self) -> str:
        columns = ["name", "name", "external_id"]
        # uri is on artifacts only; elsewhere it is an unknown name, drawn seldom.
        if self._kind == "artifact" or self._random.random() < 0.03:
            columns.append("uri")
        column = self._random.choice(columns)
        return self._strings(column, NAMES[self._kind] if column == "name" else STRINGS[column])

    def _type(self) -> str:
        return self._strings("type", TYPE_NAMES)

    def _time(self) -> str:
        column = self._random.choice(("create_time_since_epoch", "last_update_time_since_epoch"))
        return f"{column} {self._random.choice(('<', '>='))} @T{self._random.randint(0, self._step_number)}@"

    def _state(self) -> str:
        wrong = self._random.random() < 0.03
        if self._kind == "artifact" or wrong:
            return self._words("state", STATES)
        if self._kind == "execution":
            return self._words("last_known_state", EXECUTION_STATES)
        return self._id()

    def _property(self) -> str:
        custom = self._random.random() < 0.5
        names = CUSTOM if custom else PROPERTIES
        column = self._random.choice(list(names))
        if self._random.random() < 0.1:
            column = self._random.choice(list(names))
            name = self._random.choice(names[self._random.choice(list(names))])
        else:
            name = self._random.choice(names[column])
        if not name.isidentifier() or self._random.random() < 0.2:
            name = f"`{name}`"
        column = f"{'custom_' if custom else ''}properties.{name}.{column}"
        if column.endswith("int_value"):
            return self._integers(column, ("0", "1", "2", "-3", "7"))
        if column.endswith("double_value"):
            return self._integers(column, ("0.5", "1.25", "-2.0", "1e3", "2"))
        if column.endswith("string_value"):
            return self._strings(column, ("v1", "v2", "", "n1"))
        return self._random.choice(
            (
                column,
                f"{column} = TRUE",
                f"{column} != false",
                f"NOT {column}",
                f"{column} IS NULL",
                f"{column} IS TRUE",
            )
        )

    def _neighbour(self) -> str:
        neighbours = NEIGHBOURS[self._kind]
        if self._random.random() < 0.02:
            neighbours = ("contexts", "events", "artifacts", "executions", "parent_contexts")
        neighbour = self._random.choice(neighbours)
        alias = f"{neighbour}_{self._random.choice(('a', 'a', 'b', '0'))}"
        if neighbour == "events":
            other = "execution_id" if self._kind == "artifact" else "artifact_id"
            match self._random.randrange(3):
                case 0:
                    return self._words(f"{alias}.type", EVENT_TYPES)
                case 1:
                    return self._integers(f"{alias}.{other}", ("1", "2", "3", "4", "7"))
                case _:
                    return f"{alias}.milliseconds_since_epoch {self._random.choice(('<', '>='))} {self._random.choice(('0', '100', '@T3@'))}"
        match self._random.randrange(6 if neighbour in ("artifacts", "executions") else 5):
            case 0:
                return self._integers(f"{alias}.id", ("1", "2", "3", "4"))
            case 1 | 2:
                return self._strings(f"{alias}.name", NAMES[neighbour.removesuffix("s").rpartition("_")[2]])
            case 3:
                return self._strings(f"{alias}.type", TYPE_NAMES)
            case 4:
                if neighbour in ("parent_contexts", "child_contexts"):
                    return self._integers(f"{alias}.id", ("1", "2", "3"))
                column = self._random.choice(("create_time_since_epoch", "last_update_time_since_epoch"))
                return f"{alias}.{column} {self._random.choice(('<', '>='))} @T{self._random.randint(0, self._step_number)}@"
            case _:
                if neighbour == "artifacts":
                    return self._random.choice(
                        (f"{alias}.state = {self._random.choice(STATES)}", f"{alias}.uri = 'u1'")
                    )
                return f"{alias}.last_known_state = {self._random.choice(EXECUTION_STATES)}"
