"""A node of Kedro in the words of headwater: a step with its inputs, parameters, code, and cache policy."""

import copy
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.utils import load_obj

from headwater.client import File, Output
from headwater.client.capture.code import code_digest
from headwater.client.content import digest_of, digest_of_bytes
from headwater.client.content.uris import canonical_uri, without_secrets
from headwater.client.recording.places import memo
from headwater.errors import HeadwaterError, InvalidRequest
from headwater.fingerprint import canonical
from headwater_kedro.config import CachePolicy, Settings
from headwater_kedro.datasets import (
    declared_of,
    has_place,
    has_versions,
    is_in_memory,
    label,
    options_of,
    own_classes,
    place_of,
    place_of_saved,
    settings_of,
    version_of,
)
from headwater_kedro.parameters import flat, is_parameter, left_over, orders, path_of, plain
from headwater_kedro.shelf import Shelf

if TYPE_CHECKING:
    from kedro.pipeline.node import Node

NO_CACHE = "headwater.nocache"
"""Tag of a node that always runs."""
PLAIN = "a plain run, in which nothing is skipped"
_WITHOUT_READING = {"on": "write", "write": "write", "read": "off", "off": "off"}


@dataclass(frozen=True)
class Terms:
    """What is the same for all nodes of a run. It goes along to worker processes."""

    name: str
    settings: Settings
    run: str
    """Name of the run, which tells data in memory from that of other runs."""
    directory: "Path | None" = None
    """Where the project keeps what is headwater's, if it can."""


class InMemory:
    """Stands for data in memory, which is recorded without its content."""


def dataset_of(catalog: Any, name: str) -> Any:
    """The dataset of this name, made by a factory or in memory where the catalog does not have it."""
    return catalog.get(name, fallback_to_runtime_pattern=True)


def describe(node: "Node", catalog: Any, shelf: Shelf, terms: Terms, *, skips: bool) -> dict[str, Any]:
    """The options of ``Run.step`` for a node. Looks where its inputs lie, and not into them.

    ``skips`` says whether the run skips what is proven done.
    """
    inputs: dict[str, Any] = {}
    params: dict[str, Any] = {}
    components = {"arguments": _arguments(node)}
    doubts: list[str] = []
    ordered: list[tuple[str, list[str]]] = []
    for name in dict.fromkeys(node.inputs):
        if is_parameter(name):
            ordered += _add_parameter(params, name, catalog, terms.settings, doubts)
        else:
            inputs[name] = _input(name, dataset_of(catalog, name), shelf, terms, doubts)
    for name in dict.fromkeys([*node.inputs, *node.outputs]):
        dataset = None if is_parameter(name) else dataset_of(catalog, name)
        if dataset is None or is_in_memory(dataset):
            continue
        components[f"dataset:{name}"] = _settings(catalog, name, of_input=name in node.inputs)
        if declared_of(dataset).problem:
            doubts.append(f"the catalog's {name!r} {declared_of(dataset).problem}")
        elif not declared_of(dataset).cache:
            doubts.append(f"the catalog says not to cache {name!r}")
        elif name in node.outputs and not has_place(dataset) and not declared_of(dataset).version:
            doubts.append(_unknown(name))
    if ordered:
        components["order of keys"] = digest_of_bytes(json.dumps(ordered).encode()).digest
    tags = dict.fromkeys(node.tags, "")
    if node.namespace:
        tags["namespace"] = node.namespace
    return {
        "inputs": inputs,
        "params": params,
        "outputs": list(node.outputs),
        "code": node.func,
        "tags": tags,
        "components": components,
        "description": str(node),
        **_policy(node, doubts, terms.settings, skips=skips),
    }


def _arguments(node: "Node") -> str:
    """Which dataset is which argument of the function, and which of its results is which dataset."""
    given = [getattr(node, name, None) for name in ("_inputs", "_outputs")]
    return digest_of_bytes(json.dumps(given, default=str).encode()).digest


def _add_parameter(
    params: dict[str, Any], name: str, catalog: Any, settings: Settings, doubts: list[str]
) -> list[tuple[str, list[str]]]:
    """Add a parameter by its parts; in which order the keys of its mappings stand."""
    path = path_of(name)
    if path and settings.is_excluded(path):
        return []
    # Not by the catalog, which would log each of them a second time.
    value = left_over(plain(dataset_of(catalog, name).load()), path, settings)
    try:
        canonical(value, what=f"parameter {path or name!r}")
    except InvalidRequest as error:
        doubts.append(str(error))
        return []
    params.update(flat(value, path) if path or isinstance(value, Mapping) else {name: value})
    return orders(value, path)


def _input(name: str, dataset: Any, shelf: Shelf, terms: Terms, doubts: list[str]) -> Any:
    made = shelf.get(label(name))
    if is_in_memory(dataset):
        if made is None:
            doubts.append(f"nothing tells what {name!r}, which is in memory, was made by")
            return _without_content(f"{terms.name}/{terms.run}", name, name)
        if not (made.digest or made.made_by):
            doubts.append(f"{name!r} is in memory, and the node that makes it runs always")
        return made
    declared = declared_of(dataset).version
    if declared:
        return _declared(terms, name, declared)
    place = place_of(dataset)
    if place is None or is_missing(place):
        is_gone = has_place(dataset)
        doubts.append(f"there is nothing to read for {name!r}" if is_gone else _unknown(name))
        return made or _without_content(terms.name, name, name)
    if made is not None and made.digest and made.uri == _local_uri(place):
        # What this run has there, and not an equal file of another run, made from something else. Whether it
        # has been written since is looked at anew.
        return made
    return _file(name, dataset, place)


def reused_at(output: Output, dataset: Any) -> Output:
    """A reused output where a load reads it, which is elsewhere if the project was moved."""
    place = place_of(dataset)
    if output.digest and place is not None and _local_uri(place):
        output = copy.copy(output)
        output.uri = _local_uri(place)
    return output


def _local_uri(place: str) -> str:
    return "" if "://" in place else canonical_uri(Path(place))


def without_reading(given: Any) -> Any:
    """An input of which is told where it lies, and not what is there."""
    return replace(given, version=os.fspath(given.place)) if isinstance(given, File) else given


def _file(name: str, dataset: Any, place: str) -> File:
    return File(
        place, properties=properties_of(name, dataset, place), storage_options=_remote(dataset, place)
    )


def _remote(dataset: Any, place: str) -> "dict[str, Any]":
    return options_of(dataset) if "://" in place else {}


def _unknown(name: str) -> str:
    return f"the content of {name!r} cannot be looked at"


def _without_content(where: str, name: str, shown: str) -> File:
    return File(f"kedro://{where}/{label(name)}", version=shown, properties={"dataset": label(name)})


def _declared(terms: Terms, name: str, version: str) -> File:
    return File(
        f"kedro://{terms.name}/{label(name)}",
        digest=digest_of_bytes(version.encode()).digest,
        properties={"dataset": label(name), "version": version},
    )


def written_by(node: "Node", catalog: Any) -> "list[tuple[str, str]]":
    """Names and places of the outputs that other runs may write too: not those that have versions."""
    found = []
    for name in node.outputs:
        dataset = dataset_of(catalog, name)
        place = None if is_in_memory(dataset) or has_versions(dataset) else place_of(dataset)
        if place is not None:
            found.append((name, place))
    return found


def output_of(name: str, dataset: Any, terms: Terms) -> "File | None":
    """Where a node left an output; ``None`` if that is in memory."""
    if is_in_memory(dataset):
        return None
    declared = declared_of(dataset).version
    if declared:
        return _declared(terms, name, declared)
    place = place_of_saved(dataset) if has_place(dataset) else None
    if place is None:
        return _without_content(terms.name, name, name)
    return _file(name, dataset, place)


def properties_of(name: str, dataset: Any, place: str) -> dict[str, str]:
    """By which an artifact is found again."""
    version = version_of(dataset, place)
    return {"dataset": label(name), **({"version": version} if version else {})}


def is_missing(place: str) -> bool:
    """Whether there is nothing; then the load fails, and says so better."""
    return "://" not in place and not Path(place).exists()


def _settings(catalog: Any, name: str, *, of_input: bool) -> str:
    dataset = dataset_of(catalog, name)
    # How classes of the project load and save is part of what the node does.
    parts = [settings_of(dataset, of_input=of_input), *map(_code_of, own_classes(dataset))]
    # Kedro 1.6 and later check, and may change, what is loaded and saved.
    validator = getattr(catalog, "validator_specs", {}).get(name)
    if validator is not None:
        parts += [repr(validator), _code_of(_loaded(validator.class_path))]
    return digest_of_bytes(" ".join(parts).encode()).digest


def _code_of(thing: Any) -> str:
    return "" if thing is None else code_digest(thing).digest


def _loaded(path: str) -> Any:
    try:
        return load_obj(path)
    except Exception:
        # Kedro says at the load what is wrong with it.
        return None


def always_runs(node: "Node", settings: Settings) -> str:
    """Why the node is never skipped, whatever it reads; empty if it may be."""
    if not node.outputs:
        return "it has no outputs, so it runs always"
    if NO_CACHE in node.tags:
        return f"it has the tag {NO_CACHE}, so it runs always"
    if node.confirms:
        return "it confirms datasets, so it runs always"
    if _mode(settings.policy_of(node.name)) == "off":
        return "headwater.yml says not to cache it"
    return ""


def _mode(policy: CachePolicy) -> str:
    # YAML reads on and off as truth values.
    given = policy.policy
    return given if isinstance(given, str) else "off" if given is False else "on"


def _policy(node: "Node", doubts: list[str], settings: Settings, *, skips: bool) -> dict[str, Any]:
    own = settings.policy_of(node.name)
    options = {
        "max_age": own.max_age_s,
        "salt": own.salt,
        "environment": list(own.environment) if own.environment else None,
    }
    wanted = _mode(own)
    always = always_runs(node, settings) or (doubts[0] if doubts else "")
    if always:
        return {**options, "cache": "off", "reason": always}
    if not skips:
        return {**options, "cache": _WITHOUT_READING[wanted], "reason": PLAIN}
    return {**options, "cache": wanted, "reason": "headwater.yml says so" if wanted == "write" else ""}


def wrong_with(node: "Node", catalog: Any, hit: Mapping[str, Output]) -> dict[str, str]:
    """What is wrong with a hit, by output: a load must read now what was recorded."""
    wrong: dict[str, str] = {}
    for name in node.outputs:
        dataset, recorded = dataset_of(catalog, name), hit.get(name)
        if recorded is None:
            wrong[name] = "is not among what was recorded"
        elif is_in_memory(dataset):
            continue
        elif declared_of(dataset).version:
            if not dataset.exists():
                wrong[name] = "is not there: its dataset says that it does not exist"
        else:
            text = _wrong_content(dataset, recorded)
            if text:
                wrong[name] = text
    return wrong


def _wrong_content(dataset: Any, recorded: Output) -> str:
    place = place_of(dataset)
    shown = without_secrets(place or "its place")
    try:
        digest = ""
        if place is not None:
            digest = digest_of(place, memo=memo(), storage_options=_remote(dataset, place) or None).digest
    except HeadwaterError:
        digest = ""
    if not digest:
        return f"is not there: nothing can be read at {shown}"
    if digest == recorded.digest:
        return ""
    if has_versions(dataset):
        return f"has a newer version with other content than was recorded, at {shown}"
    return f"has other content now than was recorded, at {shown}"
