"""Questions about lineage, as a program asks them of a store of headwater's."""

from collections.abc import Iterator
from datetime import datetime
from typing import TypeVar

from headwater.client.artifacts import Artifact
from headwater.client.connected import Connected
from headwater.client.graph_answers import Comparison, Impact, Paths
from headwater.client.node_names import AnyKey, NodeLike, key_of
from headwater.client.walk_answers import Lineage, Reuse, WalkPage, collected
from headwater.client.walking import Direction
from headwater.errors import DeadlineExceeded, InvalidRequest, NotFound, Unavailable
from headwater.v1 import lineage_pb2 as rpc
from headwater.v1 import metadata_store_service_pb2 as store_rpc

__all__ = [
    "Artifact",
    "Comparison",
    "Impact",
    "Lineage",
    "LineageQuestions",
    "NodeLike",
    "Paths",
    "Reuse",
    "WalkPage",
]

_DIRECTIONS = {"upstream": rpc.UPSTREAM, "downstream": rpc.DOWNSTREAM, "both": rpc.BOTH}
_LARGEST_PAGE = 1_000

TwoEnds = TypeVar("TwoEnds", rpc.FindPathsRequest, rpc.CompareLineagesRequest)


class LineageQuestions(Connected):
    """What a store answers about what was made from what."""

    def artifact(self, node: NodeLike) -> Artifact:
        """The artifact of an id, ``TYPE/NAME`` or a URI, with what can be asked of it.

        Raises:
            NotFound: there is none.
            InvalidRequest: several artifacts have the URI, or ``node`` is no artifact.
        """
        if isinstance(node, Artifact):
            node = node.message
        kind, artifact_id = key_of(self._ask, node)
        if kind != "artifact":
            raise InvalidRequest(f"{kind} {artifact_id} is no artifact")
        request = store_rpc.GetArtifactsByIDRequest(artifact_ids=[artifact_id])
        found = self._ask(request, store_rpc.GetArtifactsByIDResponse).artifacts
        if not found:
            raise NotFound(f"there is no artifact {artifact_id}")
        return Artifact(self, found[0])

    def find_node(self, node: NodeLike) -> AnyKey:
        """Kind and id of a node, however it is named. What has an id is not looked up.

        Raises:
            NotFound: nothing has this name.
            InvalidRequest: several artifacts have this URI, or ``node`` is no node.
        """
        return key_of(self._ask, node)

    def walk(
        self,
        *start: NodeLike,
        direction: Direction = "upstream",
        max_hops: int | None = None,
        until: str | None = None,
        until_execution: str | None = None,
        as_of: datetime | int | None = None,
        page_size: int = 100,
        max_nodes: int | None = None,
        ids_only: bool = False,
        with_hits: bool = False,
        page_token: str = "",
    ) -> Iterator[WalkPage]:
        """The nodes around some nodes, nearest first, page by page as they are read.

        Nothing is walked before the first page is taken, and the store reads no further than its reader
        does, but for a few pages. A walk that is interrupted, because the store was away or the time limit
        of one call was over, goes on by itself behind the last page.

        Args:
            start: at least one node: an artifact's id, ``"TYPE/NAME"``, a URI, ``"run:PIPELINE/RUN"``,
                ``"execution:7"``, ``("execution", 7)``, or an artifact, execution or context itself. A
                context or a run stands for all that belongs to it.
            direction: towards the sources (``"upstream"``), the results (``"downstream"``), or ``"both"``.
            max_hops: how far to go. A hop crosses one event: from an artifact, the execution that made it
                is one hop up, its inputs two. ``None`` goes as far as events lead.
            until: a filter on artifacts; the walk does not go beyond those that match.
            until_execution: the same for executions.
            as_of: events after this moment are not there: a datetime, local unless it has a time zone, or
                milliseconds since the epoch.
            page_size: nodes a page, 1 to 1,000.
            max_nodes: nodes at most; where there are more the last page's ``cut`` says so.
            ids_only: nodes and contexts with nothing but their ids.
            with_hits: also the hits of every execution. They have its inputs and outputs, so they add nothing
                to what an artifact was made from; without this they are left out, but for those at which
                the walk begins, and ``reused_by`` of a page counts them.
            page_token: where to go on, ``next_page_token`` of a page of the same walk.

        Raises:
            NotFound: a starting node is not stored.
            InvalidRequest: nowhere to start, a limit out of range, a filter that does not compile, or a
                token of another walk.
            ResourceExhausted: as many walks are being read as the server has threads for.
        """
        keys = [key_of(self._ask, node) for node in start]
        request = _walk_request(
            keys,
            direction=direction,
            max_hops=max_hops,
            until=until,
            until_execution=until_execution,
            as_of=as_of,
            page_size=page_size,
            max_nodes=max_nodes,
            ids_only=ids_only,
            with_hits=with_hits,
        )
        request.page_token = page_token
        return self._pages(request)

    def _pages(self, request: rpc.WalkRequest) -> Iterator[WalkPage]:
        while True:
            is_first = True
            try:
                for message in self._stream(request, rpc.WalkResponse):
                    is_first = False
                    request.page_token = message.next_page_token
                    yield WalkPage.of_message(message)
                return
            except (Unavailable, DeadlineExceeded):
                # Whoever has come nowhere since the last attempt would not with the next one.
                if is_first or not request.page_token:
                    raise

    def walk_all(
        self,
        *start: NodeLike,
        direction: Direction = "upstream",
        max_hops: int | None = None,
        until: str | None = None,
        until_execution: str | None = None,
        as_of: datetime | int | None = None,
        max_nodes: int | None = 100_000,
        with_hits: bool = False,
    ) -> Lineage:
        """A whole walk as one value, in the memory of this program. As ``walk``."""
        keys = [key_of(self._ask, node) for node in start]
        pages = self.walk(
            *keys,
            direction=direction,
            max_hops=max_hops,
            until=until,
            until_execution=until_execution,
            as_of=as_of,
            page_size=_LARGEST_PAGE,
            max_nodes=max_nodes,
            with_hits=with_hits,
        )
        return collected(pages, keys)

    def paths(
        self, first: NodeLike, last: NodeLike, *, max_paths: int = 10, max_hops: int | None = None
    ) -> Paths:
        """How one node leads to the other, along the flow of data, whichever is given first.

        Shortest first, those of one length by the ids along them; none if neither was made from the other.
        No node is on a path twice, and hits are on none but at its ends. Nodes are named as in ``walk``;
        contexts are none.

        Args:
            max_paths: 1 to 100.
            max_hops: of the longest path; ``None``: any.

        Raises:
            NotFound: one of them is not stored.
        """
        request = rpc.FindPathsRequest(max_paths=max_paths, max_hops=max_hops)
        if max_paths < 1:
            raise InvalidRequest(f"max_paths must be from 1 to 100, and is {max_paths}")
        _set_end(request, "from", key_of(self._ask, first))
        _set_end(request, "to", key_of(self._ask, last))
        return Paths.of_message(self._ask(request, rpc.FindPathsResponse))

    def impact(
        self,
        *start: NodeLike,
        max_hops: int | None = None,
        as_of: datetime | int | None = None,
        max_nodes: int | None = None,
    ) -> Impact:
        """What was made from some nodes, counted by type, state and step. Nodes are named as in ``walk``.

        Args:
            max_nodes: nodes to count at most; ``None``: a million.

        Raises:
            NotFound: a starting node is not stored.
        """
        keys = [key_of(self._ask, node) for node in start]
        request = rpc.GetImpactRequest(
            start=_starting_nodes(keys), max_hops=max_hops, as_of_ms=_as_ms(as_of), max_nodes=max_nodes or 0
        )
        return Impact.of_message(self._ask(request, rpc.GetImpactResponse))

    def compare(self, a: NodeLike, b: NodeLike, *, max_hops: int | None = None) -> Comparison:
        """Where the pasts of two nodes differ: the steps whose code, parameters, environment or inputs do.

        Nearest first. Steps stand side by side by their names, other executions by type and name. Nodes
        are named as in ``walk``; contexts are none.

        Raises:
            NotFound: one of them is not stored.
        """
        request = rpc.CompareLineagesRequest(max_hops=max_hops)
        _set_end(request, "a", key_of(self._ask, a))
        _set_end(request, "b", key_of(self._ask, b))
        return Comparison.of_message(self._ask(request, rpc.CompareLineagesResponse))


def _walk_request(
    keys: list[AnyKey],
    *,
    direction: Direction,
    max_hops: int | None,
    until: str | None,
    until_execution: str | None,
    as_of: datetime | int | None,
    page_size: int,
    max_nodes: int | None,
    ids_only: bool,
    with_hits: bool,
) -> rpc.WalkRequest:
    if direction not in _DIRECTIONS:
        known = ", ".join(map(repr, _DIRECTIONS))
        raise InvalidRequest(f"direction must be one of {known}, and is {direction!r}")
    if page_size < 1:
        raise InvalidRequest(f"page_size must be from 1 to {_LARGEST_PAGE}, and is {page_size}")
    if max_nodes is not None and max_nodes < 1:
        raise InvalidRequest(f"max_nodes must be 1 or more, and is {max_nodes}")
    return rpc.WalkRequest(
        start=_starting_nodes(keys),
        direction=_DIRECTIONS[direction],
        max_hops=max_hops,
        until_artifacts=until,
        until_executions=until_execution,
        as_of_ms=_as_ms(as_of),
        page_size=page_size,
        max_nodes=max_nodes or 0,
        ids_only=ids_only,
        leaves_out_hits=not with_hits,
    )


def _starting_nodes(keys: list[AnyKey]) -> rpc.StartingNodes:
    if not keys:
        raise InvalidRequest("give at least one node to start from")
    return rpc.StartingNodes(
        artifact_ids=[node_id for kind, node_id in keys if kind == "artifact"],
        execution_ids=[node_id for kind, node_id in keys if kind == "execution"],
        context_ids=[node_id for kind, node_id in keys if kind == "context"],
    )


def _set_end(request: TwoEnds, name: str, key: AnyKey) -> None:
    kind, node_id = key
    if kind == "context":
        raise InvalidRequest(f"context {node_id} is no end; give an artifact or an execution of it")
    setattr(request, f"{name}_{kind}_id", node_id)


def _as_ms(moment: datetime | int | None) -> int | None:
    return int(moment.timestamp() * 1_000) if isinstance(moment, datetime) else moment
