"""``MetadataStore`` with the interface of ml-metadata 1.17.1, over a transport of ours.

What a method takes, answers and raises is what the original's does; the docstrings here say the short
version. Every method takes ``extra_options``, which the original ignores too.
"""

import enum
import logging
import random
import time
import weakref
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from headwater.client import Transport
from headwater.errors import HeadwaterError
from headwater.mlmd import errors
from headwater.mlmd.opening import SCHEMA_VERSION, open_channel, open_database
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc

log = logging.getLogger(__name__)
R = TypeVar("R", bound=Message)

MAX_NUM_RESULT = 100
_MEAN_PAUSE_S = 2.0
_GRAPH_FIELDS = tuple(field.name for field in pb.LineageGraph.DESCRIPTOR.fields)


@enum.unique
class OrderByField(enum.Enum):
    """What a listing can be ordered by."""

    CREATE_TIME = pb.ListOperationOptions.OrderByField.CREATE_TIME
    UPDATE_TIME = pb.ListOperationOptions.OrderByField.LAST_UPDATE_TIME
    ID = pb.ListOperationOptions.OrderByField.ID


@dataclass
class ListOptions:
    """How many nodes to list, which, and in what order."""

    limit: int | None = None
    """``None`` and 0 mean all."""
    order_by: OrderByField | None = None
    """``None`` leaves the order to the store, which is by id."""
    is_asc: bool = True
    filter_query: str | None = None


class ExtraOptions:
    """Accepted everywhere, and ignored."""

    def __init__(self, euc: object = None) -> None:
        del euc


class MetadataStore:
    """A store in this process (``ConnectionConfig``) or behind a server (``MetadataStoreClientConfig``).

    A call that is ABORTED is repeated up to ``_max_num_retries`` times in all, after pauses of two
    seconds on average; no other error is. Safe for threads. Closed when it is garbage.

    Raises:
        RuntimeError: the database cannot be opened.
        ValueError: ``config`` is another message, or an upgrade is asked of a server.
    """

    def __init__(
        self,
        config: pb.ConnectionConfig | pb.MetadataStoreClientConfig,
        enable_upgrade_migration: bool = False,
    ) -> None:
        self._config = config
        self._max_num_retries = 5
        self._mean_pause_s = _MEAN_PAUSE_S
        self._transport: Transport
        if isinstance(config, pb.ConnectionConfig):
            self._transport = open_database(config, enable_upgrade=enable_upgrade_migration)
            if config.HasField("retry_options"):
                self._max_num_retries = config.retry_options.max_num_retries
        elif not isinstance(config, pb.MetadataStoreClientConfig):
            raise ValueError(
                "MetadataStore is expecting either proto.ConnectionConfig or proto.MetadataStoreClientConfig "
                f"of headwater.mlmd.proto, not {type(config).__module__}.{type(config).__qualname__}"
            )
        elif enable_upgrade_migration:
            raise ValueError(
                "Upgrade migration is not allowed when using gRPC connection client. Upgrade needs to be "
                "performed on the server side."
            )
        else:
            self._transport = open_channel(config)
        weakref.finalize(self, self._transport.close)

    @property
    def pipeline_asset(self) -> None:
        """Always ``None``."""
        log.warning("a metadata store outside Google has no pipeline asset")

    def _call(self, request: Message, response_class: type[R]) -> R:
        name = type(request).__name__.removesuffix("Request")
        tries = max(1, self._max_num_retries)
        while True:
            try:
                answer = self._transport.call(name, request)
            except HeadwaterError as error:
                translated = errors.from_ours(error)
                tries -= 1
                if not isinstance(translated, errors.AbortedError) or tries == 0:
                    raise translated from error
                pause_s = random.expovariate(1 / self._mean_pause_s)
                log.info("%s was aborted; trying again in %.3f s", name, pause_s)
                time.sleep(pause_s)
            else:
                assert isinstance(answer, response_class)
                return answer

    # Types

    def put_artifact_type(
        self,
        artifact_type: pb.ArtifactType,
        can_add_fields: bool = False,
        can_omit_fields: bool = False,
        extra_options: ExtraOptions | None = None,
    ) -> int:
        """Create a type, or find or extend the stored one of that name and version; its id."""
        request = rpc.PutArtifactTypeRequest(
            artifact_type=artifact_type, can_add_fields=can_add_fields, can_omit_fields=can_omit_fields
        )
        return self._call(request, rpc.PutArtifactTypeResponse).type_id

    def put_execution_type(
        self,
        execution_type: pb.ExecutionType,
        can_add_fields: bool = False,
        can_omit_fields: bool = False,
        extra_options: ExtraOptions | None = None,
    ) -> int:
        """Create a type, or find or extend the stored one of that name and version; its id."""
        request = rpc.PutExecutionTypeRequest(
            execution_type=execution_type, can_add_fields=can_add_fields, can_omit_fields=can_omit_fields
        )
        return self._call(request, rpc.PutExecutionTypeResponse).type_id

    def put_context_type(
        self,
        context_type: pb.ContextType,
        can_add_fields: bool = False,
        can_omit_fields: bool = False,
        extra_options: ExtraOptions | None = None,
    ) -> int:
        """Create a type, or find or extend the stored one of that name and version; its id."""
        request = rpc.PutContextTypeRequest(
            context_type=context_type, can_add_fields=can_add_fields, can_omit_fields=can_omit_fields
        )
        return self._call(request, rpc.PutContextTypeResponse).type_id

    def get_artifact_type(
        self, type_name: str, type_version: str | None = None, extra_options: ExtraOptions | None = None
    ) -> pb.ArtifactType:
        """The type of that name and version; ``NotFoundError`` if there is none."""
        request = rpc.GetArtifactTypeRequest(type_name=type_name, type_version=type_version or None)
        return self._call(request, rpc.GetArtifactTypeResponse).artifact_type

    def get_execution_type(
        self, type_name: str, type_version: str | None = None, extra_options: ExtraOptions | None = None
    ) -> pb.ExecutionType:
        """The type of that name and version; ``NotFoundError`` if there is none."""
        request = rpc.GetExecutionTypeRequest(type_name=type_name, type_version=type_version or None)
        return self._call(request, rpc.GetExecutionTypeResponse).execution_type

    def get_context_type(
        self, type_name: str, type_version: str | None = None, extra_options: ExtraOptions | None = None
    ) -> pb.ContextType:
        """The type of that name and version; ``NotFoundError`` if there is none."""
        request = rpc.GetContextTypeRequest(type_name=type_name, type_version=type_version or None)
        return self._call(request, rpc.GetContextTypeResponse).context_type

    def get_artifact_types(self, extra_options: ExtraOptions | None = None) -> list[pb.ArtifactType]:
        """Every type of artifacts, without the simple types."""
        return list(self._call(rpc.GetArtifactTypesRequest(), rpc.GetArtifactTypesResponse).artifact_types)

    def get_execution_types(self, extra_options: ExtraOptions | None = None) -> list[pb.ExecutionType]:
        """Every type of executions, without the simple types."""
        return list(self._call(rpc.GetExecutionTypesRequest(), rpc.GetExecutionTypesResponse).execution_types)

    def get_context_types(self, extra_options: ExtraOptions | None = None) -> list[pb.ContextType]:
        """Every type of contexts."""
        return list(self._call(rpc.GetContextTypesRequest(), rpc.GetContextTypesResponse).context_types)

    def get_artifact_types_by_id(
        self, type_ids: Iterable[int], extra_options: ExtraOptions | None = None
    ) -> list[pb.ArtifactType]:
        """The types with these ids; missing ones are left out."""
        request = rpc.GetArtifactTypesByIDRequest(type_ids=type_ids)
        return list(self._call(request, rpc.GetArtifactTypesByIDResponse).artifact_types)

    def get_execution_types_by_id(
        self, type_ids: Iterable[int], extra_options: ExtraOptions | None = None
    ) -> list[pb.ExecutionType]:
        """The types with these ids; missing ones are left out."""
        request = rpc.GetExecutionTypesByIDRequest(type_ids=type_ids)
        return list(self._call(request, rpc.GetExecutionTypesByIDResponse).execution_types)

    def get_context_types_by_id(
        self, type_ids: Iterable[int], extra_options: ExtraOptions | None = None
    ) -> list[pb.ContextType]:
        """The types with these ids; missing ones are left out."""
        request = rpc.GetContextTypesByIDRequest(type_ids=type_ids)
        return list(self._call(request, rpc.GetContextTypesByIDResponse).context_types)

    def get_artifact_types_by_external_ids(
        self, external_ids: Iterable[str], extra_options: ExtraOptions | None = None
    ) -> list[pb.ArtifactType]:
        """The types with these external ids; ``NotFoundError`` if there is none at all."""
        request = rpc.GetArtifactTypesByExternalIdsRequest(external_ids=external_ids)
        return list(self._call(request, rpc.GetArtifactTypesByExternalIdsResponse).artifact_types)

    def get_execution_types_by_external_ids(
        self, external_ids: Iterable[str], extra_options: ExtraOptions | None = None
    ) -> list[pb.ExecutionType]:
        """The types with these external ids; ``NotFoundError`` if there is none at all."""
        request = rpc.GetExecutionTypesByExternalIdsRequest(external_ids=external_ids)
        return list(self._call(request, rpc.GetExecutionTypesByExternalIdsResponse).execution_types)

    def get_context_types_by_external_ids(
        self, external_ids: Iterable[str], extra_options: ExtraOptions | None = None
    ) -> list[pb.ContextType]:
        """The types with these external ids; ``NotFoundError`` if there is none at all."""
        request = rpc.GetContextTypesByExternalIdsRequest(external_ids=external_ids)
        return list(self._call(request, rpc.GetContextTypesByExternalIdsResponse).context_types)

    # Writing

    def put_artifacts(
        self,
        artifacts: Sequence[pb.Artifact],
        field_mask_paths: Sequence[str] | None = None,
        extra_options: ExtraOptions | None = None,
    ) -> list[int]:
        """Insert artifacts without an id, update those with one; ids in their order."""
        request = rpc.PutArtifactsRequest(artifacts=artifacts, update_mask=_mask(field_mask_paths))
        return list(self._call(request, rpc.PutArtifactsResponse).artifact_ids)

    def put_executions(
        self,
        executions: Sequence[pb.Execution],
        field_mask_paths: Sequence[str] | None = None,
        extra_options: ExtraOptions | None = None,
    ) -> list[int]:
        """Insert executions without an id, update those with one; ids in their order."""
        request = rpc.PutExecutionsRequest(executions=executions, update_mask=_mask(field_mask_paths))
        return list(self._call(request, rpc.PutExecutionsResponse).execution_ids)

    def put_contexts(
        self,
        contexts: Sequence[pb.Context],
        field_mask_paths: Sequence[str] | None = None,
        extra_options: ExtraOptions | None = None,
    ) -> list[int]:
        """Insert contexts without an id, update those with one; ids in their order."""
        request = rpc.PutContextsRequest(contexts=contexts, update_mask=_mask(field_mask_paths))
        return list(self._call(request, rpc.PutContextsResponse).context_ids)

    def put_events(self, events: Sequence[pb.Event], extra_options: ExtraOptions | None = None) -> None:
        """Insert events between stored nodes."""
        self._call(rpc.PutEventsRequest(events=events), rpc.PutEventsResponse)

    def put_attributions_and_associations(
        self,
        attributions: Sequence[pb.Attribution],
        associations: Sequence[pb.Association],
        extra_options: ExtraOptions | None = None,
    ) -> None:
        """Link stored artifacts and executions to stored contexts; existing links are fine."""
        request = rpc.PutAttributionsAndAssociationsRequest(
            attributions=attributions, associations=associations
        )
        self._call(request, rpc.PutAttributionsAndAssociationsResponse)

    def put_parent_contexts(
        self, parent_contexts: Sequence[pb.ParentContext], extra_options: ExtraOptions | None = None
    ) -> None:
        """Make stored contexts children of others; ``AlreadyExistsError`` for an existing link."""
        request = rpc.PutParentContextsRequest(parent_contexts=parent_contexts)
        self._call(request, rpc.PutParentContextsResponse)

    def put_execution(  # noqa: PLR0917  # the order of the original
        self,
        execution: pb.Execution,
        artifact_and_events: Sequence[tuple[pb.Artifact, pb.Event | None]],
        contexts: Sequence[pb.Context] | None,
        reuse_context_if_already_exist: bool = False,
        reuse_artifact_if_already_exist_by_external_id: bool = False,
        force_reuse_context: bool = False,
        force_update_time: bool = False,
        extra_options: ExtraOptions | None = None,
    ) -> tuple[int, list[int], list[int]]:
        """Insert or update an execution, its artifacts, their events and its contexts, all or none.

        Answers the id of the execution, and the ids of artifacts and contexts in their order. A pair may
        also be an artifact alone, in a tuple; empty pairs are skipped.
        """
        request = rpc.PutExecutionRequest(
            execution=execution,
            artifact_event_pairs=[
                rpc.PutExecutionRequest.ArtifactAndEvent(
                    artifact=pair[0], event=pair[1] if len(pair) == 2 else None
                )
                for pair in artifact_and_events
                if pair
            ],
            contexts=contexts,
            options=rpc.PutExecutionRequest.Options(
                reuse_context_if_already_exist=reuse_context_if_already_exist,
                reuse_artifact_if_already_exist_by_external_id=reuse_artifact_if_already_exist_by_external_id,
                force_reuse_context=force_reuse_context,
                force_update_time=force_update_time,
            ),
        )
        answer = self._call(request, rpc.PutExecutionResponse)
        return answer.execution_id, list(answer.artifact_ids), list(answer.context_ids)

    def put_lineage_subgraph(  # noqa: PLR0917  # the order of the original
        self,
        executions: Sequence[pb.Execution],
        artifacts: Sequence[pb.Artifact],
        contexts: Sequence[pb.Context],
        event_edges: Sequence[tuple[int | None, int | None, pb.Event]],
        reuse_context_if_already_exist: bool = False,
        reuse_artifact_if_already_exist_by_external_id: bool = False,
        extra_options: ExtraOptions | None = None,
    ) -> tuple[list[int], list[int], list[int]]:
        """Insert or update many nodes and the events between them, all or none.

        An edge is (index into ``executions``, index into ``artifacts``, event); ``None`` where the event
        has the id. Answers the ids of executions, artifacts and contexts in their order.
        """
        request = rpc.PutLineageSubgraphRequest(
            executions=executions,
            artifacts=artifacts,
            contexts=contexts,
            event_edges=[
                rpc.PutLineageSubgraphRequest.EventEdge(
                    execution_index=execution_index, artifact_index=artifact_index, event=event
                )
                for execution_index, artifact_index, event in event_edges
            ],
            options=rpc.PutLineageSubgraphRequest.Options(
                reuse_context_if_already_exist=reuse_context_if_already_exist,
                reuse_artifact_if_already_exist_by_external_id=reuse_artifact_if_already_exist_by_external_id,
            ),
        )
        answer = self._call(request, rpc.PutLineageSubgraphResponse)
        return list(answer.execution_ids), list(answer.artifact_ids), list(answer.context_ids)

    # Artifacts

    def get_artifacts(
        self, list_options: ListOptions | None = None, extra_options: ExtraOptions | None = None
    ) -> list[pb.Artifact]:
        """All artifacts, or those that ``list_options`` ask for."""
        pages = self._pages(rpc.GetArtifactsRequest(), rpc.GetArtifactsResponse, list_options)
        return _limited((node for page in pages for node in page.artifacts), list_options)

    def get_artifacts_by_id(
        self, artifact_ids: Iterable[int], extra_options: ExtraOptions | None = None
    ) -> list[pb.Artifact]:
        """The artifacts with these ids, in no particular order; missing ones are left out."""
        request = rpc.GetArtifactsByIDRequest(artifact_ids=artifact_ids)
        return list(self._call(request, rpc.GetArtifactsByIDResponse).artifacts)

    def get_artifacts_and_types_by_artifact_ids(
        self, artifact_ids: Iterable[int], extra_options: ExtraOptions | None = None
    ) -> tuple[list[pb.Artifact], list[pb.ArtifactType]]:
        """The artifacts with these ids, and each of their types once."""
        request = rpc.GetArtifactsByIDRequest(artifact_ids=artifact_ids, populate_artifact_types=True)
        answer = self._call(request, rpc.GetArtifactsByIDResponse)
        return list(answer.artifacts), list(answer.artifact_types)

    def get_artifacts_by_type(
        self, type_name: str, type_version: str | None = None, extra_options: ExtraOptions | None = None
    ) -> list[pb.Artifact]:
        """All artifacts of a type; none for an unknown one."""
        request = rpc.GetArtifactsByTypeRequest(type_name=type_name, type_version=type_version or None)
        return list(self._call(request, rpc.GetArtifactsByTypeResponse).artifacts)

    def get_artifact_by_type_and_name(
        self,
        type_name: str,
        artifact_name: str,
        type_version: str | None = None,
        extra_options: ExtraOptions | None = None,
    ) -> pb.Artifact | None:
        """The artifact of that type and name, or ``None``."""
        request = rpc.GetArtifactByTypeAndNameRequest(
            type_name=type_name, artifact_name=artifact_name, type_version=type_version or None
        )
        answer = self._call(request, rpc.GetArtifactByTypeAndNameResponse)
        return answer.artifact if answer.HasField("artifact") else None

    def get_artifacts_by_uri(self, uri: str, extra_options: ExtraOptions | None = None) -> list[pb.Artifact]:
        """The artifacts with that URI."""
        return list(
            self._call(rpc.GetArtifactsByURIRequest(uris=[uri]), rpc.GetArtifactsByURIResponse).artifacts
        )

    def get_artifacts_by_external_ids(
        self, external_ids: Iterable[str], extra_options: ExtraOptions | None = None
    ) -> list[pb.Artifact]:
        """The artifacts with these external ids; ``NotFoundError`` if there is none at all."""
        request = rpc.GetArtifactsByExternalIdsRequest(external_ids=external_ids)
        return list(self._call(request, rpc.GetArtifactsByExternalIdsResponse).artifacts)

    def get_artifacts_by_context(
        self,
        context_id: int,
        list_options: ListOptions | None = None,
        extra_options: ExtraOptions | None = None,
    ) -> list[pb.Artifact]:
        """The artifacts attributed to a context."""
        request = rpc.GetArtifactsByContextRequest(context_id=context_id)
        pages = self._pages(request, rpc.GetArtifactsByContextResponse, list_options)
        return _limited((node for page in pages for node in page.artifacts), list_options)

    # Executions

    def get_executions(
        self, list_options: ListOptions | None = None, extra_options: ExtraOptions | None = None
    ) -> list[pb.Execution]:
        """All executions, or those that ``list_options`` ask for."""
        pages = self._pages(rpc.GetExecutionsRequest(), rpc.GetExecutionsResponse, list_options)
        return _limited((node for page in pages for node in page.executions), list_options)

    def get_executions_by_id(
        self, execution_ids: Iterable[int], extra_options: ExtraOptions | None = None
    ) -> list[pb.Execution]:
        """The executions with these ids, in no particular order; missing ones are left out."""
        request = rpc.GetExecutionsByIDRequest(execution_ids=execution_ids)
        return list(self._call(request, rpc.GetExecutionsByIDResponse).executions)

    def get_executions_by_type(
        self, type_name: str, type_version: str | None = None, extra_options: ExtraOptions | None = None
    ) -> list[pb.Execution]:
        """All executions of a type; none for an unknown one."""
        request = rpc.GetExecutionsByTypeRequest(type_name=type_name, type_version=type_version or None)
        return list(self._call(request, rpc.GetExecutionsByTypeResponse).executions)

    def get_execution_by_type_and_name(
        self,
        type_name: str,
        execution_name: str,
        type_version: str | None = None,
        extra_options: ExtraOptions | None = None,
    ) -> pb.Execution | None:
        """The execution of that type and name, or ``None``."""
        request = rpc.GetExecutionByTypeAndNameRequest(
            type_name=type_name, execution_name=execution_name, type_version=type_version or None
        )
        answer = self._call(request, rpc.GetExecutionByTypeAndNameResponse)
        return answer.execution if answer.HasField("execution") else None

    def get_executions_by_external_ids(
        self, external_ids: Iterable[str], extra_options: ExtraOptions | None = None
    ) -> list[pb.Execution]:
        """The executions with these external ids; ``NotFoundError`` if there is none at all."""
        request = rpc.GetExecutionsByExternalIdsRequest(external_ids=external_ids)
        return list(self._call(request, rpc.GetExecutionsByExternalIdsResponse).executions)

    def get_executions_by_context(
        self,
        context_id: int,
        list_options: ListOptions | None = None,
        extra_options: ExtraOptions | None = None,
    ) -> list[pb.Execution]:
        """The executions associated with a context; without options the newest first."""
        if list_options is None:
            list_options = ListOptions(order_by=OrderByField.CREATE_TIME, is_asc=False)
        request = rpc.GetExecutionsByContextRequest(context_id=context_id)
        pages = self._pages(request, rpc.GetExecutionsByContextResponse, list_options)
        return _limited((node for page in pages for node in page.executions), list_options)

    # Contexts

    def get_contexts(
        self, list_options: ListOptions | None = None, extra_options: ExtraOptions | None = None
    ) -> list[pb.Context]:
        """All contexts, or those that ``list_options`` ask for."""
        pages = self._pages(rpc.GetContextsRequest(), rpc.GetContextsResponse, list_options)
        return _limited((node for page in pages for node in page.contexts), list_options)

    def get_contexts_by_id(
        self, context_ids: Iterable[int], extra_options: ExtraOptions | None = None
    ) -> list[pb.Context]:
        """The contexts with these ids, in no particular order; missing ones are left out."""
        request = rpc.GetContextsByIDRequest(context_ids=context_ids)
        return list(self._call(request, rpc.GetContextsByIDResponse).contexts)

    def get_contexts_by_type(
        self, type_name: str, type_version: str | None = None, extra_options: ExtraOptions | None = None
    ) -> list[pb.Context]:
        """All contexts of a type; none for an unknown one."""
        request = rpc.GetContextsByTypeRequest(type_name=type_name, type_version=type_version or None)
        return list(self._call(request, rpc.GetContextsByTypeResponse).contexts)

    def get_context_by_type_and_name(
        self,
        type_name: str,
        context_name: str,
        type_version: str | None = None,
        extra_options: ExtraOptions | None = None,
    ) -> pb.Context | None:
        """The context of that type and name, or ``None``."""
        request = rpc.GetContextByTypeAndNameRequest(
            type_name=type_name, context_name=context_name, type_version=type_version or None
        )
        answer = self._call(request, rpc.GetContextByTypeAndNameResponse)
        return answer.context if answer.HasField("context") else None

    def get_contexts_by_external_ids(
        self, external_ids: Iterable[str], extra_options: ExtraOptions | None = None
    ) -> list[pb.Context]:
        """The contexts with these external ids; ``NotFoundError`` if there is none at all."""
        request = rpc.GetContextsByExternalIdsRequest(external_ids=external_ids)
        return list(self._call(request, rpc.GetContextsByExternalIdsResponse).contexts)

    def get_contexts_by_artifact(
        self, artifact_id: int, extra_options: ExtraOptions | None = None
    ) -> list[pb.Context]:
        """The contexts an artifact is attributed to; ``NotFoundError`` if there is none."""
        request = rpc.GetContextsByArtifactRequest(artifact_id=artifact_id)
        return list(self._call(request, rpc.GetContextsByArtifactResponse).contexts)

    def get_contexts_by_execution(
        self, execution_id: int, extra_options: ExtraOptions | None = None
    ) -> list[pb.Context]:
        """The contexts an execution is associated with; ``NotFoundError`` if there is none."""
        request = rpc.GetContextsByExecutionRequest(execution_id=execution_id)
        return list(self._call(request, rpc.GetContextsByExecutionResponse).contexts)

    def get_parent_contexts_by_context(
        self, context_id: int, extra_options: ExtraOptions | None = None
    ) -> list[pb.Context]:
        """The parents of a context."""
        request = rpc.GetParentContextsByContextRequest(context_id=context_id)
        return list(self._call(request, rpc.GetParentContextsByContextResponse).contexts)

    def get_children_contexts_by_context(
        self, context_id: int, extra_options: ExtraOptions | None = None
    ) -> list[pb.Context]:
        """The children of a context."""
        request = rpc.GetChildrenContextsByContextRequest(context_id=context_id)
        return list(self._call(request, rpc.GetChildrenContextsByContextResponse).contexts)

    # Events and lineage

    def get_events_by_execution_ids(
        self, execution_ids: Iterable[int], extra_options: ExtraOptions | None = None
    ) -> list[pb.Event]:
        """The events of these executions."""
        request = rpc.GetEventsByExecutionIDsRequest(execution_ids=execution_ids)
        return list(self._call(request, rpc.GetEventsByExecutionIDsResponse).events)

    def get_events_by_artifact_ids(
        self, artifact_ids: Iterable[int], extra_options: ExtraOptions | None = None
    ) -> list[pb.Event]:
        """The events of these artifacts."""
        request = rpc.GetEventsByArtifactIDsRequest(artifact_ids=artifact_ids)
        return list(self._call(request, rpc.GetEventsByArtifactIDsResponse).events)

    def get_lineage_subgraph(
        self,
        query_options: pb.LineageSubgraphQueryOptions,
        field_mask_paths: Sequence[str] | None = None,
        extra_options: ExtraOptions | None = None,
    ) -> pb.LineageGraph:
        """What a walk from some nodes meets: full nodes, their types, and edges.

        ``field_mask_paths`` names the fields of ``LineageGraph`` to fill, all if empty. Next to other
        fields, types need their nodes: ``["artifact_types", "events"]`` gives no types, as in the original.
        """
        wanted = set(field_mask_paths or _GRAPH_FIELDS)
        request = rpc.GetLineageSubgraphRequest(
            lineage_subgraph_query_options=query_options,
            read_mask=_mask(sorted(path for path in wanted if not path.endswith("_types"))),
        )
        skeleton = self._call(request, rpc.GetLineageSubgraphResponse).lineage_subgraph
        graph = pb.LineageGraph()
        if wanted & {"artifacts", "artifact_types"}:
            artifacts, artifact_types = self.get_artifacts_and_types_by_artifact_ids(
                node.id for node in skeleton.artifacts
            )
            graph.artifacts.extend(artifacts if "artifacts" in wanted else ())
            graph.artifact_types.extend(artifact_types if "artifact_types" in wanted else ())
        if wanted & {"executions", "execution_types"}:
            executions = self.get_executions_by_id(node.id for node in skeleton.executions)
            graph.executions.extend(executions if "executions" in wanted else ())
            if "execution_types" in wanted:
                type_ids = sorted({node.type_id for node in executions})
                graph.execution_types.extend(self.get_execution_types_by_id(type_ids))
        if wanted & {"contexts", "context_types"}:
            contexts = self.get_contexts_by_id(node.id for node in skeleton.contexts)
            graph.contexts.extend(contexts if "contexts" in wanted else ())
            if "context_types" in wanted:
                type_ids = sorted({node.type_id for node in contexts})
                graph.context_types.extend(self.get_context_types_by_id(type_ids))
        graph.events.extend(skeleton.events if "events" in wanted else ())
        graph.attributions.extend(skeleton.attributions if "attributions" in wanted else ())
        graph.associations.extend(skeleton.associations if "associations" in wanted else ())
        return graph

    def _pages(
        self,
        request: Any,  # One of the list requests, which share only the shape of their options.
        response_class: type[R],
        list_options: ListOptions | None,
    ) -> Iterator[R]:
        """The answers to a list request, each page asked for when it is needed."""
        if list_options is not None:
            request.options.max_result_size = min(list_options.limit or MAX_NUM_RESULT, MAX_NUM_RESULT)
            request.options.order_by_field.is_asc = list_options.is_asc
            if list_options.order_by:
                request.options.order_by_field.field = list_options.order_by.value
            if list_options.filter_query:
                request.options.filter_query = list_options.filter_query
        while True:
            answer: Any = self._call(request, response_class)
            yield answer
            if not answer.next_page_token:
                return
            request.options.next_page_token = answer.next_page_token


N = TypeVar("N")


def _limited(nodes: Iterator[N], list_options: ListOptions | None) -> list[N]:
    limit = list_options.limit if list_options is not None else None
    if limit is not None and limit < 0:
        raise errors.InvalidArgumentError(f"list_options.limit must be 0 or more, and is {limit}")
    return list(islice(nodes, limit or None))


def _mask(paths: Sequence[str] | None) -> FieldMask | None:
    return FieldMask(paths=paths) if paths else None


def downgrade_schema(config: pb.ConnectionConfig, downgrade_to_schema_version: int) -> None:
    """Refused for any version below headwater's own, which is MLMD's newest; that one needs nothing done.

    Raises:
        errors.InvalidArgumentError: a version that is negative or does not exist.
        RuntimeError: the database cannot be opened, or the downgrade is not possible.
    """
    if downgrade_to_schema_version < 0:
        raise errors.InvalidArgumentError("downgrade_to_schema_version not specified")
    if downgrade_to_schema_version > SCHEMA_VERSION:
        raise errors.InvalidArgumentError(
            f"MLMD cannot be downgraded to schema_version: {downgrade_to_schema_version}. "
            f"The newest there is, is {SCHEMA_VERSION}"
        )
    open_database(config).close()
    if downgrade_to_schema_version < SCHEMA_VERSION:
        raise RuntimeError(
            f"headwater serves schema version {SCHEMA_VERSION} only; to downgrade a database, use "
            "downgrade_schema of ml-metadata 1.17.1"
        )
