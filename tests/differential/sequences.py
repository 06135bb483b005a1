"""Random sequences of requests over every RPC, from a seed.

Names, values and ids come from small pools, so that collisions, updates and duplicates are frequent. About
one request in six is spoiled on purpose, in one of the ways that the code tables of MLMD's semantics list.
What would leave the two sides in different states for ever (Q2, Q6, Q8, Q9) is kept out of here and has short
sequences of its own, in ``special``.
"""

from collections.abc import Callable, Iterator
from functools import partial
from random import Random

from .drawing import Drawing
from .model import KINDS, Model
from .reads import Reads
from .runs import Runs
from .sides import Answer
from .steps import Step
from .writes import Writes

CLOSING_FILTERS = 60


class Generator:
    """Steps one after the other: ``next_step``, play it, then ``learn`` what the engine answered."""

    def __init__(self, seed: int) -> None:
        self.model = Model()
        self._random = Random(seed)
        self._draw = Drawing(self._random, self.model)
        writes, runs, reads = Writes(self._draw), Runs(self._draw), Reads(self._draw)
        self._reads = reads
        self._first: list[Callable[[], Step]] = [writes.put_types] * 2 + [writes.put_type] * 2
        self._first += [partial(writes.create, kind) for kind in KINDS]
        self._weights: dict[Callable[[], Step], float] = {
            writes.put_type: 6, writes.put_types: 3, writes.create: 14, writes.update: 9, writes.write_back: 12,
            writes.put_events: 8, writes.put_links: 5, writes.put_parents: 6, writes.empty_value: 0.5,
            runs.put_execution: 14, runs.put_lineage_subgraph: 12,
            reads.get_type: 3, reads.types_by_id: 3, reads.types_by_external_ids: 3, reads.all_types: 2,
            reads.nodes_by_id: 5, reads.node_by_name: 4, reads.artifacts_by_uri: 3, reads.nodes_by_external_ids: 4,
            reads.contexts_by_node: 4, reads.kin: 4, reads.kin_of_many: 3, reads.events: 4, reads.unpaged: 3,
            reads.listing: 26, reads.lineage_subgraph: 18, reads.lineage_graph: 0.3, reads.empty_request: 1.5,
            reads.dump_node: 3, reads.everything: 0.7,
        }  # fmt: skip

    def next_step(self) -> Step:
        if self._draw.number < len(self._first):
            make = self._first[self._draw.number]
        else:
            make = self._random.choices(list(self._weights), list(self._weights.values()))[0]
        return self._numbered(make())

    def learn(self, step: Step, answers: list[Answer]) -> None:
        self.model.learn(step, answers)

    def closing_steps(self) -> Iterator[Step]:
        """What to ask when the store is full: for everything, and with many filters."""
        for make in (self._reads.everything, *[self._reads.filtered] * CLOSING_FILTERS):
            yield self._numbered(make())

    def _numbered(self, step: Step) -> Step:
        step.number = self._draw.number
        self._draw.number += 1
        return step
