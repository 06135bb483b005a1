"""What it takes to repeat a run: what Kedro was told, and all parameters, kept with the run as text."""

import enum
import json
from collections.abc import Mapping
from typing import Any

import click
import yaml

from headwater_kedro.config import Settings
from headwater_kedro.names import pipeline_names
from headwater_kedro.parameters import flat, left_over, only_left_out

PROPERTY = "kedro"
"""Custom property of a run: the text of ``repeatable``."""
_TOLD = (
    "env",
    "tags",
    "from_nodes",
    "to_nodes",
    "node_names",
    "from_inputs",
    "to_outputs",
    "load_versions",
    "namespaces",
    "runtime_params",
    "only_missing_outputs",
)
_TOLD_TO_COMMAND = ("conf_source", "runner_params", "is_async")


def repeatable(settings: Settings, run_params: Mapping[str, Any], parameters: Mapping[str, Any]) -> str:
    """What a run has to be told to be this one again, as JSON; ``parameters`` are all that it has."""
    told = {name: run_params.get(name) for name in _TOLD}
    # Kedro 1.0 has other names for two of them.
    told["runtime_params"] = told["runtime_params"] or run_params.get("extra_params")
    told["namespaces"] = told["namespaces"] or run_params.get("namespace")
    for key, value in told.items():
        if isinstance(value, set | frozenset | tuple):
            told[key] = sorted(value)
    runtime_params = told["runtime_params"] or {}
    told["runtime_params"] = kept_runtime_params(settings, runtime_params)
    text, not_kept = _exact(left_over(parameters, "", settings))
    # The command line of Kedro does not pass all that it is given on to runs.
    context = click.get_current_context(silent=True)
    given = {} if context is None else context.params
    told.update({name: given[name] for name in _TOLD_TO_COMMAND if given.get(name)})
    return json.dumps(
        {
            **told,
            "pipelines": pipeline_names(run_params),
            # The text of a runner has its address in memory.
            "runner": str(run_params.get("runner") or "").partition(" object at ")[0].lstrip("<"),
            "parameters": text,
            "parameters_not_kept": not_kept,
            "runtime_params_left_out": left_out_names(settings, runtime_params),
        },
        default=str,
    )


def kept_runtime_params(settings: Settings, runtime_params: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a run that may be recorded; nothing is left of where there was nothing else."""
    return _without_empty(left_over(runtime_params, "", settings))


def left_out_names(settings: Settings, runtime_params: Mapping[str, Any]) -> list[str]:
    """Names, with dots, of those that may not."""
    left_out = only_left_out(runtime_params, "", settings)
    return sorted(flat(left_out, "")) if left_out else []


def _without_empty(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without mappings that hold nothing."""
    said = {key: _without_empty(one) if isinstance(one, Mapping) else one for key, one in values.items()}
    return {key: one for key, one in said.items() if one or not isinstance(one, Mapping)}


def kept_parameters(told: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters in what ``repeatable`` told; without those whose values no text stands for.

    Raises:
        ValueError: there are none.
    """
    text = told.get("parameters")
    found = yaml.safe_load(text) if isinstance(text, str) else None
    if not isinstance(found, dict):
        raise ValueError("no parameters were kept")
    return found


def _exact(parameters: Mapping[str, Any]) -> tuple[str, list[str]]:
    """As YAML, which unlike JSON has dates and keys that are no texts; names of what it cannot say."""
    kept: dict[str, Any] = {}
    not_kept = []
    for name, value in parameters.items():
        said = _values(value)
        try:
            is_exact = repr(yaml.safe_load(yaml.safe_dump(said, sort_keys=False))) == repr(said)
        except yaml.YAMLError:
            is_exact = False
        if is_exact:
            kept[name] = said
        else:
            not_kept.append(str(name))
    return yaml.safe_dump(kept, sort_keys=False), not_kept


def _values(value: Any) -> Any:
    """Members of enumerations as what Kedro made them from."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return {key: _values(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_values(item) for item in value]
    return value
