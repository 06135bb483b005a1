"""Where the pasts of two nodes differ: their executions side by side, step by step.

Executions of steps stand beside those of the same step, others beside those of the same type and name.
What decided a step, its components (``headwater.fingerprint``), is then compared by name.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format

from headwater.fingerprint import Difference, differences, made_text
from headwater.graph import events
from headwater.graph.events import Bounds, Reader, column_of, leading_on, other
from headwater.lineage import Direction
from headwater.storage.kinds import ARTIFACT, EXECUTION, NodeKind
from headwater.storage.model import PARAMETER, STEP_TYPE
from headwater.storage.nodes import batches, read_messages
from headwater.storage.transactions import Transaction
from headwater.storage.values import struct_in
from headwater.v1 import metadata_store_pb2 as pb

MOST_EXECUTIONS = 20_000
"""Of each of the two."""


@dataclass(frozen=True)
class Step:
    """An execution, as it is compared."""

    key: tuple[str, str]
    """What it is compared by: its type, and the name of its step or its own."""
    name: str
    """What to call the step."""
    hops: int
    execution_id: int
    components: Mapping[str, str]


@dataclass(frozen=True)
class StepDifference:
    """A step that is not the same on both sides, or only on one."""

    name: str
    hops: int
    """From the nodes that are compared, the smaller of both."""
    a: Step | None
    b: Step | None
    differences: Sequence[Difference] = ()

    @property
    def only_inputs(self) -> bool:
        """Whether all that differs is what it was given."""
        return bool(self.differences) and all(
            difference.component.startswith("input:") for difference in self.differences
        )


@dataclass(frozen=True)
class Comparison:
    """What two pasts have in common and what not."""

    steps: Sequence[StepDifference]
    """Nearest first, then by the name of the step."""
    equal_steps: int
    nodes_left: int
    """Nodes of either past that were not looked at."""


def compare(
    tx: Transaction, a: tuple[NodeKind, int], b: tuple[NodeKind, int], bounds: Bounds, *, max_hops: int | None
) -> Comparison:
    """Compare what the two nodes were made by, back to the sources or for ``max_hops``."""
    upstream_a, left_a = _executions_upstream(tx, *a, bounds, max_hops)
    upstream_b, left_b = _executions_upstream(tx, *b, bounds, max_hops)
    stored = _Compared()
    stored.read(tx, sorted(upstream_a.keys() | upstream_b.keys()))
    by_key_a, by_key_b = stored.by_key(upstream_a), stored.by_key(upstream_b)
    found: list[StepDifference] = []
    equal = 0
    for key in by_key_a.keys() | by_key_b.keys():
        for one, another in _pairs(by_key_a.get(key, []), by_key_b.get(key, [])):
            if one is not None and another is not None and one.components == another.components:
                equal += 1
            else:
                found.append(_difference(one, another))
    found.sort(key=lambda step: (step.hops, step.name, step.a is None, (step.a or step.b).execution_id))  # type: ignore[union-attr]  # one of them is
    return Comparison(found, equal, left_a + left_b)


def _difference(a: Step | None, b: Step | None) -> StepDifference:
    there = [step for step in (a, b) if step is not None]
    named, hops = there[0].name, min(step.hops for step in there)
    if a is None or b is None:
        return StepDifference(named, hops, a, b)
    return StepDifference(named, hops, a, b, differences(a.components, b.components))


def _pairs(of_a: Sequence[Step], of_b: Sequence[Step]) -> Iterator[tuple[Step | None, Step | None]]:
    """Executions of one step side by side: first those that are equal, then the nearest to the nearest."""
    unlike: dict[int, Step] = {step.execution_id: step for step in of_b}
    by_components: dict[str, list[Step]] = defaultdict(list)
    for step in reversed(of_b):
        by_components[_as_text(step.components)].append(step)
    left: list[Step] = []
    for step in of_a:
        if step.execution_id in unlike:
            yield step, unlike.pop(step.execution_id)
        else:
            left.append(step)
    of_a, left = left, []
    for step in of_a:
        equal = by_components[_as_text(step.components)]
        while equal and equal[-1].execution_id not in unlike:
            equal.pop()
        if equal:
            yield step, unlike.pop(equal.pop().execution_id)
        else:
            left.append(step)
    rest = list(unlike.values())
    for index in range(max(len(left), len(rest))):
        yield (
            left[index] if index < len(left) else None,
            rest[index] if index < len(rest) else None,
        )


def _executions_upstream(
    tx: Transaction, kind: NodeKind, node_id: int, bounds: Bounds, max_hops: int | None
) -> tuple[dict[int, int], int]:
    """How many hops up each execution is, and how many nodes were left out because they are too many."""
    reader = Reader(tx)
    met: dict[NodeKind, dict[int, int]] = {ARTIFACT: {}, EXECUTION: {}}
    met[kind][node_id] = 0
    level, hops = [node_id], 0
    while level and (max_hops is None or hops < max_hops):
        there = other(kind)
        at, types = column_of(there), leading_on(kind, Direction.UPSTREAM)
        hops += 1
        beyond: set[int] = set()
        for rows in events.all_of(reader, kind, level, types, bounds):
            beyond.update(row[at] for row in rows if row[at] not in met[there])
            if len(met[EXECUTION]) + len(beyond) > MOST_EXECUTIONS and there is EXECUTION:
                return met[EXECUTION], len(beyond)
        met[there].update(dict.fromkeys(beyond, hops))
        kind, level = there, sorted(beyond)
    return met[EXECUTION], 0


class _Compared:
    """What matters of executions, read once."""

    def __init__(self) -> None:
        self._steps: dict[int, tuple[tuple[str, str], str, Mapping[str, str]]] = {}
        self._original: dict[int, int] = {}
        """Of an execution whose outputs are those of another, that one."""

    def read(self, tx: Transaction, ids: Sequence[int]) -> None:
        for batch in batches(ids):
            tx.check_caller()
            for node_id, node in read_messages(tx, EXECUTION, batch).items():
                assert isinstance(node, pb.Execution)
                self._steps[node_id] = (_key_of(node), _name_of(node), _components_of(node))
                if node.last_known_state == pb.Execution.CACHED:
                    self._original[node_id] = node.properties["cached_execution_id"].int_value

    def by_key(self, hops: Mapping[int, int]) -> dict[tuple[str, str], list[Step]]:
        """The executions with these ids by what they are compared by, nearest first, then by id.

        Hits are left out where the execution that they reuse is there: they made nothing.
        """
        found: dict[tuple[str, str], list[Step]] = defaultdict(list)
        for node_id in sorted(hops, key=lambda node_id: (hops[node_id], node_id)):
            if node_id in self._steps and self._original.get(node_id) not in hops:
                key, name, components = self._steps[node_id]
                found[key].append(Step(key, name, hops[node_id], node_id, components))
        return found


def _is_step(node: pb.Execution) -> bool:
    return node.type == STEP_TYPE.name and "step" in node.properties


def _key_of(node: pb.Execution) -> tuple[str, str]:
    return node.type, node.properties["step"].string_value if _is_step(node) else node.name


def _name_of(node: pb.Execution) -> str:
    if _is_step(node):
        return node.properties["step"].string_value
    return f"{node.type}/{node.name}" if node.name else node.type


def _components_of(node: pb.Execution) -> dict[str, str]:
    """What decided the execution, as texts by name; without that, its properties."""
    if node.type != STEP_TYPE.name:
        declared = {name: _value_text(value) for name, value in node.properties.items()}
        return {name: _value_text(value) for name, value in node.custom_properties.items()} | declared
    if "components" in node.properties:
        fields = struct_in(node.properties["components"]).fields
        # By which execution something in memory was made is no difference of what it was made of.
        return {name: made_text(value.string_value) for name, value in fields.items()}
    # A step without fingerprint: what was recorded of its code, its environment and its parameters.
    found = {
        f"parameter:{name.removeprefix(PARAMETER)}": _value_text(value)
        for name, value in node.custom_properties.items()
        if name.startswith(PARAMETER)
    }
    for name in ("code", "environment"):
        if name in node.properties:
            parts = json_format.MessageToDict(node.properties[name].struct_value)
            found |= {f"{name}:{part}": _as_text(parts[part]) for part in parts}
    return found


def _value_text(value: pb.Value) -> str:
    case = value.WhichOneof("value")
    if case is None:
        return ""
    if case == "string_value":
        return value.string_value
    if case == "struct_value":
        return _as_text(json_format.MessageToDict(value.struct_value))
    if case == "proto_value":
        return f"{value.proto_value.type_url} {value.proto_value.value.hex()}"
    return _as_text(getattr(value, case))


def _as_text(plain: Any) -> str:
    if isinstance(plain, str):
        return plain
    return json.dumps(
        dict(plain) if isinstance(plain, Mapping) else plain, sort_keys=True, ensure_ascii=False
    )
