"""An artifact of the store, and what can be asked of it."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from headwater.client.graph_answers import Comparison, Impact, Paths
from headwater.client.plain import plain_node
from headwater.client.values import Plain, from_value
from headwater.client.walk_answers import Lineage
from headwater.v1 import metadata_store_pb2 as pb

if TYPE_CHECKING:
    from headwater.client.graph import LineageQuestions
    from headwater.client.node_names import NodeLike


class Artifact:
    """A thing that was used or made, as the store knew it when it was asked. ``Store.artifact`` makes one."""

    def __init__(self, store: "LineageQuestions", message: pb.Artifact) -> None:
        self.store = store
        self.message = message
        """All that is stored of it."""

    @property
    def id(self) -> int:
        return self.message.id

    @property
    def name(self) -> str:
        """Empty if it has none."""
        return self.message.name

    @property
    def type(self) -> str:
        return self.message.type

    @property
    def uri(self) -> str:
        """Empty for what is nowhere."""
        return self.message.uri

    @property
    def state(self) -> str:
        """Name of the state, for example ``LIVE``."""
        return pb.Artifact.State.Name(self.message.state)

    @property
    def digest(self) -> str | None:
        """Of its content, algorithm first; ``None`` if it is not known."""
        return self._text("digest")

    @property
    def size_bytes(self) -> int | None:
        given = self.message.properties.get("size_bytes")
        return given.int_value if given is not None and given.HasField("int_value") else None

    @property
    def properties(self) -> Mapping[str, Plain]:
        """Properties and custom properties by name; of two of one name the one that its type declares."""
        given = {**self.message.custom_properties, **self.message.properties}
        return {name: from_value(given[name]) for name in sorted(given)}

    def _text(self, name: str) -> str | None:
        given = self.message.properties.get(name)
        return given.string_value if given is not None and given.HasField("string_value") else None

    def upstream(
        self,
        max_hops: int | None = None,
        *,
        until: str | None = None,
        as_of: datetime | int | None = None,
        max_nodes: int | None = 100_000,
        with_hits: bool = False,
    ) -> Lineage:
        """What it was made from, back to the sources. For the arguments see ``Store.walk``.

        Where there are more than ``max_nodes`` the answer's ``cut`` says so. Hits are left out, and counted
        in ``reused_by``, unless ``with_hits`` is given.
        """
        return self.store.walk_all(
            self.message,
            direction="upstream",
            max_hops=max_hops,
            until=until,
            as_of=as_of,
            max_nodes=max_nodes,
            with_hits=with_hits,
        )

    def downstream(
        self,
        max_hops: int | None = None,
        *,
        until: str | None = None,
        as_of: datetime | int | None = None,
        max_nodes: int | None = 100_000,
        with_hits: bool = False,
    ) -> Lineage:
        """What was made from it, down to the latest results. As ``upstream``."""
        return self.store.walk_all(
            self.message,
            direction="downstream",
            max_hops=max_hops,
            until=until,
            as_of=as_of,
            max_nodes=max_nodes,
            with_hits=with_hits,
        )

    def diff(self, other: "NodeLike", *, max_hops: int | None = None) -> Comparison:
        """Where its past differs from that of another node; this one is ``a``."""
        return self.store.compare(self.message, other, max_hops=max_hops)

    def paths_to(self, other: "NodeLike", *, max_paths: int = 10, max_hops: int | None = None) -> Paths:
        """How it leads to another node, or that one to it: shortest first, along the flow of data."""
        return self.store.paths(self.message, other, max_paths=max_paths, max_hops=max_hops)

    def impact(self, max_hops: int | None = None, *, as_of: datetime | int | None = None) -> Impact:
        """What was made from it, counted. For the arguments see ``Store.impact``."""
        return self.store.impact(self.message, max_hops=max_hops, as_of=as_of)

    def to_dict(self) -> dict[str, Plain]:
        """All that is stored of it, for JSON."""
        return plain_node(self.message)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Artifact) and self.message == other.message

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        named = f" {self.name!r}" if self.name else f" at {self.uri!r}" if self.uri else ""
        return f"<Artifact {self.id}: {self.type}{named}>"
