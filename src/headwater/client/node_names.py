"""How nodes are named: by an id, by type and name, by URI, or as what a program holds of them."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Union, cast

from headwater.client.lineage import Kind
from headwater.client.transport import Ask
from headwater.errors import InvalidRequest, NotFound
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc

if TYPE_CHECKING:
    from headwater.client.artifacts import Artifact

AnyKey = tuple[Kind, int]
NodeLike = Union[int, str, AnyKey, "Artifact", pb.Artifact, pb.Execution, pb.Context]
"""A node: an artifact's id, a text (see ``find_key``), a kind and an id, or the node itself."""

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|/")
_KIND = re.compile(r"(artifact|execution|context|run):(?!//)(.+)", re.DOTALL)
_RUN_TYPE = "headwater.Run"


def key_of(ask: Ask, node: NodeLike) -> AnyKey:
    """Kind and id of a node. Costs a call for a text that is no id.

    Raises:
        NotFound: nothing has this name.
        InvalidRequest: several artifacts have this URI, or ``node`` is no node.
    """
    if isinstance(node, str):
        return find_key(ask, node)
    if isinstance(node, int) and not isinstance(node, bool):
        return "artifact", node
    if isinstance(node, tuple) and len(node) == 2 and node[0] in ("artifact", "execution", "context"):
        return node
    message = getattr(node, "message", node)
    for kind, class_ in (("artifact", pb.Artifact), ("execution", pb.Execution), ("context", pb.Context)):
        if isinstance(message, class_):
            if not message.id:
                raise InvalidRequest(f"this {kind} has no id; put it first, or get it from the store")
            return cast("Kind", kind), message.id
    raise InvalidRequest(
        f"{node!r:.100} is no node; give an artifact's id, 'TYPE/NAME', a URI, 'run:PIPELINE/RUN', "
        "('execution', 7), or the node itself"
    )


def find_key(ask: Ask, named: str) -> AnyKey:
    """Kind and id of what a text names.

    It is an artifact's id, ``TYPE/NAME`` or URI; or, with the kind in front, ``execution:7``,
    ``execution:TYPE/NAME``, ``context:TYPE/NAME``, ``artifact:TYPE/NAME``, ``run:PIPELINE/RUN``.

    Raises:
        NotFound: nothing has this name.
        InvalidRequest: several artifacts have this URI, or the text is none of these.
    """
    given = _KIND.fullmatch(named)
    if given and given[1] == "run":
        return "context", _context(ask, _RUN_TYPE, given[2], f"run {given[2]!r}")
    kind = cast("Kind", given[1]) if given else "artifact"
    name = given[2] if given else named
    if name.isdecimal():
        return kind, int(name)
    if kind == "artifact" and _URI.match(name):
        return "artifact", _artifact_by_uri(ask, name).id
    type_name, slash, rest = name.partition("/")
    if not slash:
        expected = "an id, TYPE/NAME or a URI" if kind == "artifact" else "an id or TYPE/NAME"
        raise InvalidRequest(f"{named!r} is not {expected}")
    if kind == "artifact":
        by_name = rpc.GetArtifactByTypeAndNameRequest(type_name=type_name, artifact_name=rest)
        found_artifact = ask(by_name, rpc.GetArtifactByTypeAndNameResponse)
        if not found_artifact.HasField("artifact"):
            raise NotFound(f"there is no artifact {name!r}")
        return kind, found_artifact.artifact.id
    if kind == "execution":
        request = rpc.GetExecutionByTypeAndNameRequest(type_name=type_name, execution_name=rest)
        found = ask(request, rpc.GetExecutionByTypeAndNameResponse)
        if not found.HasField("execution"):
            raise NotFound(f"there is no execution {name!r}")
        return kind, found.execution.id
    return kind, _context(ask, type_name, rest, f"context {name!r}")


def _context(ask: Ask, type_name: str, name: str, what: str) -> int:
    request = rpc.GetContextByTypeAndNameRequest(type_name=type_name, context_name=name)
    found = ask(request, rpc.GetContextByTypeAndNameResponse)
    if not found.HasField("context"):
        raise NotFound(f"there is no {what}")
    return found.context.id


def _artifact_by_uri(ask: Ask, uri: str) -> pb.Artifact:
    found = ask(rpc.GetArtifactsByURIRequest(uris=[uri]), rpc.GetArtifactsByURIResponse).artifacts
    if not found:
        raise NotFound(f"there is no artifact with the URI {uri!r}")
    if len(found) > 1:
        ids = _listed(sorted(artifact.id for artifact in found))
        raise InvalidRequest(f"{len(found)} artifacts have the URI {uri!r}; give one of their ids: {ids}")
    return found[0]


_MOST_LISTED = 20


def _listed(ids: Iterable[int]) -> str:
    shown = list(map(str, ids))
    more = ", ..." if len(shown) > _MOST_LISTED else ""
    return ", ".join(shown[:_MOST_LISTED]) + more
