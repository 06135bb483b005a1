"""The shape of a filter: what remains when literals, labels and property names are taken out.

Filters of one shape have the same SQL. ``Draft`` collects a shape while a text is read, and keeps to the
limits; the values taken out are the values of the statement's parameters.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from headwater.filters import limits
from headwater.filters.faults import Fault
from headwater.filters.names import Mention, Type, node_family
from headwater.storage.dialects import Values
from headwater.storage.kinds import NodeKind


@dataclass(frozen=True)
class Neighbour:
    """A row beside the node that the filter speaks of."""

    family: str
    parameter: str | None
    """Of a property, the parameter that holds its name."""


@dataclass(frozen=True)
class Column:
    neighbour: int | None
    """Index in ``Shape.neighbours``; ``None`` for the node itself."""
    field: str
    type: Type

    def __str__(self) -> str:
        return f"{'' if self.neighbour is None else self.neighbour}.{self.field}"


@dataclass(frozen=True)
class Literal:
    """A value, or a list of values, bound as ``parameter``."""

    parameter: str
    type: Type
    is_list: bool = False

    def __str__(self) -> str:
        return self.type.value + "[]" * self.is_list


@dataclass(frozen=True)
class Constant:
    word: str
    """TRUE, FALSE or NULL."""

    def __str__(self) -> str:
        return self.word


Operand = Column | Literal | Constant


@dataclass(frozen=True)
class Group:
    """An expression without parentheses, in words with blanks between.

    ``a0`` stands for the first operand, ``g0`` for the first group.
    """

    text: str
    places: tuple[int, ...] = field(compare=False)
    """For each word its offset in the filter."""


@dataclass(frozen=True)
class Shape:
    """Equal for filters that differ in values only; the places are those of one of them."""

    kind: NodeKind
    groups: tuple[Group, ...]
    """Each after the groups that it names; the last is the whole."""
    operands: tuple[Operand, ...]
    neighbours: tuple[Neighbour, ...]
    operand_places: tuple[int, ...] = field(compare=False)

    def __str__(self) -> str:
        groups = (group.text for group in self.groups)
        neighbours = (neighbour.family for neighbour in self.neighbours)
        return "\n".join((*groups, " ".join(map(str, self.operands)), " ".join(neighbours)))


class Draft:
    """A shape in the making, and its values. What is added gives the word that stands for it."""

    def __init__(self, kind: NodeKind) -> None:
        self.values: dict[str, object] = {}
        self._kind = kind
        self._groups: list[Group] = []
        self._operands: list[Operand] = []
        self._places: list[int] = []
        self._neighbours: dict[tuple[str, str], Neighbour] = {}
        self._indexes: dict[tuple[str, str], int] = {}
        self._conditions = 1
        self._counted = 0

    def finish(self) -> Shape:
        return Shape(
            self._kind,
            tuple(self._groups),
            tuple(self._operands),
            tuple(self._neighbours.values()),
            tuple(self._places),
        )

    def group(self, words: Sequence[str], places: Sequence[int]) -> str:
        self._groups.append(Group(" ".join(words), tuple(places)))
        return f"g{len(self._groups) - 1}"

    def literal(self, type_: Type, value: object, at: int) -> str:
        parameter = f"filter_{len(self._operands)}"
        is_list = isinstance(value, list)
        self.values[parameter] = Values(value) if isinstance(value, list) else value
        return self._operand(Literal(parameter, type_, is_list), at)

    def constant(self, word: str, at: int) -> str:
        return self._operand(Constant(word), at)

    def column(self, mention: Mention, at: int) -> str:
        neighbour = None if mention.family is node_family(self._kind) else self._neighbour(mention, at)
        return self._operand(Column(neighbour, mention.field, mention.type), at)

    def _neighbour(self, mention: Mention, at: int) -> int:
        key = mention.family.name, mention.label
        if key not in self._neighbours:
            index = self._indexes[key] = len(self._neighbours)
            if index >= limits.MAX_NEIGHBOURS:
                raise Fault(
                    f"more than {limits.MAX_NEIGHBOURS} different properties and neighbours; "
                    "send several filters",
                    at,
                )
            parameter = None
            if mention.family.is_property:
                parameter = f"filter_name_{index}"
                self.values[parameter] = mention.label
            self._neighbours[key] = Neighbour(mention.family.name, parameter)
        return self._indexes[key]

    def _operand(self, operand: Operand, at: int) -> str:
        self.count_operand(at)
        self._operands.append(operand)
        self._places.append(at)
        return f"a{len(self._operands) - 1}"

    def count_operand(self, at: int) -> None:
        self._counted += 1
        if self._counted > limits.MAX_OPERANDS:
            raise Fault(f"more than {limits.MAX_OPERANDS} names and literals; send several filters", at)

    def count_condition(self, at: int) -> None:
        self._conditions += 1
        if self._conditions > limits.MAX_CONDITIONS:
            raise Fault(f"more than {limits.MAX_CONDITIONS} conditions; send several filters", at)
