"""Recording steps: what ran, what it used, what it made, in which run.

A step is recorded as RUNNING when it begins and once more when it ends, COMPLETE or FAILED, together with
its outputs. Artifacts are files; a digest of the content tells whether two are the same.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from headwater.client import Store, to_value
from headwater.v1 import metadata_store_pb2 as pb

PROPERTIES = {"digest": pb.STRING, "size_bytes": pb.INT}
METRICS = {**PROPERTIES, "accuracy": pb.DOUBLE, "auc": pb.DOUBLE}


@dataclass
class Step:
    """One step while it runs: fill ``outputs`` with what it makes."""

    outputs: dict[str, tuple[str, Path, Mapping[str, object]]] = field(default_factory=dict)
    """Name of the output to its type, file and properties."""
    made: dict[str, int] = field(default_factory=dict)
    """Name of the output to its artifact id, once the step has ended."""

    def output(self, name: str, type_: str, path: Path, **properties: object) -> None:
        self.outputs[name] = (type_, path, properties)


class Run:
    """One run of a pipeline. Its steps and artifacts belong to a context of its own and to the pipeline's."""

    def __init__(self, store: Store, *, pipeline: str, name: str) -> None:
        self._store = store
        self._types = store.put_types(
            artifact_types=[
                pb.ArtifactType(name="Data", properties=PROPERTIES, base_type=pb.ArtifactType.DATASET),
                pb.ArtifactType(name="Report", properties=PROPERTIES),
                pb.ArtifactType(name="Model", properties=PROPERTIES, base_type=pb.ArtifactType.MODEL),
                pb.ArtifactType(name="Metrics", properties=METRICS, base_type=pb.ArtifactType.METRICS),
            ],
            execution_types=[pb.ExecutionType(name="Step")],
            context_types=[pb.ContextType(name="Pipeline"), pb.ContextType(name="Run")],
            can_add_fields=True,
        )
        pipeline_type, run_type = self._types.context_type_ids
        existing = store.get_context_by_type_and_name("Pipeline", pipeline)
        pipeline_id = (
            existing.id
            if existing
            else store.put_contexts([pb.Context(type_id=pipeline_type, name=pipeline)])[0]
        )
        (run_id,) = store.put_contexts([pb.Context(type_id=run_type, name=name)])
        store.put_parent_contexts([pb.ParentContext(child_id=run_id, parent_id=pipeline_id)])
        self.name = name
        self._contexts = [
            pb.Context(id=pipeline_id, type_id=pipeline_type, name=pipeline),
            pb.Context(id=run_id, type_id=run_type, name=name),
        ]

    @contextmanager
    def step(self, name: str, *, inputs: Mapping[str, int] = {}, **parameters: object) -> Iterator[Step]:
        """Record the body of the ``with`` statement as a step that uses ``inputs``, artifact ids by name."""
        execution = pb.Execution(
            type_id=self._types.execution_type_ids[0],
            name=f"{self.name}/{name}",
            last_known_state=pb.Execution.RUNNING,
        )
        for key, value in parameters.items():
            execution.custom_properties[key].CopyFrom(to_value(value))
        used = [
            (None, event(pb.Event.INPUT, input_name, artifact_id))
            for input_name, artifact_id in inputs.items()
        ]
        recorded = self._store.put_execution(execution, used, self._contexts, force_reuse_context=True)
        execution.id = recorded.execution_id
        step = Step()
        try:
            yield step
        except BaseException as error:
            execution.last_known_state = pb.Execution.FAILED
            execution.custom_properties["error"].string_value = str(error)
            self._store.put_execution(execution, (), self._contexts, force_reuse_context=True)
            raise
        execution.last_known_state = pb.Execution.COMPLETE
        made = [
            (self._artifact(name, *output), event(pb.Event.OUTPUT, name))
            for name, output in step.outputs.items()
        ]
        ended = self._store.put_execution(execution, made, self._contexts, force_reuse_context=True)
        step.made = dict(zip(step.outputs, ended.artifact_ids, strict=True))

    def _artifact(self, name: str, type_: str, path: Path, properties: Mapping[str, object]) -> pb.Artifact:
        types = dict(zip(("Data", "Report", "Model", "Metrics"), self._types.artifact_type_ids, strict=True))
        artifact = pb.Artifact(
            type_id=types[type_],
            name=f"{self.name}/{name}",
            uri=path.absolute().as_uri(),
            state=pb.Artifact.LIVE,
        )
        artifact.properties["digest"].string_value = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
        artifact.properties["size_bytes"].int_value = path.stat().st_size
        for key, value in properties.items():
            target = (
                artifact.properties if type_ == "Metrics" and key in METRICS else artifact.custom_properties
            )
            target[key].CopyFrom(to_value(value))
        return artifact


def event(type_: "pb.Event.Type", name: str, artifact_id: int | None = None) -> pb.Event:
    """An event of an artifact that stood in the slot ``name`` of its step."""
    return pb.Event(
        type=type_, artifact_id=artifact_id, path=pb.Event.Path(steps=[pb.Event.Path.Step(key=name)])
    )
