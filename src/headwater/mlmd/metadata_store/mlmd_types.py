"""The simple types that users' types can be based on: ``Dataset``, ``Train`` and so on.

``name`` is the name of the simple type in the store, ``system_type`` the value for ``base_type``.
"""

from collections.abc import Mapping

from headwater.v1 import metadata_store_pb2 as pb

_Artifacts = pb.ArtifactType.SystemDefinedBaseType
_Executions = pb.ExecutionType.SystemDefinedBaseType

# The original reads these from an option of the enum values, which our descriptors do not carry.
_ARTIFACT_TYPE_NAMES: Mapping[_Artifacts, str] = {
    pb.ArtifactType.DATASET: "mlmd.Dataset",
    pb.ArtifactType.MODEL: "mlmd.Model",
    pb.ArtifactType.METRICS: "mlmd.Metrics",
    pb.ArtifactType.STATISTICS: "mlmd.Statistics",
}
_EXECUTION_TYPE_NAMES: Mapping[_Executions, str] = {
    pb.ExecutionType.TRAIN: "mlmd.Train",
    pb.ExecutionType.TRANSFORM: "mlmd.Transform",
    pb.ExecutionType.PROCESS: "mlmd.Process",
    pb.ExecutionType.EVALUATE: "mlmd.Evaluate",
    pb.ExecutionType.DEPLOY: "mlmd.Deploy",
}


class ArtifactType:
    """A simple type of artifacts."""

    def __init__(self, system_type: _Artifacts) -> None:
        self._system_type = system_type

    @property
    def name(self) -> str:
        return _ARTIFACT_TYPE_NAMES[self._system_type]

    @property
    def system_type(self) -> _Artifacts:
        return self._system_type


class ExecutionType:
    """A simple type of executions."""

    def __init__(self, system_type: _Executions) -> None:
        self._system_type = system_type

    @property
    def name(self) -> str:
        return _EXECUTION_TYPE_NAMES[self._system_type]

    @property
    def system_type(self) -> _Executions:
        return self._system_type


class Dataset(ArtifactType):
    """``mlmd.Dataset``"""

    def __init__(self) -> None:
        super().__init__(pb.ArtifactType.DATASET)


class Model(ArtifactType):
    """``mlmd.Model``"""

    def __init__(self) -> None:
        super().__init__(pb.ArtifactType.MODEL)


class Metrics(ArtifactType):
    """``mlmd.Metrics``"""

    def __init__(self) -> None:
        super().__init__(pb.ArtifactType.METRICS)


class Statistics(ArtifactType):
    """``mlmd.Statistics``"""

    def __init__(self) -> None:
        super().__init__(pb.ArtifactType.STATISTICS)


class Train(ExecutionType):
    """``mlmd.Train``"""

    def __init__(self) -> None:
        super().__init__(pb.ExecutionType.TRAIN)


class Transform(ExecutionType):
    """``mlmd.Transform``"""

    def __init__(self) -> None:
        super().__init__(pb.ExecutionType.TRANSFORM)


class Process(ExecutionType):
    """``mlmd.Process``"""

    def __init__(self) -> None:
        super().__init__(pb.ExecutionType.PROCESS)


class Evaluate(ExecutionType):
    """``mlmd.Evaluate``"""

    def __init__(self) -> None:
        super().__init__(pb.ExecutionType.EVALUATE)


class Deploy(ExecutionType):
    """``mlmd.Deploy``"""

    def __init__(self) -> None:
        super().__init__(pb.ExecutionType.DEPLOY)
