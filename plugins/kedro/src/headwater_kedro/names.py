"""What pipelines and nodes of Kedro are called in the store, where names have a longest length."""

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kedro.pipeline.node import Node

LONGEST_PIPELINE = 100
LONGEST_RUN = 140
_LONGEST_STEP = 200


def pipeline_names(run_params: Mapping[str, Any]) -> "list[str]":
    """Names of the pipelines of a run."""
    # Kedro before 1.3 has one name. Later ones give several in no order, and their sum has none.
    return sorted(run_params.get("pipeline_names") or [run_params.get("pipeline_name") or "__default__"])


def pipeline_of(project: str, run_params: Mapping[str, Any]) -> str:
    """Name in the store of the pipelines of a run together."""
    return fitting(f"{project}:{'+'.join(pipeline_names(run_params))}", LONGEST_PIPELINE)


def step_name(node: "Node") -> str:
    """What the node is called in the store."""
    return fitting(node.name, _LONGEST_STEP)


def fitting(name: str, longest: int) -> str:
    """The name, cut and told apart by a digest where it is longer than a name may be."""
    if len(name) <= longest:
        return name
    return f"{name[: longest - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
