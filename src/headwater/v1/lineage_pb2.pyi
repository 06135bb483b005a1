from headwater.v1 import metadata_store_pb2 as _metadata_store_pb2
from headwater.v1 import pipelines_pb2 as _pipelines_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WalkDirection(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WALK_DIRECTION_UNSPECIFIED: _ClassVar[WalkDirection]
    UPSTREAM: _ClassVar[WalkDirection]
    DOWNSTREAM: _ClassVar[WalkDirection]
    BOTH: _ClassVar[WalkDirection]
WALK_DIRECTION_UNSPECIFIED: WalkDirection
UPSTREAM: WalkDirection
DOWNSTREAM: WalkDirection
BOTH: WalkDirection

class StartingNodes(_message.Message):
    __slots__ = ("artifact_ids", "execution_ids", "context_ids")
    ARTIFACT_IDS_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_IDS_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_IDS_FIELD_NUMBER: _ClassVar[int]
    artifact_ids: _containers.RepeatedScalarFieldContainer[int]
    execution_ids: _containers.RepeatedScalarFieldContainer[int]
    context_ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, artifact_ids: _Optional[_Iterable[int]] = ..., execution_ids: _Optional[_Iterable[int]] = ..., context_ids: _Optional[_Iterable[int]] = ...) -> None: ...

class WalkRequest(_message.Message):
    __slots__ = ("start", "direction", "max_hops", "until_artifacts", "until_executions", "as_of_ms", "page_size", "max_nodes", "ids_only", "page_token", "leaves_out_hits")
    START_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    MAX_HOPS_FIELD_NUMBER: _ClassVar[int]
    UNTIL_ARTIFACTS_FIELD_NUMBER: _ClassVar[int]
    UNTIL_EXECUTIONS_FIELD_NUMBER: _ClassVar[int]
    AS_OF_MS_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    MAX_NODES_FIELD_NUMBER: _ClassVar[int]
    IDS_ONLY_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    LEAVES_OUT_HITS_FIELD_NUMBER: _ClassVar[int]
    start: StartingNodes
    direction: WalkDirection
    max_hops: int
    until_artifacts: str
    until_executions: str
    as_of_ms: int
    page_size: int
    max_nodes: int
    ids_only: bool
    page_token: str
    leaves_out_hits: bool
    def __init__(self, start: _Optional[_Union[StartingNodes, _Mapping]] = ..., direction: _Optional[_Union[WalkDirection, str]] = ..., max_hops: _Optional[int] = ..., until_artifacts: _Optional[str] = ..., until_executions: _Optional[str] = ..., as_of_ms: _Optional[int] = ..., page_size: _Optional[int] = ..., max_nodes: _Optional[int] = ..., ids_only: bool = ..., page_token: _Optional[str] = ..., leaves_out_hits: bool = ...) -> None: ...

class WalkResponse(_message.Message):
    __slots__ = ("nodes", "events", "contexts", "attributions", "associations", "next_page_token", "cut", "reuses")
    class Reuse(_message.Message):
        __slots__ = ("execution_id", "hits", "runs")
        EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
        HITS_FIELD_NUMBER: _ClassVar[int]
        RUNS_FIELD_NUMBER: _ClassVar[int]
        execution_id: int
        hits: int
        runs: int
        def __init__(self, execution_id: _Optional[int] = ..., hits: _Optional[int] = ..., runs: _Optional[int] = ...) -> None: ...
    class WalkNode(_message.Message):
        __slots__ = ("hops", "artifact", "execution")
        HOPS_FIELD_NUMBER: _ClassVar[int]
        ARTIFACT_FIELD_NUMBER: _ClassVar[int]
        EXECUTION_FIELD_NUMBER: _ClassVar[int]
        hops: int
        artifact: _metadata_store_pb2.Artifact
        execution: _metadata_store_pb2.Execution
        def __init__(self, hops: _Optional[int] = ..., artifact: _Optional[_Union[_metadata_store_pb2.Artifact, _Mapping]] = ..., execution: _Optional[_Union[_metadata_store_pb2.Execution, _Mapping]] = ...) -> None: ...
    NODES_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    CONTEXTS_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTIONS_FIELD_NUMBER: _ClassVar[int]
    ASSOCIATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CUT_FIELD_NUMBER: _ClassVar[int]
    REUSES_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[WalkResponse.WalkNode]
    events: _containers.RepeatedCompositeFieldContainer[_metadata_store_pb2.Event]
    contexts: _containers.RepeatedCompositeFieldContainer[_metadata_store_pb2.Context]
    attributions: _containers.RepeatedCompositeFieldContainer[_metadata_store_pb2.Attribution]
    associations: _containers.RepeatedCompositeFieldContainer[_metadata_store_pb2.Association]
    next_page_token: str
    cut: Cut
    reuses: _containers.RepeatedCompositeFieldContainer[WalkResponse.Reuse]
    def __init__(self, nodes: _Optional[_Iterable[_Union[WalkResponse.WalkNode, _Mapping]]] = ..., events: _Optional[_Iterable[_Union[_metadata_store_pb2.Event, _Mapping]]] = ..., contexts: _Optional[_Iterable[_Union[_metadata_store_pb2.Context, _Mapping]]] = ..., attributions: _Optional[_Iterable[_Union[_metadata_store_pb2.Attribution, _Mapping]]] = ..., associations: _Optional[_Iterable[_Union[_metadata_store_pb2.Association, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., cut: _Optional[_Union[Cut, _Mapping]] = ..., reuses: _Optional[_Iterable[_Union[WalkResponse.Reuse, _Mapping]]] = ...) -> None: ...

class Cut(_message.Message):
    __slots__ = ("reason", "nodes_left")
    REASON_FIELD_NUMBER: _ClassVar[int]
    NODES_LEFT_FIELD_NUMBER: _ClassVar[int]
    reason: str
    nodes_left: int
    def __init__(self, reason: _Optional[str] = ..., nodes_left: _Optional[int] = ...) -> None: ...

class FindPathsRequest(_message.Message):
    __slots__ = ("from_artifact_id", "from_execution_id", "to_artifact_id", "to_execution_id", "max_paths", "max_hops")
    FROM_ARTIFACT_ID_FIELD_NUMBER: _ClassVar[int]
    FROM_EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    TO_ARTIFACT_ID_FIELD_NUMBER: _ClassVar[int]
    TO_EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    MAX_PATHS_FIELD_NUMBER: _ClassVar[int]
    MAX_HOPS_FIELD_NUMBER: _ClassVar[int]
    from_artifact_id: int
    from_execution_id: int
    to_artifact_id: int
    to_execution_id: int
    max_paths: int
    max_hops: int
    def __init__(self, from_artifact_id: _Optional[int] = ..., from_execution_id: _Optional[int] = ..., to_artifact_id: _Optional[int] = ..., to_execution_id: _Optional[int] = ..., max_paths: _Optional[int] = ..., max_hops: _Optional[int] = ...) -> None: ...

class FindPathsResponse(_message.Message):
    __slots__ = ("paths", "artifacts", "executions", "cut")
    class Path(_message.Message):
        __slots__ = ("stops",)
        STOPS_FIELD_NUMBER: _ClassVar[int]
        stops: _containers.RepeatedCompositeFieldContainer[FindPathsResponse.Stop]
        def __init__(self, stops: _Optional[_Iterable[_Union[FindPathsResponse.Stop, _Mapping]]] = ...) -> None: ...
    class Stop(_message.Message):
        __slots__ = ("artifact_id", "execution_id", "event_path")
        ARTIFACT_ID_FIELD_NUMBER: _ClassVar[int]
        EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
        EVENT_PATH_FIELD_NUMBER: _ClassVar[int]
        artifact_id: int
        execution_id: int
        event_path: str
        def __init__(self, artifact_id: _Optional[int] = ..., execution_id: _Optional[int] = ..., event_path: _Optional[str] = ...) -> None: ...
    PATHS_FIELD_NUMBER: _ClassVar[int]
    ARTIFACTS_FIELD_NUMBER: _ClassVar[int]
    EXECUTIONS_FIELD_NUMBER: _ClassVar[int]
    CUT_FIELD_NUMBER: _ClassVar[int]
    paths: _containers.RepeatedCompositeFieldContainer[FindPathsResponse.Path]
    artifacts: _containers.RepeatedCompositeFieldContainer[_metadata_store_pb2.Artifact]
    executions: _containers.RepeatedCompositeFieldContainer[_metadata_store_pb2.Execution]
    cut: Cut
    def __init__(self, paths: _Optional[_Iterable[_Union[FindPathsResponse.Path, _Mapping]]] = ..., artifacts: _Optional[_Iterable[_Union[_metadata_store_pb2.Artifact, _Mapping]]] = ..., executions: _Optional[_Iterable[_Union[_metadata_store_pb2.Execution, _Mapping]]] = ..., cut: _Optional[_Union[Cut, _Mapping]] = ...) -> None: ...

class GetImpactRequest(_message.Message):
    __slots__ = ("start", "max_hops", "as_of_ms", "max_nodes")
    START_FIELD_NUMBER: _ClassVar[int]
    MAX_HOPS_FIELD_NUMBER: _ClassVar[int]
    AS_OF_MS_FIELD_NUMBER: _ClassVar[int]
    MAX_NODES_FIELD_NUMBER: _ClassVar[int]
    start: StartingNodes
    max_hops: int
    as_of_ms: int
    max_nodes: int
    def __init__(self, start: _Optional[_Union[StartingNodes, _Mapping]] = ..., max_hops: _Optional[int] = ..., as_of_ms: _Optional[int] = ..., max_nodes: _Optional[int] = ...) -> None: ...

class GetImpactResponse(_message.Message):
    __slots__ = ("artifacts", "executions", "contexts", "latest", "cut")
    class Count(_message.Message):
        __slots__ = ("type", "state", "step", "count")
        TYPE_FIELD_NUMBER: _ClassVar[int]
        STATE_FIELD_NUMBER: _ClassVar[int]
        STEP_FIELD_NUMBER: _ClassVar[int]
        COUNT_FIELD_NUMBER: _ClassVar[int]
        type: str
        state: str
        step: str
        count: int
        def __init__(self, type: _Optional[str] = ..., state: _Optional[str] = ..., step: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...
    class ContextCount(_message.Message):
        __slots__ = ("context", "count")
        CONTEXT_FIELD_NUMBER: _ClassVar[int]
        COUNT_FIELD_NUMBER: _ClassVar[int]
        context: _metadata_store_pb2.Context
        count: int
        def __init__(self, context: _Optional[_Union[_metadata_store_pb2.Context, _Mapping]] = ..., count: _Optional[int] = ...) -> None: ...
    ARTIFACTS_FIELD_NUMBER: _ClassVar[int]
    EXECUTIONS_FIELD_NUMBER: _ClassVar[int]
    CONTEXTS_FIELD_NUMBER: _ClassVar[int]
    LATEST_FIELD_NUMBER: _ClassVar[int]
    CUT_FIELD_NUMBER: _ClassVar[int]
    artifacts: _containers.RepeatedCompositeFieldContainer[GetImpactResponse.Count]
    executions: _containers.RepeatedCompositeFieldContainer[GetImpactResponse.Count]
    contexts: _containers.RepeatedCompositeFieldContainer[GetImpactResponse.ContextCount]
    latest: _containers.RepeatedCompositeFieldContainer[_metadata_store_pb2.Artifact]
    cut: Cut
    def __init__(self, artifacts: _Optional[_Iterable[_Union[GetImpactResponse.Count, _Mapping]]] = ..., executions: _Optional[_Iterable[_Union[GetImpactResponse.Count, _Mapping]]] = ..., contexts: _Optional[_Iterable[_Union[GetImpactResponse.ContextCount, _Mapping]]] = ..., latest: _Optional[_Iterable[_Union[_metadata_store_pb2.Artifact, _Mapping]]] = ..., cut: _Optional[_Union[Cut, _Mapping]] = ...) -> None: ...

class CompareLineagesRequest(_message.Message):
    __slots__ = ("a_artifact_id", "a_execution_id", "b_artifact_id", "b_execution_id", "max_hops")
    A_ARTIFACT_ID_FIELD_NUMBER: _ClassVar[int]
    A_EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    B_ARTIFACT_ID_FIELD_NUMBER: _ClassVar[int]
    B_EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    MAX_HOPS_FIELD_NUMBER: _ClassVar[int]
    a_artifact_id: int
    a_execution_id: int
    b_artifact_id: int
    b_execution_id: int
    max_hops: int
    def __init__(self, a_artifact_id: _Optional[int] = ..., a_execution_id: _Optional[int] = ..., b_artifact_id: _Optional[int] = ..., b_execution_id: _Optional[int] = ..., max_hops: _Optional[int] = ...) -> None: ...

class CompareLineagesResponse(_message.Message):
    __slots__ = ("steps", "equal_steps", "cut")
    class StepDifference(_message.Message):
        __slots__ = ("step", "hops", "a_execution_id", "b_execution_id", "differences", "only_inputs")
        STEP_FIELD_NUMBER: _ClassVar[int]
        HOPS_FIELD_NUMBER: _ClassVar[int]
        A_EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
        B_EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
        DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
        ONLY_INPUTS_FIELD_NUMBER: _ClassVar[int]
        step: str
        hops: int
        a_execution_id: int
        b_execution_id: int
        differences: _containers.RepeatedCompositeFieldContainer[_pipelines_pb2.ComponentDifference]
        only_inputs: bool
        def __init__(self, step: _Optional[str] = ..., hops: _Optional[int] = ..., a_execution_id: _Optional[int] = ..., b_execution_id: _Optional[int] = ..., differences: _Optional[_Iterable[_Union[_pipelines_pb2.ComponentDifference, _Mapping]]] = ..., only_inputs: bool = ...) -> None: ...
    STEPS_FIELD_NUMBER: _ClassVar[int]
    EQUAL_STEPS_FIELD_NUMBER: _ClassVar[int]
    CUT_FIELD_NUMBER: _ClassVar[int]
    steps: _containers.RepeatedCompositeFieldContainer[CompareLineagesResponse.StepDifference]
    equal_steps: int
    cut: Cut
    def __init__(self, steps: _Optional[_Iterable[_Union[CompareLineagesResponse.StepDifference, _Mapping]]] = ..., equal_steps: _Optional[int] = ..., cut: _Optional[_Union[Cut, _Mapping]] = ...) -> None: ...
