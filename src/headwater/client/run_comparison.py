"""Runs side by side, as far as they differ: what was given to them, and what came of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headwater.client.run_info import Row, RunInfo, StepInfo
from headwater.fingerprint import made_text

Values = dict[str, tuple[Any, ...]]
"""By name the values of the runs, in their order; ``None`` where a run has none."""


@dataclass(frozen=True)
class RunComparison:
    """What differs among runs. The mappings are by name, of names whose values are not all alike."""

    runs: tuple[RunInfo, ...]
    parameters: Values
    metrics: Values
    environment: Values
    code: Values
    tags: Values
    steps: Values
    """State of the newest attempt, by step."""
    components: dict[str, Values]
    """By step, components of its fingerprint; of steps that two runs have at least."""

    @property
    def is_empty(self) -> bool:
        """Whether the runs are alike."""
        return not any(values for _, values in self._sections()) and not self.components

    def rows(self) -> list[Row]:
        """A row for each thing that differs: ``what``, ``name`` and a column for each run, by its name."""
        titles = [run.run for run in self.runs]
        if len(set(titles)) < len(titles):
            titles = [f"{run.pipeline}/{run.run} ({run.run_id})" for run in self.runs]
        found = [
            {"what": what, "name": name, **dict(zip(titles, values, strict=True))}
            for what, section in self._sections()
            for name, values in section.items()
        ]
        for step, section in self.components.items():
            found += [
                {"what": f"step {step}", "name": name, **dict(zip(titles, values, strict=True))}
                for name, values in section.items()
            ]
        return found

    def to_dict(self) -> dict[str, Any]:
        """For JSON: ``runs`` as ``RunInfo.to_dict`` has them, and lists of values by name."""

        def listed(values: Values) -> dict[str, list[Any]]:
            return {name: list(row) for name, row in values.items()}

        return {
            "runs": [run.to_dict() for run in self.runs],
            **{what: listed(values) for what, values in self._sections()},
            "components": {step: listed(values) for step, values in self.components.items()},
        }

    def _sections(self) -> list[tuple[str, Values]]:
        names = ("parameters", "metrics", "environment", "code", "tags", "steps")
        return [(name, getattr(self, name)) for name in names]


def compare(runs: Sequence[RunInfo], attempts: Sequence[Sequence[StepInfo]]) -> RunComparison:
    """What differs among ``runs``, of which ``attempts`` are the steps, in the same order."""
    newest = [{one.step: one for one in of_run} for of_run in attempts]
    return RunComparison(
        runs=tuple(runs),
        parameters=_differing([run.parameters for run in runs]),
        metrics=_differing([run.metrics for run in runs]),
        environment=_differing([run.environment or {} for run in runs]),
        code=_differing([run.code or {} for run in runs]),
        tags=_differing([run.tags for run in runs]),
        steps=_differing([{name: one.state for name, one in of_run.items()} for of_run in newest]),
        components=_components(newest),
    )


def _components(newest: Sequence[Mapping[str, StepInfo]]) -> dict[str, Values]:
    found = {}
    for step in dict.fromkeys(name for of_run in newest for name in of_run):
        # By which execution something in memory was made is no difference of what it was made of.
        having = [
            {name: made_text(text) for name, text in of_run[step].components.items()}
            for of_run in newest
            if step in of_run
        ]
        differing = _differing(having)
        if differing:
            # A run without the step says nothing about what the others have in common.
            found[step] = {
                name: tuple(
                    of_run[step].components.get(name) if step in of_run else None for of_run in newest
                )
                for name in differing
            }
    return found


def _differing(of_runs: Sequence[Mapping[str, Any]]) -> Values:
    names = sorted({name for values in of_runs for name in values})
    rows = {name: tuple(values.get(name) for values in of_runs) for name in names}
    return {name: row for name, row in rows.items() if len({_key(value) for value in row}) > 1}


def _key(value: Any) -> str:
    """What only equal values have in common: 1 is 1.0 but not true, and what is no number equals itself."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, sort_keys=True)
