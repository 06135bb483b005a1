from headwater.v1 import metadata_store_pb2 as _metadata_store_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STATE_UNSPECIFIED: _ClassVar[State]
    NEW: _ClassVar[State]
    RUNNING: _ClassVar[State]
    COMPLETE: _ClassVar[State]
    FAILED: _ClassVar[State]
    CACHED: _ClassVar[State]
    CANCELED: _ClassVar[State]

class Decision(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DECISION_UNSPECIFIED: _ClassVar[Decision]
    HIT: _ClassVar[Decision]
    RUN: _ClassVar[Decision]
    WAIT: _ClassVar[Decision]
STATE_UNSPECIFIED: State
NEW: State
RUNNING: State
COMPLETE: State
FAILED: State
CACHED: State
CANCELED: State
DECISION_UNSPECIFIED: Decision
HIT: Decision
RUN: Decision
WAIT: Decision

class CodeVersion(_message.Message):
    __slots__ = ("repository", "commit", "is_dirty", "source_digest")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    IS_DIRTY_FIELD_NUMBER: _ClassVar[int]
    SOURCE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    repository: str
    commit: str
    is_dirty: bool
    source_digest: str
    def __init__(self, repository: _Optional[str] = ..., commit: _Optional[str] = ..., is_dirty: bool = ..., source_digest: _Optional[str] = ...) -> None: ...

class Environment(_message.Message):
    __slots__ = ("python", "platform", "lock_file_digest", "container_image", "other")
    class OtherEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PYTHON_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    LOCK_FILE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    CONTAINER_IMAGE_FIELD_NUMBER: _ClassVar[int]
    OTHER_FIELD_NUMBER: _ClassVar[int]
    python: str
    platform: str
    lock_file_digest: str
    container_image: str
    other: _containers.ScalarMap[str, str]
    def __init__(self, python: _Optional[str] = ..., platform: _Optional[str] = ..., lock_file_digest: _Optional[str] = ..., container_image: _Optional[str] = ..., other: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Lease(_message.Message):
    __slots__ = ("token", "duration_ms", "expires_ms")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    DURATION_MS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_MS_FIELD_NUMBER: _ClassVar[int]
    token: str
    duration_ms: int
    expires_ms: int
    def __init__(self, token: _Optional[str] = ..., duration_ms: _Optional[int] = ..., expires_ms: _Optional[int] = ...) -> None: ...

class StartRunRequest(_message.Message):
    __slots__ = ("pipeline", "run", "parameters", "code", "environment", "trigger", "owner", "description", "tags", "parent", "steps", "worker", "lease_ms", "start_ms", "reopens", "custom_properties")
    class ParametersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _metadata_store_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_metadata_store_pb2.Value, _Mapping]] = ...) -> None: ...
    class TagsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class CustomPropertiesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _metadata_store_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_metadata_store_pb2.Value, _Mapping]] = ...) -> None: ...
    class PlannedStep(_message.Message):
        __slots__ = ("step", "after")
        STEP_FIELD_NUMBER: _ClassVar[int]
        AFTER_FIELD_NUMBER: _ClassVar[int]
        step: str
        after: _containers.RepeatedScalarFieldContainer[str]
        def __init__(self, step: _Optional[str] = ..., after: _Optional[_Iterable[str]] = ...) -> None: ...
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    TRIGGER_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    LEASE_MS_FIELD_NUMBER: _ClassVar[int]
    START_MS_FIELD_NUMBER: _ClassVar[int]
    REOPENS_FIELD_NUMBER: _ClassVar[int]
    CUSTOM_PROPERTIES_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    run: str
    parameters: _containers.MessageMap[str, _metadata_store_pb2.Value]
    code: CodeVersion
    environment: Environment
    trigger: str
    owner: str
    description: str
    tags: _containers.ScalarMap[str, str]
    parent: RunName
    steps: _containers.RepeatedCompositeFieldContainer[StartRunRequest.PlannedStep]
    worker: str
    lease_ms: int
    start_ms: int
    reopens: bool
    custom_properties: _containers.MessageMap[str, _metadata_store_pb2.Value]
    def __init__(self, pipeline: _Optional[str] = ..., run: _Optional[str] = ..., parameters: _Optional[_Mapping[str, _metadata_store_pb2.Value]] = ..., code: _Optional[_Union[CodeVersion, _Mapping]] = ..., environment: _Optional[_Union[Environment, _Mapping]] = ..., trigger: _Optional[str] = ..., owner: _Optional[str] = ..., description: _Optional[str] = ..., tags: _Optional[_Mapping[str, str]] = ..., parent: _Optional[_Union[RunName, _Mapping]] = ..., steps: _Optional[_Iterable[_Union[StartRunRequest.PlannedStep, _Mapping]]] = ..., worker: _Optional[str] = ..., lease_ms: _Optional[int] = ..., start_ms: _Optional[int] = ..., reopens: bool = ..., custom_properties: _Optional[_Mapping[str, _metadata_store_pb2.Value]] = ...) -> None: ...

class RunName(_message.Message):
    __slots__ = ("pipeline", "run")
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    run: str
    def __init__(self, pipeline: _Optional[str] = ..., run: _Optional[str] = ...) -> None: ...

class StartRunResponse(_message.Message):
    __slots__ = ("run_id", "pipeline_id", "lease", "existed")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_ID_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    EXISTED_FIELD_NUMBER: _ClassVar[int]
    run_id: int
    pipeline_id: int
    lease: Lease
    existed: bool
    def __init__(self, run_id: _Optional[int] = ..., pipeline_id: _Optional[int] = ..., lease: _Optional[_Union[Lease, _Mapping]] = ..., existed: bool = ...) -> None: ...

class FinishRunRequest(_message.Message):
    __slots__ = ("pipeline", "run", "state", "error", "end_ms", "ends_steps", "is_gone")
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    END_MS_FIELD_NUMBER: _ClassVar[int]
    ENDS_STEPS_FIELD_NUMBER: _ClassVar[int]
    IS_GONE_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    run: str
    state: State
    error: str
    end_ms: int
    ends_steps: bool
    is_gone: bool
    def __init__(self, pipeline: _Optional[str] = ..., run: _Optional[str] = ..., state: _Optional[_Union[State, str]] = ..., error: _Optional[str] = ..., end_ms: _Optional[int] = ..., ends_steps: bool = ..., is_gone: bool = ...) -> None: ...

class FinishRunResponse(_message.Message):
    __slots__ = ("run_id", "execution_ids")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_IDS_FIELD_NUMBER: _ClassVar[int]
    run_id: int
    execution_ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, run_id: _Optional[int] = ..., execution_ids: _Optional[_Iterable[int]] = ...) -> None: ...

class StepInput(_message.Message):
    __slots__ = ("name", "artifact_id", "uri", "digest", "size_bytes", "type", "component", "custom_properties")
    class CustomPropertiesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _metadata_store_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_metadata_store_pb2.Value, _Mapping]] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_ID_FIELD_NUMBER: _ClassVar[int]
    URI_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    COMPONENT_FIELD_NUMBER: _ClassVar[int]
    CUSTOM_PROPERTIES_FIELD_NUMBER: _ClassVar[int]
    name: str
    artifact_id: int
    uri: str
    digest: str
    size_bytes: int
    type: str
    component: str
    custom_properties: _containers.MessageMap[str, _metadata_store_pb2.Value]
    def __init__(self, name: _Optional[str] = ..., artifact_id: _Optional[int] = ..., uri: _Optional[str] = ..., digest: _Optional[str] = ..., size_bytes: _Optional[int] = ..., type: _Optional[str] = ..., component: _Optional[str] = ..., custom_properties: _Optional[_Mapping[str, _metadata_store_pb2.Value]] = ...) -> None: ...

class StepOutput(_message.Message):
    __slots__ = ("name", "artifact_id", "type", "uri", "digest", "size_bytes", "stamp", "description", "preview", "manifest", "metrics", "custom_properties")
    class MetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class CustomPropertiesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _metadata_store_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_metadata_store_pb2.Value, _Mapping]] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    URI_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    STAMP_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    PREVIEW_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    CUSTOM_PROPERTIES_FIELD_NUMBER: _ClassVar[int]
    name: str
    artifact_id: int
    type: str
    uri: str
    digest: str
    size_bytes: int
    stamp: str
    description: str
    preview: _metadata_store_pb2.Value
    manifest: _metadata_store_pb2.Value
    metrics: _containers.ScalarMap[str, float]
    custom_properties: _containers.MessageMap[str, _metadata_store_pb2.Value]
    def __init__(self, name: _Optional[str] = ..., artifact_id: _Optional[int] = ..., type: _Optional[str] = ..., uri: _Optional[str] = ..., digest: _Optional[str] = ..., size_bytes: _Optional[int] = ..., stamp: _Optional[str] = ..., description: _Optional[str] = ..., preview: _Optional[_Union[_metadata_store_pb2.Value, _Mapping]] = ..., manifest: _Optional[_Union[_metadata_store_pb2.Value, _Mapping]] = ..., metrics: _Optional[_Mapping[str, float]] = ..., custom_properties: _Optional[_Mapping[str, _metadata_store_pb2.Value]] = ...) -> None: ...

class CachePolicy(_message.Message):
    __slots__ = ("mode", "max_age_ms", "never_waits", "reason")
    class Mode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        READ_AND_WRITE: _ClassVar[CachePolicy.Mode]
        OFF: _ClassVar[CachePolicy.Mode]
        READ: _ClassVar[CachePolicy.Mode]
        WRITE: _ClassVar[CachePolicy.Mode]
    READ_AND_WRITE: CachePolicy.Mode
    OFF: CachePolicy.Mode
    READ: CachePolicy.Mode
    WRITE: CachePolicy.Mode
    MODE_FIELD_NUMBER: _ClassVar[int]
    MAX_AGE_MS_FIELD_NUMBER: _ClassVar[int]
    NEVER_WAITS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    mode: CachePolicy.Mode
    max_age_ms: int
    never_waits: bool
    reason: str
    def __init__(self, mode: _Optional[_Union[CachePolicy.Mode, str]] = ..., max_age_ms: _Optional[int] = ..., never_waits: bool = ..., reason: _Optional[str] = ...) -> None: ...

class RefusedHit(_message.Message):
    __slots__ = ("execution_id", "artifact_id", "reason", "stays_fit")
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    STAYS_FIT_FIELD_NUMBER: _ClassVar[int]
    execution_id: int
    artifact_id: int
    reason: str
    stays_fit: bool
    def __init__(self, execution_id: _Optional[int] = ..., artifact_id: _Optional[int] = ..., reason: _Optional[str] = ..., stays_fit: bool = ...) -> None: ...

class BeginStepRequest(_message.Message):
    __slots__ = ("pipeline", "run", "step", "key", "worker", "lease_ms", "components", "inputs", "cache", "parameters", "code", "environment", "description", "tags", "start_ms", "refused", "custom_properties")
    class ComponentsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class ParametersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _metadata_store_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_metadata_store_pb2.Value, _Mapping]] = ...) -> None: ...
    class TagsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class CustomPropertiesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _metadata_store_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_metadata_store_pb2.Value, _Mapping]] = ...) -> None: ...
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    LEASE_MS_FIELD_NUMBER: _ClassVar[int]
    COMPONENTS_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    CACHE_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    START_MS_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    CUSTOM_PROPERTIES_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    run: str
    step: str
    key: str
    worker: str
    lease_ms: int
    components: _containers.ScalarMap[str, str]
    inputs: _containers.RepeatedCompositeFieldContainer[StepInput]
    cache: CachePolicy
    parameters: _containers.MessageMap[str, _metadata_store_pb2.Value]
    code: CodeVersion
    environment: Environment
    description: str
    tags: _containers.ScalarMap[str, str]
    start_ms: int
    refused: _containers.RepeatedCompositeFieldContainer[RefusedHit]
    custom_properties: _containers.MessageMap[str, _metadata_store_pb2.Value]
    def __init__(self, pipeline: _Optional[str] = ..., run: _Optional[str] = ..., step: _Optional[str] = ..., key: _Optional[str] = ..., worker: _Optional[str] = ..., lease_ms: _Optional[int] = ..., components: _Optional[_Mapping[str, str]] = ..., inputs: _Optional[_Iterable[_Union[StepInput, _Mapping]]] = ..., cache: _Optional[_Union[CachePolicy, _Mapping]] = ..., parameters: _Optional[_Mapping[str, _metadata_store_pb2.Value]] = ..., code: _Optional[_Union[CodeVersion, _Mapping]] = ..., environment: _Optional[_Union[Environment, _Mapping]] = ..., description: _Optional[str] = ..., tags: _Optional[_Mapping[str, str]] = ..., start_ms: _Optional[int] = ..., refused: _Optional[_Iterable[_Union[RefusedHit, _Mapping]]] = ..., custom_properties: _Optional[_Mapping[str, _metadata_store_pb2.Value]] = ...) -> None: ...

class Holder(_message.Message):
    __slots__ = ("worker", "execution_id", "run_id", "since_ms", "expires_ms")
    WORKER_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    SINCE_MS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_MS_FIELD_NUMBER: _ClassVar[int]
    worker: str
    execution_id: int
    run_id: int
    since_ms: int
    expires_ms: int
    def __init__(self, worker: _Optional[str] = ..., execution_id: _Optional[int] = ..., run_id: _Optional[int] = ..., since_ms: _Optional[int] = ..., expires_ms: _Optional[int] = ...) -> None: ...

class ComponentDifference(_message.Message):
    __slots__ = ("component", "old", "new")
    COMPONENT_FIELD_NUMBER: _ClassVar[int]
    OLD_FIELD_NUMBER: _ClassVar[int]
    NEW_FIELD_NUMBER: _ClassVar[int]
    component: str
    old: str
    new: str
    def __init__(self, component: _Optional[str] = ..., old: _Optional[str] = ..., new: _Optional[str] = ...) -> None: ...

class Miss(_message.Message):
    __slots__ = ("why", "text", "nearest_execution_id", "differences")
    class Why(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        WHY_UNSPECIFIED: _ClassVar[Miss.Why]
        NEVER_COMPLETED: _ClassVar[Miss.Why]
        DIFFERS: _ClassVar[Miss.Why]
        INVALIDATED: _ClassVar[Miss.Why]
        TOO_OLD: _ClassVar[Miss.Why]
        POLICY: _ClassVar[Miss.Why]
        NO_FINGERPRINT: _ClassVar[Miss.Why]
        NOT_REUSABLE: _ClassVar[Miss.Why]
    WHY_UNSPECIFIED: Miss.Why
    NEVER_COMPLETED: Miss.Why
    DIFFERS: Miss.Why
    INVALIDATED: Miss.Why
    TOO_OLD: Miss.Why
    POLICY: Miss.Why
    NO_FINGERPRINT: Miss.Why
    NOT_REUSABLE: Miss.Why
    WHY_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    NEAREST_EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    why: Miss.Why
    text: str
    nearest_execution_id: int
    differences: _containers.RepeatedCompositeFieldContainer[ComponentDifference]
    def __init__(self, why: _Optional[_Union[Miss.Why, str]] = ..., text: _Optional[str] = ..., nearest_execution_id: _Optional[int] = ..., differences: _Optional[_Iterable[_Union[ComponentDifference, _Mapping]]] = ...) -> None: ...

class BeginStepResponse(_message.Message):
    __slots__ = ("decision", "fingerprint", "execution_id", "attempt", "lease", "outputs", "holder", "retry_after_ms", "miss", "run_id", "pipeline_id", "state", "input_artifact_ids")
    DECISION_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    HOLDER_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    MISS_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    INPUT_ARTIFACT_IDS_FIELD_NUMBER: _ClassVar[int]
    decision: Decision
    fingerprint: str
    execution_id: int
    attempt: int
    lease: Lease
    outputs: _containers.RepeatedCompositeFieldContainer[StepOutput]
    holder: Holder
    retry_after_ms: int
    miss: Miss
    run_id: int
    pipeline_id: int
    state: State
    input_artifact_ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, decision: _Optional[_Union[Decision, str]] = ..., fingerprint: _Optional[str] = ..., execution_id: _Optional[int] = ..., attempt: _Optional[int] = ..., lease: _Optional[_Union[Lease, _Mapping]] = ..., outputs: _Optional[_Iterable[_Union[StepOutput, _Mapping]]] = ..., holder: _Optional[_Union[Holder, _Mapping]] = ..., retry_after_ms: _Optional[int] = ..., miss: _Optional[_Union[Miss, _Mapping]] = ..., run_id: _Optional[int] = ..., pipeline_id: _Optional[int] = ..., state: _Optional[_Union[State, str]] = ..., input_artifact_ids: _Optional[_Iterable[int]] = ...) -> None: ...

class Metric(_message.Message):
    __slots__ = ("name", "value", "step", "time_ms")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    TIME_MS_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: float
    step: int
    time_ms: int
    def __init__(self, name: _Optional[str] = ..., value: _Optional[float] = ..., step: _Optional[int] = ..., time_ms: _Optional[int] = ...) -> None: ...

class FinishStepRequest(_message.Message):
    __slots__ = ("key", "state", "outputs", "metrics", "error", "usage", "end_ms", "begin", "cached_execution_id", "amends", "custom_properties", "unfit")
    class UsageEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class CustomPropertiesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _metadata_store_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_metadata_store_pb2.Value, _Mapping]] = ...) -> None: ...
    KEY_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    END_MS_FIELD_NUMBER: _ClassVar[int]
    BEGIN_FIELD_NUMBER: _ClassVar[int]
    CACHED_EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    AMENDS_FIELD_NUMBER: _ClassVar[int]
    CUSTOM_PROPERTIES_FIELD_NUMBER: _ClassVar[int]
    UNFIT_FIELD_NUMBER: _ClassVar[int]
    key: str
    state: State
    outputs: _containers.RepeatedCompositeFieldContainer[StepOutput]
    metrics: _containers.RepeatedCompositeFieldContainer[Metric]
    error: str
    usage: _containers.ScalarMap[str, float]
    end_ms: int
    begin: BeginStepRequest
    cached_execution_id: int
    amends: bool
    custom_properties: _containers.MessageMap[str, _metadata_store_pb2.Value]
    unfit: str
    def __init__(self, key: _Optional[str] = ..., state: _Optional[_Union[State, str]] = ..., outputs: _Optional[_Iterable[_Union[StepOutput, _Mapping]]] = ..., metrics: _Optional[_Iterable[_Union[Metric, _Mapping]]] = ..., error: _Optional[str] = ..., usage: _Optional[_Mapping[str, float]] = ..., end_ms: _Optional[int] = ..., begin: _Optional[_Union[BeginStepRequest, _Mapping]] = ..., cached_execution_id: _Optional[int] = ..., amends: bool = ..., custom_properties: _Optional[_Mapping[str, _metadata_store_pb2.Value]] = ..., unfit: _Optional[str] = ...) -> None: ...

class FinishStepResponse(_message.Message):
    __slots__ = ("execution_id", "artifact_ids", "lease_was_lost", "taken_over_by", "run_id", "input_artifact_ids")
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_IDS_FIELD_NUMBER: _ClassVar[int]
    LEASE_WAS_LOST_FIELD_NUMBER: _ClassVar[int]
    TAKEN_OVER_BY_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    INPUT_ARTIFACT_IDS_FIELD_NUMBER: _ClassVar[int]
    execution_id: int
    artifact_ids: _containers.RepeatedScalarFieldContainer[int]
    lease_was_lost: bool
    taken_over_by: Holder
    run_id: int
    input_artifact_ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, execution_id: _Optional[int] = ..., artifact_ids: _Optional[_Iterable[int]] = ..., lease_was_lost: bool = ..., taken_over_by: _Optional[_Union[Holder, _Mapping]] = ..., run_id: _Optional[int] = ..., input_artifact_ids: _Optional[_Iterable[int]] = ...) -> None: ...

class RenewLeasesRequest(_message.Message):
    __slots__ = ("tokens",)
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    tokens: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, tokens: _Optional[_Iterable[str]] = ...) -> None: ...

class RenewLeasesResponse(_message.Message):
    __slots__ = ("leases", "lost_tokens")
    LEASES_FIELD_NUMBER: _ClassVar[int]
    LOST_TOKENS_FIELD_NUMBER: _ClassVar[int]
    leases: _containers.RepeatedCompositeFieldContainer[Lease]
    lost_tokens: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, leases: _Optional[_Iterable[_Union[Lease, _Mapping]]] = ..., lost_tokens: _Optional[_Iterable[str]] = ...) -> None: ...

class EndExpiredLeasesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class EndExpiredLeasesResponse(_message.Message):
    __slots__ = ("execution_ids", "run_ids")
    EXECUTION_IDS_FIELD_NUMBER: _ClassVar[int]
    RUN_IDS_FIELD_NUMBER: _ClassVar[int]
    execution_ids: _containers.RepeatedScalarFieldContainer[int]
    run_ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, execution_ids: _Optional[_Iterable[int]] = ..., run_ids: _Optional[_Iterable[int]] = ...) -> None: ...

class LookUpStepsRequest(_message.Message):
    __slots__ = ("steps",)
    STEPS_FIELD_NUMBER: _ClassVar[int]
    steps: _containers.RepeatedCompositeFieldContainer[BeginStepRequest]
    def __init__(self, steps: _Optional[_Iterable[_Union[BeginStepRequest, _Mapping]]] = ...) -> None: ...

class LookUpStepsResponse(_message.Message):
    __slots__ = ("steps",)
    STEPS_FIELD_NUMBER: _ClassVar[int]
    steps: _containers.RepeatedCompositeFieldContainer[BeginStepResponse]
    def __init__(self, steps: _Optional[_Iterable[_Union[BeginStepResponse, _Mapping]]] = ...) -> None: ...

class ExplainStepRequest(_message.Message):
    __slots__ = ("execution_id", "step")
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    execution_id: int
    step: BeginStepRequest
    def __init__(self, execution_id: _Optional[int] = ..., step: _Optional[_Union[BeginStepRequest, _Mapping]] = ...) -> None: ...

class ExplainStepResponse(_message.Message):
    __slots__ = ("decision", "fingerprint", "components", "miss", "nearest", "step", "pipeline")
    class ComponentsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class Nearest(_message.Message):
        __slots__ = ("execution_id", "run", "state", "end_ms", "unfit", "differences")
        EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
        RUN_FIELD_NUMBER: _ClassVar[int]
        STATE_FIELD_NUMBER: _ClassVar[int]
        END_MS_FIELD_NUMBER: _ClassVar[int]
        UNFIT_FIELD_NUMBER: _ClassVar[int]
        DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
        execution_id: int
        run: str
        state: State
        end_ms: int
        unfit: str
        differences: _containers.RepeatedCompositeFieldContainer[ComponentDifference]
        def __init__(self, execution_id: _Optional[int] = ..., run: _Optional[str] = ..., state: _Optional[_Union[State, str]] = ..., end_ms: _Optional[int] = ..., unfit: _Optional[str] = ..., differences: _Optional[_Iterable[_Union[ComponentDifference, _Mapping]]] = ...) -> None: ...
    DECISION_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    COMPONENTS_FIELD_NUMBER: _ClassVar[int]
    MISS_FIELD_NUMBER: _ClassVar[int]
    NEAREST_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    decision: Decision
    fingerprint: str
    components: _containers.ScalarMap[str, str]
    miss: Miss
    nearest: _containers.RepeatedCompositeFieldContainer[ExplainStepResponse.Nearest]
    step: str
    pipeline: str
    def __init__(self, decision: _Optional[_Union[Decision, str]] = ..., fingerprint: _Optional[str] = ..., components: _Optional[_Mapping[str, str]] = ..., miss: _Optional[_Union[Miss, _Mapping]] = ..., nearest: _Optional[_Iterable[_Union[ExplainStepResponse.Nearest, _Mapping]]] = ..., step: _Optional[str] = ..., pipeline: _Optional[str] = ...) -> None: ...

class InvalidateStepsRequest(_message.Message):
    __slots__ = ("pipeline", "step", "run", "artifact_id", "execution_ids", "ended_before_ms", "with_downstream", "reason", "dry_run")
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_ID_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_IDS_FIELD_NUMBER: _ClassVar[int]
    ENDED_BEFORE_MS_FIELD_NUMBER: _ClassVar[int]
    WITH_DOWNSTREAM_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    step: str
    run: str
    artifact_id: int
    execution_ids: _containers.RepeatedScalarFieldContainer[int]
    ended_before_ms: int
    with_downstream: bool
    reason: str
    dry_run: bool
    def __init__(self, pipeline: _Optional[str] = ..., step: _Optional[str] = ..., run: _Optional[str] = ..., artifact_id: _Optional[int] = ..., execution_ids: _Optional[_Iterable[int]] = ..., ended_before_ms: _Optional[int] = ..., with_downstream: bool = ..., reason: _Optional[str] = ..., dry_run: bool = ...) -> None: ...

class InvalidateStepsResponse(_message.Message):
    __slots__ = ("count", "execution_ids")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_IDS_FIELD_NUMBER: _ClassVar[int]
    count: int
    execution_ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, count: _Optional[int] = ..., execution_ids: _Optional[_Iterable[int]] = ...) -> None: ...

class GetCacheStatsRequest(_message.Message):
    __slots__ = ("pipeline",)
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    def __init__(self, pipeline: _Optional[str] = ...) -> None: ...

class GetCacheStatsResponse(_message.Message):
    __slots__ = ("steps",)
    class StepStats(_message.Message):
        __slots__ = ("pipeline", "step", "completed", "hits", "failed", "entries", "saved_ms", "invalidated")
        PIPELINE_FIELD_NUMBER: _ClassVar[int]
        STEP_FIELD_NUMBER: _ClassVar[int]
        COMPLETED_FIELD_NUMBER: _ClassVar[int]
        HITS_FIELD_NUMBER: _ClassVar[int]
        FAILED_FIELD_NUMBER: _ClassVar[int]
        ENTRIES_FIELD_NUMBER: _ClassVar[int]
        SAVED_MS_FIELD_NUMBER: _ClassVar[int]
        INVALIDATED_FIELD_NUMBER: _ClassVar[int]
        pipeline: str
        step: str
        completed: int
        hits: int
        failed: int
        entries: int
        saved_ms: int
        invalidated: int
        def __init__(self, pipeline: _Optional[str] = ..., step: _Optional[str] = ..., completed: _Optional[int] = ..., hits: _Optional[int] = ..., failed: _Optional[int] = ..., entries: _Optional[int] = ..., saved_ms: _Optional[int] = ..., invalidated: _Optional[int] = ...) -> None: ...
    STEPS_FIELD_NUMBER: _ClassVar[int]
    steps: _containers.RepeatedCompositeFieldContainer[GetCacheStatsResponse.StepStats]
    def __init__(self, steps: _Optional[_Iterable[_Union[GetCacheStatsResponse.StepStats, _Mapping]]] = ...) -> None: ...

class LogMetricsRequest(_message.Message):
    __slots__ = ("key", "execution_id", "metrics")
    KEY_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    key: str
    execution_id: int
    metrics: _containers.RepeatedCompositeFieldContainer[Metric]
    def __init__(self, key: _Optional[str] = ..., execution_id: _Optional[int] = ..., metrics: _Optional[_Iterable[_Union[Metric, _Mapping]]] = ...) -> None: ...

class LogMetricsResponse(_message.Message):
    __slots__ = ("execution_id",)
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    execution_id: int
    def __init__(self, execution_id: _Optional[int] = ...) -> None: ...

class GetMetricsRequest(_message.Message):
    __slots__ = ("execution_ids", "run_ids", "names", "max_points")
    EXECUTION_IDS_FIELD_NUMBER: _ClassVar[int]
    RUN_IDS_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    MAX_POINTS_FIELD_NUMBER: _ClassVar[int]
    execution_ids: _containers.RepeatedScalarFieldContainer[int]
    run_ids: _containers.RepeatedScalarFieldContainer[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    max_points: int
    def __init__(self, execution_ids: _Optional[_Iterable[int]] = ..., run_ids: _Optional[_Iterable[int]] = ..., names: _Optional[_Iterable[str]] = ..., max_points: _Optional[int] = ...) -> None: ...

class GetMetricsResponse(_message.Message):
    __slots__ = ("series",)
    class Series(_message.Message):
        __slots__ = ("execution_id", "name", "points", "count")
        EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
        NAME_FIELD_NUMBER: _ClassVar[int]
        POINTS_FIELD_NUMBER: _ClassVar[int]
        COUNT_FIELD_NUMBER: _ClassVar[int]
        execution_id: int
        name: str
        points: _containers.RepeatedCompositeFieldContainer[Metric]
        count: int
        def __init__(self, execution_id: _Optional[int] = ..., name: _Optional[str] = ..., points: _Optional[_Iterable[_Union[Metric, _Mapping]]] = ..., count: _Optional[int] = ...) -> None: ...
    SERIES_FIELD_NUMBER: _ClassVar[int]
    series: _containers.RepeatedCompositeFieldContainer[GetMetricsResponse.Series]
    def __init__(self, series: _Optional[_Iterable[_Union[GetMetricsResponse.Series, _Mapping]]] = ...) -> None: ...

class RunCondition(_message.Message):
    __slots__ = ("field", "name", "operator", "value")
    class Field(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        FIELD_UNSPECIFIED: _ClassVar[RunCondition.Field]
        PARAMETER: _ClassVar[RunCondition.Field]
        METRIC: _ClassVar[RunCondition.Field]
        TAG: _ClassVar[RunCondition.Field]
        STATE: _ClassVar[RunCondition.Field]
        OWNER: _ClassVar[RunCondition.Field]
        TRIGGER: _ClassVar[RunCondition.Field]
        NAME: _ClassVar[RunCondition.Field]
        START_MS: _ClassVar[RunCondition.Field]
        COMMIT: _ClassVar[RunCondition.Field]
    FIELD_UNSPECIFIED: RunCondition.Field
    PARAMETER: RunCondition.Field
    METRIC: RunCondition.Field
    TAG: RunCondition.Field
    STATE: RunCondition.Field
    OWNER: RunCondition.Field
    TRIGGER: RunCondition.Field
    NAME: RunCondition.Field
    START_MS: RunCondition.Field
    COMMIT: RunCondition.Field
    class Operator(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OPERATOR_UNSPECIFIED: _ClassVar[RunCondition.Operator]
        EQUAL: _ClassVar[RunCondition.Operator]
        NOT_EQUAL: _ClassVar[RunCondition.Operator]
        LESS: _ClassVar[RunCondition.Operator]
        LESS_OR_EQUAL: _ClassVar[RunCondition.Operator]
        GREATER: _ClassVar[RunCondition.Operator]
        GREATER_OR_EQUAL: _ClassVar[RunCondition.Operator]
        LIKE: _ClassVar[RunCondition.Operator]
    OPERATOR_UNSPECIFIED: RunCondition.Operator
    EQUAL: RunCondition.Operator
    NOT_EQUAL: RunCondition.Operator
    LESS: RunCondition.Operator
    LESS_OR_EQUAL: RunCondition.Operator
    GREATER: RunCondition.Operator
    GREATER_OR_EQUAL: RunCondition.Operator
    LIKE: RunCondition.Operator
    FIELD_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    field: RunCondition.Field
    name: str
    operator: RunCondition.Operator
    value: _metadata_store_pb2.Value
    def __init__(self, field: _Optional[_Union[RunCondition.Field, str]] = ..., name: _Optional[str] = ..., operator: _Optional[_Union[RunCondition.Operator, str]] = ..., value: _Optional[_Union[_metadata_store_pb2.Value, _Mapping]] = ...) -> None: ...

class ListRunsRequest(_message.Message):
    __slots__ = ("pipeline", "where", "order_by", "order_name", "ascending", "page_size", "page_token")
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    ORDER_BY_FIELD_NUMBER: _ClassVar[int]
    ORDER_NAME_FIELD_NUMBER: _ClassVar[int]
    ASCENDING_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    where: _containers.RepeatedCompositeFieldContainer[RunCondition]
    order_by: RunCondition.Field
    order_name: str
    ascending: bool
    page_size: int
    page_token: str
    def __init__(self, pipeline: _Optional[str] = ..., where: _Optional[_Iterable[_Union[RunCondition, _Mapping]]] = ..., order_by: _Optional[_Union[RunCondition.Field, str]] = ..., order_name: _Optional[str] = ..., ascending: bool = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class RunInfo(_message.Message):
    __slots__ = ("run_id", "pipeline_id", "pipeline", "run", "state", "start_ms", "end_ms", "error", "parameters", "metrics", "tags", "owner", "trigger", "description", "code", "environment", "steps", "parent_run_ids", "planned_steps")
    class ParametersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _metadata_store_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_metadata_store_pb2.Value, _Mapping]] = ...) -> None: ...
    class MetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class TagsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class StepsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_ID_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    START_MS_FIELD_NUMBER: _ClassVar[int]
    END_MS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    TRIGGER_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    PARENT_RUN_IDS_FIELD_NUMBER: _ClassVar[int]
    PLANNED_STEPS_FIELD_NUMBER: _ClassVar[int]
    run_id: int
    pipeline_id: int
    pipeline: str
    run: str
    state: State
    start_ms: int
    end_ms: int
    error: str
    parameters: _containers.MessageMap[str, _metadata_store_pb2.Value]
    metrics: _containers.ScalarMap[str, float]
    tags: _containers.ScalarMap[str, str]
    owner: str
    trigger: str
    description: str
    code: CodeVersion
    environment: Environment
    steps: _containers.ScalarMap[str, int]
    parent_run_ids: _containers.RepeatedScalarFieldContainer[int]
    planned_steps: _containers.RepeatedCompositeFieldContainer[StartRunRequest.PlannedStep]
    def __init__(self, run_id: _Optional[int] = ..., pipeline_id: _Optional[int] = ..., pipeline: _Optional[str] = ..., run: _Optional[str] = ..., state: _Optional[_Union[State, str]] = ..., start_ms: _Optional[int] = ..., end_ms: _Optional[int] = ..., error: _Optional[str] = ..., parameters: _Optional[_Mapping[str, _metadata_store_pb2.Value]] = ..., metrics: _Optional[_Mapping[str, float]] = ..., tags: _Optional[_Mapping[str, str]] = ..., owner: _Optional[str] = ..., trigger: _Optional[str] = ..., description: _Optional[str] = ..., code: _Optional[_Union[CodeVersion, _Mapping]] = ..., environment: _Optional[_Union[Environment, _Mapping]] = ..., steps: _Optional[_Mapping[str, int]] = ..., parent_run_ids: _Optional[_Iterable[int]] = ..., planned_steps: _Optional[_Iterable[_Union[StartRunRequest.PlannedStep, _Mapping]]] = ...) -> None: ...

class ListRunsResponse(_message.Message):
    __slots__ = ("runs", "next_page_token")
    RUNS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    runs: _containers.RepeatedCompositeFieldContainer[RunInfo]
    next_page_token: str
    def __init__(self, runs: _Optional[_Iterable[_Union[RunInfo, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetRunRequest(_message.Message):
    __slots__ = ("pipeline", "run", "run_id")
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    run: str
    run_id: int
    def __init__(self, pipeline: _Optional[str] = ..., run: _Optional[str] = ..., run_id: _Optional[int] = ...) -> None: ...

class GetRunResponse(_message.Message):
    __slots__ = ("run",)
    RUN_FIELD_NUMBER: _ClassVar[int]
    run: RunInfo
    def __init__(self, run: _Optional[_Union[RunInfo, _Mapping]] = ...) -> None: ...

class StepInfo(_message.Message):
    __slots__ = ("execution_id", "step", "attempt", "state", "start_ms", "end_ms", "fingerprint", "cached_execution_id", "why", "error", "worker", "parameters", "metrics", "inputs", "outputs", "usage", "key", "components", "run_id", "unfit", "tags", "code", "environment", "description")
    class ParametersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _metadata_store_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_metadata_store_pb2.Value, _Mapping]] = ...) -> None: ...
    class MetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class UsageEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class ComponentsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class TagsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    START_MS_FIELD_NUMBER: _ClassVar[int]
    END_MS_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    CACHED_EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    COMPONENTS_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    UNFIT_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    execution_id: int
    step: str
    attempt: int
    state: State
    start_ms: int
    end_ms: int
    fingerprint: str
    cached_execution_id: int
    why: str
    error: str
    worker: str
    parameters: _containers.MessageMap[str, _metadata_store_pb2.Value]
    metrics: _containers.ScalarMap[str, float]
    inputs: _containers.RepeatedCompositeFieldContainer[StepInput]
    outputs: _containers.RepeatedCompositeFieldContainer[StepOutput]
    usage: _containers.ScalarMap[str, float]
    key: str
    components: _containers.ScalarMap[str, str]
    run_id: int
    unfit: str
    tags: _containers.ScalarMap[str, str]
    code: CodeVersion
    environment: Environment
    description: str
    def __init__(self, execution_id: _Optional[int] = ..., step: _Optional[str] = ..., attempt: _Optional[int] = ..., state: _Optional[_Union[State, str]] = ..., start_ms: _Optional[int] = ..., end_ms: _Optional[int] = ..., fingerprint: _Optional[str] = ..., cached_execution_id: _Optional[int] = ..., why: _Optional[str] = ..., error: _Optional[str] = ..., worker: _Optional[str] = ..., parameters: _Optional[_Mapping[str, _metadata_store_pb2.Value]] = ..., metrics: _Optional[_Mapping[str, float]] = ..., inputs: _Optional[_Iterable[_Union[StepInput, _Mapping]]] = ..., outputs: _Optional[_Iterable[_Union[StepOutput, _Mapping]]] = ..., usage: _Optional[_Mapping[str, float]] = ..., key: _Optional[str] = ..., components: _Optional[_Mapping[str, str]] = ..., run_id: _Optional[int] = ..., unfit: _Optional[str] = ..., tags: _Optional[_Mapping[str, str]] = ..., code: _Optional[_Union[CodeVersion, _Mapping]] = ..., environment: _Optional[_Union[Environment, _Mapping]] = ..., description: _Optional[str] = ...) -> None: ...

class ListStepsRequest(_message.Message):
    __slots__ = ("run_id", "changed_since_ms", "page_size", "page_token", "execution_ids")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    CHANGED_SINCE_MS_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_IDS_FIELD_NUMBER: _ClassVar[int]
    run_id: int
    changed_since_ms: int
    page_size: int
    page_token: str
    execution_ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, run_id: _Optional[int] = ..., changed_since_ms: _Optional[int] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., execution_ids: _Optional[_Iterable[int]] = ...) -> None: ...

class ListStepsResponse(_message.Message):
    __slots__ = ("steps", "next_page_token", "now_ms")
    STEPS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    NOW_MS_FIELD_NUMBER: _ClassVar[int]
    steps: _containers.RepeatedCompositeFieldContainer[StepInfo]
    next_page_token: str
    now_ms: int
    def __init__(self, steps: _Optional[_Iterable[_Union[StepInfo, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., now_ms: _Optional[int] = ...) -> None: ...

class PlanResumeRequest(_message.Message):
    __slots__ = ("pipeline", "run")
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    run: str
    def __init__(self, pipeline: _Optional[str] = ..., run: _Optional[str] = ...) -> None: ...

class PlanResumeResponse(_message.Message):
    __slots__ = ("steps", "run_id")
    class StepPlan(_message.Message):
        __slots__ = ("step", "plan", "why", "execution_id", "outputs", "blocked_by")
        class Plan(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
            __slots__ = ()
            PLAN_UNSPECIFIED: _ClassVar[PlanResumeResponse.StepPlan.Plan]
            DONE: _ClassVar[PlanResumeResponse.StepPlan.Plan]
            TO_RUN: _ClassVar[PlanResumeResponse.StepPlan.Plan]
            BLOCKED: _ClassVar[PlanResumeResponse.StepPlan.Plan]
        PLAN_UNSPECIFIED: PlanResumeResponse.StepPlan.Plan
        DONE: PlanResumeResponse.StepPlan.Plan
        TO_RUN: PlanResumeResponse.StepPlan.Plan
        BLOCKED: PlanResumeResponse.StepPlan.Plan
        STEP_FIELD_NUMBER: _ClassVar[int]
        PLAN_FIELD_NUMBER: _ClassVar[int]
        WHY_FIELD_NUMBER: _ClassVar[int]
        EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
        OUTPUTS_FIELD_NUMBER: _ClassVar[int]
        BLOCKED_BY_FIELD_NUMBER: _ClassVar[int]
        step: str
        plan: PlanResumeResponse.StepPlan.Plan
        why: str
        execution_id: int
        outputs: _containers.RepeatedCompositeFieldContainer[StepOutput]
        blocked_by: _containers.RepeatedScalarFieldContainer[str]
        def __init__(self, step: _Optional[str] = ..., plan: _Optional[_Union[PlanResumeResponse.StepPlan.Plan, str]] = ..., why: _Optional[str] = ..., execution_id: _Optional[int] = ..., outputs: _Optional[_Iterable[_Union[StepOutput, _Mapping]]] = ..., blocked_by: _Optional[_Iterable[str]] = ...) -> None: ...
    STEPS_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    steps: _containers.RepeatedCompositeFieldContainer[PlanResumeResponse.StepPlan]
    run_id: int
    def __init__(self, steps: _Optional[_Iterable[_Union[PlanResumeResponse.StepPlan, _Mapping]]] = ..., run_id: _Optional[int] = ...) -> None: ...
