"""The store, as a Python program sees it.

Each method is one call and one transaction, unless its docstring says more. Arguments and results are
messages of ``headwater.v1.metadata_store_pb2``; errors are the classes of ``headwater.errors``, whose
usual members (``Unavailable``, ``Aborted``, ``DeadlineExceeded``) every method may raise.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import NamedTuple, TypeVar

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from headwater.client import walking
from headwater.client.graph import LineageQuestions
from headwater.client.lineage import Subgraph
from headwater.client.listing import LARGEST_PAGE, OrderBy, both, list_options, pages
from headwater.client.questions import PipelineQuestions
from headwater.client.recording.recording import Recording
from headwater.client.walking import Direction
from headwater.errors import InvalidRequest, NotFound
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc

R = TypeVar("R", bound=Message)


class TypeIds(NamedTuple):
    """Ids in the order of the types that were put."""

    artifact_type_ids: list[int]
    execution_type_ids: list[int]
    context_type_ids: list[int]


class PutExecutionIds(NamedTuple):
    """Ids in the order of what was put; -1 for a pair without an artifact."""

    execution_id: int
    artifact_ids: list[int]
    context_ids: list[int]


class NodeIds(NamedTuple):
    """Ids in the order of the nodes that were put."""

    execution_ids: list[int]
    artifact_ids: list[int]
    context_ids: list[int]


class Store(Recording, PipelineQuestions, LineageQuestions):
    """A lineage store behind ``transport``, closed with it. Safe for threads.

    ``headwater.connect`` makes one. ``timeout_s`` limits each call; ``None`` leaves it to the transport.
    """

    # Types

    def put_artifact_type(
        self, artifact_type: pb.ArtifactType, *, can_add_fields: bool = False, can_omit_fields: bool = False
    ) -> int:
        """Create a type, or find the stored one of the same name and version; its id.

        ``can_add_fields`` adds properties that the stored type lacks; ``can_omit_fields`` keeps stored
        properties that are missing here. Nothing else of a stored type changes.

        Raises:
            AlreadyExists: a type of that name and version declares other properties.
            InvalidRequest: no name, or a property of an unknown kind.
        """
        request = rpc.PutArtifactTypeRequest(
            artifact_type=artifact_type, can_add_fields=can_add_fields, can_omit_fields=can_omit_fields
        )
        return self._ask(request, rpc.PutArtifactTypeResponse).type_id

    def put_execution_type(
        self, execution_type: pb.ExecutionType, *, can_add_fields: bool = False, can_omit_fields: bool = False
    ) -> int:
        """Create or find a type of executions. As ``put_artifact_type``."""
        request = rpc.PutExecutionTypeRequest(
            execution_type=execution_type, can_add_fields=can_add_fields, can_omit_fields=can_omit_fields
        )
        return self._ask(request, rpc.PutExecutionTypeResponse).type_id

    def put_context_type(
        self, context_type: pb.ContextType, *, can_add_fields: bool = False, can_omit_fields: bool = False
    ) -> int:
        """Create or find a type of contexts. As ``put_artifact_type``."""
        request = rpc.PutContextTypeRequest(
            context_type=context_type, can_add_fields=can_add_fields, can_omit_fields=can_omit_fields
        )
        return self._ask(request, rpc.PutContextTypeResponse).type_id

    def put_types(
        self,
        *,
        artifact_types: Iterable[pb.ArtifactType] = (),
        execution_types: Iterable[pb.ExecutionType] = (),
        context_types: Iterable[pb.ContextType] = (),
        can_add_fields: bool = False,
        can_omit_fields: bool = False,
    ) -> TypeIds:
        """Create or find many types, all or none. As ``put_artifact_type``."""
        request = rpc.PutTypesRequest(
            artifact_types=artifact_types,
            execution_types=execution_types,
            context_types=context_types,
            can_add_fields=can_add_fields,
            can_omit_fields=can_omit_fields,
        )
        answer = self._ask(request, rpc.PutTypesResponse)
        return TypeIds(
            list(answer.artifact_type_ids), list(answer.execution_type_ids), list(answer.context_type_ids)
        )

    def get_artifact_type(self, type_name: str, type_version: str | None = None) -> pb.ArtifactType:
        """The type of that name and version; ``None`` is the type without a version.

        Raises:
            NotFound: there is none.
        """
        request = rpc.GetArtifactTypeRequest(type_name=type_name, type_version=type_version)
        return self._ask(request, rpc.GetArtifactTypeResponse).artifact_type

    def get_execution_type(self, type_name: str, type_version: str | None = None) -> pb.ExecutionType:
        """As ``get_artifact_type``."""
        request = rpc.GetExecutionTypeRequest(type_name=type_name, type_version=type_version)
        return self._ask(request, rpc.GetExecutionTypeResponse).execution_type

    def get_context_type(self, type_name: str, type_version: str | None = None) -> pb.ContextType:
        """As ``get_artifact_type``."""
        request = rpc.GetContextTypeRequest(type_name=type_name, type_version=type_version)
        return self._ask(request, rpc.GetContextTypeResponse).context_type

    def list_artifact_types(self) -> list[pb.ArtifactType]:
        """Every type of artifacts except those with the nine names of ML Metadata's simple types."""
        return list(self._ask(rpc.GetArtifactTypesRequest(), rpc.GetArtifactTypesResponse).artifact_types)

    def list_execution_types(self) -> list[pb.ExecutionType]:
        """Every type of executions except those with the nine names of ML Metadata's simple types."""
        return list(self._ask(rpc.GetExecutionTypesRequest(), rpc.GetExecutionTypesResponse).execution_types)

    def list_context_types(self) -> list[pb.ContextType]:
        """Every type of contexts."""
        return list(self._ask(rpc.GetContextTypesRequest(), rpc.GetContextTypesResponse).context_types)

    def get_artifact_types_by_id(self, type_ids: Iterable[int]) -> list[pb.ArtifactType]:
        """The types with these ids, in their order; ids that are missing are left out."""
        request = rpc.GetArtifactTypesByIDRequest(type_ids=type_ids)
        return list(self._ask(request, rpc.GetArtifactTypesByIDResponse).artifact_types)

    def get_execution_types_by_id(self, type_ids: Iterable[int]) -> list[pb.ExecutionType]:
        """The types with these ids, in their order; ids that are missing are left out."""
        request = rpc.GetExecutionTypesByIDRequest(type_ids=type_ids)
        return list(self._ask(request, rpc.GetExecutionTypesByIDResponse).execution_types)

    def get_context_types_by_id(self, type_ids: Iterable[int]) -> list[pb.ContextType]:
        """The types with these ids, in their order; ids that are missing are left out."""
        request = rpc.GetContextTypesByIDRequest(type_ids=type_ids)
        return list(self._ask(request, rpc.GetContextTypesByIDResponse).context_types)

    def get_artifact_types_by_external_ids(self, external_ids: Iterable[str]) -> list[pb.ArtifactType]:
        """The types with these external ids, in no particular order; those that are missing are left out."""
        request = rpc.GetArtifactTypesByExternalIdsRequest(external_ids=external_ids)
        return list(self._ask_for_any(request, rpc.GetArtifactTypesByExternalIdsResponse).artifact_types)

    def get_execution_types_by_external_ids(self, external_ids: Iterable[str]) -> list[pb.ExecutionType]:
        """The types with these external ids, in no particular order; those that are missing are left out."""
        request = rpc.GetExecutionTypesByExternalIdsRequest(external_ids=external_ids)
        return list(self._ask_for_any(request, rpc.GetExecutionTypesByExternalIdsResponse).execution_types)

    def get_context_types_by_external_ids(self, external_ids: Iterable[str]) -> list[pb.ContextType]:
        """The types with these external ids, in no particular order; those that are missing are left out."""
        request = rpc.GetContextTypesByExternalIdsRequest(external_ids=external_ids)
        return list(self._ask_for_any(request, rpc.GetContextTypesByExternalIdsResponse).context_types)

    def _ask_for_any(self, request: Message, response_class: type[R]) -> R:
        """The answer to a request that the wire answers NOT_FOUND when it would be empty."""
        try:
            return self._ask(request, response_class)
        except NotFound:
            return response_class()

    # Writing nodes

    def put_artifacts(
        self,
        artifacts: Iterable[pb.Artifact],
        *,
        update_mask: Sequence[str] = (),
        abort_if_changed: bool = False,
    ) -> list[int]:
        """Insert the artifacts without an id and update those with one, all or none; ids in their order.

        An update replaces the whole artifact, so what is not set is removed: read it first, or name in
        ``update_mask`` the fields to change, for example ``["uri", "properties.rows"]``. With
        ``abort_if_changed`` an update whose ``last_update_time_since_epoch`` is not the stored one fails.

        Raises:
            AlreadyExists: a name is taken within its type, or an external id.
            InvalidRequest: a property that the type does not declare so, or an id that is not stored.
            FailedPrecondition: somebody else updated one of them, under ``abort_if_changed``.
        """
        request = rpc.PutArtifactsRequest(artifacts=artifacts, update_mask=_mask(update_mask))
        if abort_if_changed:
            request.options.abort_if_latest_updated_time_changed = True
        return list(self._ask(request, rpc.PutArtifactsResponse).artifact_ids)

    def put_executions(
        self, executions: Iterable[pb.Execution], *, update_mask: Sequence[str] = ()
    ) -> list[int]:
        """Insert or update executions, all or none; ids in their order. As ``put_artifacts``."""
        request = rpc.PutExecutionsRequest(executions=executions, update_mask=_mask(update_mask))
        return list(self._ask(request, rpc.PutExecutionsResponse).execution_ids)

    def put_contexts(self, contexts: Iterable[pb.Context], *, update_mask: Sequence[str] = ()) -> list[int]:
        """Insert or update contexts, all or none; ids in their order. As ``put_artifacts``.

        Raises:
            InvalidRequest: also for a context without a name.
        """
        request = rpc.PutContextsRequest(contexts=contexts, update_mask=_mask(update_mask))
        return list(self._ask(request, rpc.PutContextsResponse).context_ids)

    def put_execution(
        self,
        execution: pb.Execution,
        artifact_and_events: Iterable[tuple[pb.Artifact | None, pb.Event | None]] = (),
        contexts: Iterable[pb.Context] = (),
        *,
        reuse_context_if_already_exist: bool = False,
        reuse_artifact_if_already_exist_by_external_id: bool = False,
        force_reuse_context: bool = False,
        force_update_time: bool = False,
    ) -> PutExecutionIds:
        """Insert or update an execution with its artifacts, their events, and its contexts, all or none.

        The execution and every artifact are linked to every context. Events need no ids: they join the
        execution and the artifact of their pair.

        Args:
            reuse_context_if_already_exist: a new context whose name is taken is linked as it is stored.
            reuse_artifact_if_already_exist_by_external_id: an artifact whose external id is stored
                updates that one.
            force_reuse_context: contexts with an id are linked as they are stored, not updated.
            force_update_time: the execution's update time moves even if nothing else changed.

        Raises:
            AlreadyExists: a name, an external id or an event is taken.
            InvalidRequest: as ``put_artifacts``, or an event with ids of other nodes.
        """
        request = rpc.PutExecutionRequest(
            execution=execution,
            artifact_event_pairs=[
                rpc.PutExecutionRequest.ArtifactAndEvent(artifact=artifact, event=event)
                for artifact, event in artifact_and_events
            ],
            contexts=contexts,
            options=rpc.PutExecutionRequest.Options(
                reuse_context_if_already_exist=reuse_context_if_already_exist,
                reuse_artifact_if_already_exist_by_external_id=reuse_artifact_if_already_exist_by_external_id,
                force_reuse_context=force_reuse_context,
                force_update_time=force_update_time,
            ),
        )
        answer = self._ask(request, rpc.PutExecutionResponse)
        return PutExecutionIds(answer.execution_id, list(answer.artifact_ids), list(answer.context_ids))

    def put_lineage_subgraph(
        self,
        executions: Iterable[pb.Execution],
        artifacts: Iterable[pb.Artifact],
        contexts: Iterable[pb.Context],
        event_edges: Iterable[tuple[int | None, int | None, pb.Event]],
        *,
        reuse_context_if_already_exist: bool = False,
        reuse_artifact_if_already_exist_by_external_id: bool = False,
    ) -> NodeIds:
        """Insert or update many nodes and the events between them, all or none.

        An edge is (index into ``executions``, index into ``artifacts``, event); for ``None`` the event
        names a stored node by id. Every execution and artifact is linked to every context. For the
        options see ``put_execution``.

        Raises:
            OutOfRange: an index of an edge points past its list.
            AlreadyExists, InvalidRequest: as ``put_execution``.
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
        answer = self._ask(request, rpc.PutLineageSubgraphResponse)
        return NodeIds(list(answer.execution_ids), list(answer.artifact_ids), list(answer.context_ids))

    # Writing edges

    def put_events(self, events: Iterable[pb.Event]) -> None:
        """Insert events, all or none. Their time is now, unless set.

        Raises:
            AlreadyExists: that artifact and execution have an event of that type already.
            InvalidRequest: a node that is not stored, or an event without a type.
        """
        self._ask(rpc.PutEventsRequest(events=events), rpc.PutEventsResponse)

    def put_attributions_and_associations(
        self, attributions: Iterable[pb.Attribution] = (), associations: Iterable[pb.Association] = ()
    ) -> None:
        """Link artifacts and executions to contexts, all or none. Links that exist already are fine.

        Raises:
            InvalidRequest: a node that is not stored.
        """
        request = rpc.PutAttributionsAndAssociationsRequest(
            attributions=attributions, associations=associations
        )
        self._ask(request, rpc.PutAttributionsAndAssociationsResponse)

    def put_parent_contexts(self, parent_contexts: Iterable[pb.ParentContext]) -> None:
        """Make contexts children of others, all or none.

        Raises:
            AlreadyExists: one is the child of that parent already.
            InvalidRequest: a context that is not stored.
        """
        self._ask(
            rpc.PutParentContextsRequest(parent_contexts=parent_contexts), rpc.PutParentContextsResponse
        )

    # Reading nodes by key

    def get_artifact(self, artifact_id: int) -> pb.Artifact:
        """The artifact with this id.

        Raises:
            NotFound: there is none.
        """
        found = self.get_artifacts_by_id([artifact_id])
        return _the_one(found, f"artifact {artifact_id}")

    def get_execution(self, execution_id: int) -> pb.Execution:
        """The execution with this id.

        Raises:
            NotFound: there is none.
        """
        found = self.get_executions_by_id([execution_id])
        return _the_one(found, f"execution {execution_id}")

    def get_context(self, context_id: int) -> pb.Context:
        """The context with this id.

        Raises:
            NotFound: there is none.
        """
        found = self.get_contexts_by_id([context_id])
        return _the_one(found, f"context {context_id}")

    def get_artifacts_by_id(self, artifact_ids: Iterable[int]) -> list[pb.Artifact]:
        """The artifacts with these ids, each once, in no particular order; missing ones are left out."""
        request = rpc.GetArtifactsByIDRequest(artifact_ids=artifact_ids)
        return list(self._ask(request, rpc.GetArtifactsByIDResponse).artifacts)

    def get_artifacts_and_types_by_id(
        self, artifact_ids: Iterable[int]
    ) -> tuple[list[pb.Artifact], list[pb.ArtifactType]]:
        """As ``get_artifacts_by_id``, and each type that one of them has, once."""
        request = rpc.GetArtifactsByIDRequest(artifact_ids=artifact_ids, populate_artifact_types=True)
        answer = self._ask(request, rpc.GetArtifactsByIDResponse)
        return list(answer.artifacts), list(answer.artifact_types)

    def get_executions_by_id(self, execution_ids: Iterable[int]) -> list[pb.Execution]:
        """The executions with these ids, each once, in no particular order; missing ones are left out."""
        request = rpc.GetExecutionsByIDRequest(execution_ids=execution_ids)
        return list(self._ask(request, rpc.GetExecutionsByIDResponse).executions)

    def get_contexts_by_id(self, context_ids: Iterable[int]) -> list[pb.Context]:
        """The contexts with these ids, each once, in no particular order; missing ones are left out."""
        request = rpc.GetContextsByIDRequest(context_ids=context_ids)
        return list(self._ask(request, rpc.GetContextsByIDResponse).contexts)

    def get_artifacts_by_external_ids(self, external_ids: Iterable[str]) -> list[pb.Artifact]:
        """The artifacts with these external ids, in no particular order; missing ones are left out."""
        request = rpc.GetArtifactsByExternalIdsRequest(external_ids=external_ids)
        return list(self._ask_for_any(request, rpc.GetArtifactsByExternalIdsResponse).artifacts)

    def get_executions_by_external_ids(self, external_ids: Iterable[str]) -> list[pb.Execution]:
        """The executions with these external ids, in no particular order; missing ones are left out."""
        request = rpc.GetExecutionsByExternalIdsRequest(external_ids=external_ids)
        return list(self._ask_for_any(request, rpc.GetExecutionsByExternalIdsResponse).executions)

    def get_contexts_by_external_ids(self, external_ids: Iterable[str]) -> list[pb.Context]:
        """The contexts with these external ids, in no particular order; missing ones are left out."""
        request = rpc.GetContextsByExternalIdsRequest(external_ids=external_ids)
        return list(self._ask_for_any(request, rpc.GetContextsByExternalIdsResponse).contexts)

    def get_artifacts_by_uri(self, *uris: str) -> list[pb.Artifact]:
        """The artifacts with one of these URIs, in no particular order; "" finds those without one."""
        request = rpc.GetArtifactsByURIRequest(uris=uris)
        return list(self._ask(request, rpc.GetArtifactsByURIResponse).artifacts)

    def get_artifact_by_type_and_name(
        self, type_name: str, artifact_name: str, type_version: str | None = None
    ) -> pb.Artifact | None:
        """The artifact of that type and name; ``None`` if there is none, or no such type."""
        request = rpc.GetArtifactByTypeAndNameRequest(
            type_name=type_name, artifact_name=artifact_name, type_version=type_version
        )
        answer = self._ask(request, rpc.GetArtifactByTypeAndNameResponse)
        return answer.artifact if answer.HasField("artifact") else None

    def get_execution_by_type_and_name(
        self, type_name: str, execution_name: str, type_version: str | None = None
    ) -> pb.Execution | None:
        """The execution of that type and name; ``None`` if there is none, or no such type."""
        request = rpc.GetExecutionByTypeAndNameRequest(
            type_name=type_name, execution_name=execution_name, type_version=type_version
        )
        answer = self._ask(request, rpc.GetExecutionByTypeAndNameResponse)
        return answer.execution if answer.HasField("execution") else None

    def get_context_by_type_and_name(
        self, type_name: str, context_name: str, type_version: str | None = None
    ) -> pb.Context | None:
        """The context of that type and name; ``None`` if there is none, or no such type."""
        request = rpc.GetContextByTypeAndNameRequest(
            type_name=type_name, context_name=context_name, type_version=type_version
        )
        answer = self._ask(request, rpc.GetContextByTypeAndNameResponse)
        return answer.context if answer.HasField("context") else None

    # Reading along edges

    def get_events_by_artifact_ids(self, artifact_ids: Iterable[int]) -> list[pb.Event]:
        """The events of these artifacts, in no particular order."""
        request = rpc.GetEventsByArtifactIDsRequest(artifact_ids=artifact_ids)
        return list(self._ask(request, rpc.GetEventsByArtifactIDsResponse).events)

    def get_events_by_execution_ids(self, execution_ids: Iterable[int]) -> list[pb.Event]:
        """The events of these executions, in no particular order."""
        request = rpc.GetEventsByExecutionIDsRequest(execution_ids=execution_ids)
        return list(self._ask(request, rpc.GetEventsByExecutionIDsResponse).events)

    def get_contexts_by_artifact(self, artifact_id: int) -> list[pb.Context]:
        """The contexts that the artifact belongs to; empty also if there is no such artifact."""
        request = rpc.GetContextsByArtifactRequest(artifact_id=artifact_id)
        return list(self._ask_for_any(request, rpc.GetContextsByArtifactResponse).contexts)

    def get_contexts_by_execution(self, execution_id: int) -> list[pb.Context]:
        """The contexts that the execution belongs to; empty also if there is no such execution."""
        request = rpc.GetContextsByExecutionRequest(execution_id=execution_id)
        return list(self._ask_for_any(request, rpc.GetContextsByExecutionResponse).contexts)

    def get_parent_contexts_by_context(self, context_id: int) -> list[pb.Context]:
        """The contexts that this one is a child of; empty also if there is no such context."""
        request = rpc.GetParentContextsByContextRequest(context_id=context_id)
        return list(self._ask(request, rpc.GetParentContextsByContextResponse).contexts)

    def get_children_contexts_by_context(self, context_id: int) -> list[pb.Context]:
        """The contexts that are children of this one; empty also if there is no such context."""
        request = rpc.GetChildrenContextsByContextRequest(context_id=context_id)
        return list(self._ask(request, rpc.GetChildrenContextsByContextResponse).contexts)

    def get_parent_contexts_by_contexts(self, context_ids: Iterable[int]) -> dict[int, list[pb.Context]]:
        """Parents by the id of the child; contexts without any are absent.

        Raises:
            Unimplemented: the server is ML Metadata's own, which does not answer this call.
        """
        request = rpc.GetParentContextsByContextsRequest(context_ids=context_ids)
        found = self._ask(request, rpc.GetParentContextsByContextsResponse).contexts
        return {child_id: list(found[child_id].parent_contexts) for child_id in found}

    def get_children_contexts_by_contexts(self, context_ids: Iterable[int]) -> dict[int, list[pb.Context]]:
        """Children by the id of the parent; contexts without any are absent.

        Raises:
            Unimplemented: the server is ML Metadata's own, which does not answer this call.
        """
        request = rpc.GetChildrenContextsByContextsRequest(context_ids=context_ids)
        found = self._ask(request, rpc.GetChildrenContextsByContextsResponse).contexts
        return {parent_id: list(found[parent_id].children_contexts) for parent_id in found}

    # Listing

    def list_artifacts(
        self,
        *,
        type: str | None = None,  # noqa: A002  # the caller's word
        type_version: str | None = None,
        context_id: int | None = None,
        filter: str | None = None,  # noqa: A002  # the caller's word
        order_by: OrderBy = "id",
        descending: bool = False,
        limit: int | None = None,
        page_size: int = LARGEST_PAGE,
    ) -> Iterator[pb.Artifact]:
        """The artifacts that meet every condition, fetched a page at a time as they are read.

        Args:
            type: name of their type; without ``type_version``, the type that has no version. An unknown
                type has no artifacts.
            context_id: a context they belong to.
            filter: a condition, for example ``"state = LIVE AND properties.rows.int_value > 1000"``.
            order_by: ``id``, ``create_time`` or ``update_time``; ties are in the order of ids.
            limit: how many at most; ``None`` means all.
            page_size: how many one call fetches, 1 to 100.

        Each page is a call of its own, so what is written meanwhile may or may not appear. Asking for
        both ``type`` and ``context_id`` costs one call more.

        Raises:
            InvalidRequest: an option out of range, at once; a filter that does not compile, on reading.
        """
        options = list_options(
            where=filter, order_by=order_by, descending=descending, limit=limit, page_size=page_size
        )
        _check_version(type, type_version)
        if context_id is not None:
            if type is not None:
                try:
                    type_id = self.get_artifact_type(type, type_version).id
                except NotFound:
                    return iter(())
                options.filter_query = both(f"type_id = {type_id}", filter)
            of_context = rpc.GetArtifactsByContextRequest(context_id=context_id, options=options)
            found = (
                page.artifacts for page in pages(self._ask, of_context, rpc.GetArtifactsByContextResponse)
            )
        elif type is not None:
            of_type = rpc.GetArtifactsByTypeRequest(
                type_name=type, type_version=type_version, options=options
            )
            found = (page.artifacts for page in pages(self._ask, of_type, rpc.GetArtifactsByTypeResponse))
        else:
            every = rpc.GetArtifactsRequest(options=options)
            found = (page.artifacts for page in pages(self._ask, every, rpc.GetArtifactsResponse))
        return islice(chain.from_iterable(found), limit)

    def list_executions(
        self,
        *,
        type: str | None = None,  # noqa: A002  # the caller's word
        type_version: str | None = None,
        context_id: int | None = None,
        filter: str | None = None,  # noqa: A002  # the caller's word
        order_by: OrderBy = "id",
        descending: bool = False,
        limit: int | None = None,
        page_size: int = LARGEST_PAGE,
    ) -> Iterator[pb.Execution]:
        """The executions that meet every condition. As ``list_artifacts``."""
        options = list_options(
            where=filter, order_by=order_by, descending=descending, limit=limit, page_size=page_size
        )
        _check_version(type, type_version)
        if context_id is not None:
            if type is not None:
                try:
                    type_id = self.get_execution_type(type, type_version).id
                except NotFound:
                    return iter(())
                options.filter_query = both(f"type_id = {type_id}", filter)
            of_context = rpc.GetExecutionsByContextRequest(context_id=context_id, options=options)
            found = (
                page.executions for page in pages(self._ask, of_context, rpc.GetExecutionsByContextResponse)
            )
        elif type is not None:
            of_type = rpc.GetExecutionsByTypeRequest(
                type_name=type, type_version=type_version, options=options
            )
            found = (page.executions for page in pages(self._ask, of_type, rpc.GetExecutionsByTypeResponse))
        else:
            every = rpc.GetExecutionsRequest(options=options)
            found = (page.executions for page in pages(self._ask, every, rpc.GetExecutionsResponse))
        return islice(chain.from_iterable(found), limit)

    def list_contexts(
        self,
        *,
        type: str | None = None,  # noqa: A002  # the caller's word
        type_version: str | None = None,
        filter: str | None = None,  # noqa: A002  # the caller's word
        order_by: OrderBy = "id",
        descending: bool = False,
        limit: int | None = None,
        page_size: int = LARGEST_PAGE,
    ) -> Iterator[pb.Context]:
        """The contexts that meet every condition. As ``list_artifacts``."""
        options = list_options(
            where=filter, order_by=order_by, descending=descending, limit=limit, page_size=page_size
        )
        _check_version(type, type_version)
        if type is not None:
            of_type = rpc.GetContextsByTypeRequest(type_name=type, type_version=type_version, options=options)
            found = (page.contexts for page in pages(self._ask, of_type, rpc.GetContextsByTypeResponse))
        else:
            every = rpc.GetContextsRequest(options=options)
            found = (page.contexts for page in pages(self._ask, every, rpc.GetContextsResponse))
        return islice(chain.from_iterable(found), limit)

    # Lineage

    def lineage(
        self,
        *,
        artifact_id: int | None = None,
        execution_id: int | None = None,
        artifact_ids: Iterable[int] = (),
        execution_ids: Iterable[int] = (),
        direction: Direction = "upstream",
        max_hops: int | None = None,
        until: str | None = None,
        until_execution: str | None = None,
        include_until: bool = True,
    ) -> Subgraph:
        """What some nodes were made from (``upstream``), what was made from them (``downstream``), or both.

        Args:
            artifact_id, execution_id, artifact_ids, execution_ids: where to start; at least one. Ids that
                are not stored are left out.
            max_hops: how far to go. A hop crosses one event: from an artifact, the execution that made it
                is one hop up, its inputs two. ``None`` goes as far as events lead.
            until: a filter on artifacts; the walk does not go beyond those that match, and a starting
                artifact that matches is not gone beyond either.
            until_execution: the same for executions.
            include_until: whether those that match belong to the answer.

        Contexts of every node met are in the answer, and full nodes and types. Costs one call for every
        100 starting nodes and 100 hops, and up to five for every 1,000 nodes.

        Raises:
            NotFound: none of the starting nodes is stored.
            InvalidRequest: nowhere to start, a negative ``max_hops``, or a filter that does not compile.
        """
        question = walking.Question(direction, max_hops, until, until_execution, include_until)
        from_artifacts = [*artifact_ids, *([] if artifact_id is None else [artifact_id])]
        from_executions = [*execution_ids, *([] if execution_id is None else [execution_id])]
        if not from_artifacts and not from_executions:
            raise InvalidRequest("lineage needs artifact_id, execution_id, artifact_ids or execution_ids")
        skeleton = walking.walk(
            self._ask, question, artifact_ids=from_artifacts, execution_ids=from_executions
        )
        return walking.fetch(self._ask, skeleton)


N = TypeVar("N", pb.Artifact, pb.Execution, pb.Context)


def _the_one(found: Sequence[N], what: str) -> N:
    if not found:
        raise NotFound(f"there is no {what}")
    return found[0]


def _mask(paths: Sequence[str]) -> FieldMask | None:
    return FieldMask(paths=paths) if paths else None


def _check_version(type_name: str | None, type_version: str | None) -> None:
    if type_name is None and type_version is not None:
        raise InvalidRequest(f"type_version {type_version!r} needs type, the name of the type")
