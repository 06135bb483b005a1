"""The three kinds of node, as values: what differs among artifacts, executions and contexts.

Storage takes a kind as an argument, so that reading and writing nodes is written once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa

from headwater.storage import schema
from headwater.v1 import metadata_store_pb2 as pb

Node = pb.Artifact | pb.Execution | pb.Context
TypeMessage = pb.ArtifactType | pb.ExecutionType | pb.ContextType


@dataclass(frozen=True, eq=False)
class NodeKind:
    """One of the three kinds. Compare with ``is``."""

    name: str
    """Singular, lower case, as error messages say it."""
    number: int
    """``Type.type_kind``."""
    message: type[pb.Artifact] | type[pb.Execution] | type[pb.Context]
    type_message: type[pb.ArtifactType] | type[pb.ExecutionType] | type[pb.ContextType]
    table: sa.Table
    properties: sa.Table
    own_columns: tuple[str, ...]
    """Columns that the other kinds lack; each is a field of that name in the message."""
    links: sa.Table | None
    """The link table to contexts; ``None`` for contexts themselves."""
    link_column: str | None
    """The column of ``links`` that names a node of this kind."""
    base_types: Mapping[int, str] = field(default_factory=dict)
    """``SystemDefinedBaseType`` number to the name of the simple type behind it."""

    def __repr__(self) -> str:
        return self.name


ARTIFACT = NodeKind(
    name="artifact",
    number=1,
    message=pb.Artifact,
    type_message=pb.ArtifactType,
    table=schema.artifact_table,
    properties=schema.artifact_property_table,
    own_columns=("uri", "state"),
    links=schema.attribution_table,
    link_column="artifact_id",
    base_types={1: "mlmd.Dataset", 2: "mlmd.Model", 3: "mlmd.Metrics", 4: "mlmd.Statistics"},
)

EXECUTION = NodeKind(
    name="execution",
    number=0,
    message=pb.Execution,
    type_message=pb.ExecutionType,
    table=schema.execution_table,
    properties=schema.execution_property_table,
    own_columns=("last_known_state",),
    links=schema.association_table,
    link_column="execution_id",
    base_types={
        1: "mlmd.Train",
        2: "mlmd.Transform",
        3: "mlmd.Process",
        4: "mlmd.Evaluate",
        5: "mlmd.Deploy",
    },
)

CONTEXT = NodeKind(
    name="context",
    number=2,
    message=pb.Context,
    type_message=pb.ContextType,
    table=schema.context_table,
    properties=schema.context_property_table,
    own_columns=(),
    links=None,
    link_column=None,
)

KINDS = (ARTIFACT, EXECUTION, CONTEXT)
