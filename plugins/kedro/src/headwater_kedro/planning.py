"""What a run would do, without doing or recording any of it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headwater.client import Output, Run
from headwater_kedro.config import Settings, project_name
from headwater_kedro.datasets import is_in_memory, label
from headwater_kedro.describing import Terms, always_runs, dataset_of, describe, wrong_with
from headwater_kedro.names import pipeline_of, step_name
from headwater_kedro.shelf import Shelf

if TYPE_CHECKING:
    from kedro.pipeline.node import Node

HIT, RUN, DEPENDS, REMADE = "hit", "run", "depends", "re-made"


@dataclass(frozen=True)
class PlannedNode:
    """What a run would do with one node."""

    node: str
    decision: str
    """``hit``, ``run``, ``re-made`` (a hit whose data in memory a node needs that runs), or ``depends``:
    it is a hit if nodes before it, which run, make what they made before."""
    why: str


def plan_run(
    store: Any,
    settings: Settings,
    project_path: Path,
    pipeline: Any,
    catalog: Any,
    *,
    run_params: Mapping[str, Any],
) -> list[PlannedNode]:
    """What a run of ``pipeline`` that skips would do with each node, in the order of its nodes.

    Raises:
        HeadwaterError: the store cannot be asked.
    """
    name = project_name(settings, project_path)
    run: Run = store.run(pipeline_of(name, run_params), name="plan", capture=False)
    planning = _Planning(run, Terms(name, settings, "plan"), pipeline, catalog)
    for node in pipeline.nodes:
        planning.add(node)
    return list(planning.planned.values())


class _Planning:
    def __init__(self, run: Run, terms: Terms, pipeline: Any, catalog: Any) -> None:
        self.planned: dict[str, PlannedNode] = {}
        self._run = run
        self._terms = terms
        self._catalog = catalog
        self._shelf = Shelf()
        self._producers = {name: node for node in pipeline.nodes for name in node.outputs}
        # By the name without transcoding, under which a reader may have another entry.
        self._by_label = {label(name): node for name, node in self._producers.items()}

    def add(self, node: "Node") -> None:
        """Decide on a node; those before it have been decided on."""
        always = always_runs(node, self._terms.settings)
        anew = [(name, maker) for name, maker in self._makers(node) if self._runs(maker)]
        if always:
            self._put(node, RUN, always)
        elif anew:
            name, maker = anew[0]
            self._put(node, DEPENDS, f"it reads {name!r}, which {maker.name!r} makes before")
        else:
            self._look_up(node)
        if self.planned[node.name].decision == RUN:
            self._make_again(node)

    def _look_up(self, node: "Node") -> None:
        options = describe(node, self._catalog, self._shelf, self._terms, skips=True)

        def check(hit: Mapping[str, Output]) -> dict[str, str]:
            return wrong_with(node, self._catalog, hit)

        found = self._run.step(step_name(node), check=check, **options).look_up()
        self._put(node, HIT if found.is_hit else RUN, found.why)
        for name, output in found.outputs.items():
            self._shelf.put(label(name), output)

    def _put(self, node: "Node", decision: str, why: str) -> None:
        self.planned[node.name] = PlannedNode(node.name, decision, why)

    def _runs(self, node: "Node") -> bool:
        return self.planned[node.name].decision in (RUN, DEPENDS)

    def _makers(self, node: "Node") -> "list[tuple[str, Node]]":
        found = [(name, self._by_label.get(label(name))) for name in node.inputs]
        return [(name, maker) for name, maker in found if maker is not None]

    def _make_again(self, reader: "Node") -> None:
        waiting = [reader]
        while waiting:
            node = waiting.pop()
            for name, maker in self._makers(node):
                planned = self.planned[maker.name]
                if planned.decision == HIT and is_in_memory(dataset_of(self._catalog, name)):
                    why = f"{node.name!r} needs {name!r}, which is in memory only"
                    self.planned[maker.name] = replace(planned, decision=REMADE, why=why)
                    waiting.append(maker)
