"""The stand-in has every public name of the original, with the same arguments."""

import importlib
import inspect
import json
import os
import subprocess
from pathlib import Path

import pytest

from headwater import mlmd

PEERS_PYTHON = os.environ.get("HEADWATER_PEERS_PYTHON", ".venv-peers/bin/python")
MODULES = (
    "",
    ".errors",
    ".metadata_store",
    ".metadata_store.metadata_store",
    ".metadata_store.mlmd_types",
    ".proto",
    ".proto.metadata_store_pb2",
    ".proto.metadata_store_service_pb2",
)
# The option that names simple types is not in our descriptors; mlmd_types has the names.
LEFT_OUT = {
    (".proto.metadata_store_pb2", "SYSTEM_TYPE_EXTENSION_FIELD_NUMBER"),
    (".proto.metadata_store_pb2", "system_type_extension"),
}

# Run by the interpreter that has the original; prints names, and arguments with their defaults.
DESCRIBE = """
import enum, importlib, inspect, json, sys

def arguments(function):
    return [[p.name, p.kind.name, repr(p.default)] for p in inspect.signature(function).parameters.values()]

def describe(thing):
    if inspect.ismodule(thing):
        return None
    is_theirs = getattr(thing, "__module__", "").startswith("ml_metadata")
    if inspect.isclass(thing) and is_theirs and not hasattr(thing, "DESCRIPTOR"):
        if issubclass(thing, enum.Enum):
            return {name: str(member.value) for name, member in thing.__members__.items()}
        own = {name: arguments(f) for name, f in inspect.getmembers(thing, inspect.isfunction)
               if not name.startswith("_")}
        return {"methods": own, "init": arguments(thing)}
    if inspect.isfunction(thing) and is_theirs:
        return arguments(thing)
    if hasattr(thing, "DESCRIPTOR") or isinstance(thing, int):
        return "" if not isinstance(thing, int) else str(thing)
    return None

found = {}
for module in json.loads(sys.argv[1]):
    members = vars(importlib.import_module("ml_metadata" + module)).items()
    found[module] = {n: describe(v) for n, v in members if not n.startswith("_") and describe(v) is not None}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def original() -> dict[str, dict[str, object]]:
    if not Path(PEERS_PYTHON).exists():
        pytest.skip("ML Metadata's wheel is not installed: run 'make peers', or set HEADWATER_PEERS_PYTHON")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [PEERS_PYTHON, "-c", DESCRIBE, json.dumps(MODULES)], capture_output=True, check=True, env=environment
    )
    return json.loads(done.stdout)


def arguments(function) -> list[list[str]]:
    parameters = inspect.signature(function).parameters.values()
    return [[parameter.name, parameter.kind.name, repr(parameter.default)] for parameter in parameters]


@pytest.mark.parametrize("module", MODULES)
def test_every_name_of_a_module_is_there_with_the_same_arguments(original, module):
    ours = importlib.import_module(f"headwater.mlmd{module}")
    different = []
    for name, described in original[module].items():
        thing = getattr(ours, name, None)
        if thing is None:
            if (module, name) not in LEFT_OUT:
                different.append(name)
        elif isinstance(described, str):
            if described and str(int(thing)) != described:
                different.append(f"{name} = {thing}, not {described}")
        elif isinstance(described, list):
            if arguments(thing) != described:
                different.append(f"{name}{inspect.signature(thing)}")
        elif "methods" not in described:
            if {member.name: str(member.value) for member in thing} != described:
                different.append(name)
        else:
            if arguments(thing) != described["init"]:
                different.append(f"{name}{inspect.signature(thing)}")
            different += [
                f"{name}.{method}"
                for method, expected in described["methods"].items()
                if not hasattr(thing, method) or arguments(getattr(thing, method)) != expected
            ]

    assert len(original[module]) >= (4 if module != "" else 3)
    assert different == []


def test_the_version_is_the_one_that_is_stood_in_for():
    assert mlmd.__version__ == "1.17.1"


def test_a_program_changes_its_imports_only():
    from headwater.mlmd import errors
    from headwater.mlmd.metadata_store import metadata_store, mlmd_types
    from headwater.mlmd.proto import metadata_store_pb2

    config = metadata_store_pb2.ConnectionConfig()
    config.fake_database.SetInParent()
    store = metadata_store.MetadataStore(config)
    train = metadata_store_pb2.ExecutionType(name="Train", base_type=mlmd_types.Train().system_type)
    assert store.get_execution_types_by_id([store.put_execution_type(train)])[0].base_type == train.base_type
    with pytest.raises(errors.NotFoundError):
        store.get_context_type("Run")


@pytest.mark.parametrize("name", ["Dataset", "Model", "Metrics", "Statistics"])
def test_a_simple_type_of_artifacts_is_in_every_store(name):
    config = mlmd.proto.ConnectionConfig(fake_database=mlmd.proto.FakeDatabaseConfig())
    simple = getattr(importlib.import_module("headwater.mlmd.metadata_store.mlmd_types"), name)()

    assert mlmd.MetadataStore(config).get_artifact_type(simple.name).name == f"mlmd.{name}"
    assert mlmd.proto.ArtifactType.SystemDefinedBaseType.Name(simple.system_type) == name.upper()


@pytest.mark.parametrize("name", ["Train", "Transform", "Process", "Evaluate", "Deploy"])
def test_a_simple_type_of_executions_is_in_every_store(name):
    config = mlmd.proto.ConnectionConfig(fake_database=mlmd.proto.FakeDatabaseConfig())
    simple = getattr(importlib.import_module("headwater.mlmd.metadata_store.mlmd_types"), name)()

    assert mlmd.MetadataStore(config).get_execution_type(simple.name).name == f"mlmd.{name}"
    assert mlmd.proto.ExecutionType.SystemDefinedBaseType.Name(simple.system_type) == name.upper()
