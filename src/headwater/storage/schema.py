"""The tables of MLMD's schema version 10, with the two indexes it lacks, and a few tables of our own.

Names, columns and keys are those of MLMD, whose engine opens the same databases; the only additions
are the indexes in ``OWN_INDEXES`` and the tables whose names begin with ``headwater_``, which hold nothing
that a client of MLMD would miss. Databases that MLMD made on PostgreSQL and MySQL
have 32 bits where these columns have 64, which either engine reads. In every property table the column
that names the node has the key ``node_id``, so that one statement serves all three kinds.

Names are never quoted, because MLMD does not quote them: PostgreSQL folds them to lower case.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.sql.elements import quoted_name
from sqlalchemy.types import UserDefinedType

SCHEMA_VERSION = 10


class _Declared(UserDefinedType[object]):
    """A column type spelled exactly as given: SQLite keeps the text and derives its affinity from it."""

    cache_ok = True

    def __init__(self, spelling: str) -> None:
        self.spelling = spelling

    def get_col_spec(self, **_: object) -> str:
        return self.spelling


def _on_sqlite(common: sa.types.TypeEngine[Any], spelling: str) -> sa.types.TypeEngine[Any]:
    return common.with_variant(_Declared(spelling), "sqlite")


_INT = _on_sqlite(sa.BigInteger(), "INT")
_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_ENUM = _on_sqlite(sa.Integer(), "INT")
_MS = _on_sqlite(sa.BigInteger(), "INT")
_KIND = _on_sqlite(sa.SmallInteger(), "TINYINT(1)").with_variant(mysql.TINYINT(1), "mysql")
_FLAG = _on_sqlite(sa.Boolean(), "TINYINT(1)")
_BOOL = _on_sqlite(sa.Boolean(), "BOOLEAN")
_DOUBLE = _on_sqlite(sa.Double(), "DOUBLE")
_NAME = sa.String(255)
_TEXT = sa.Text()
_LONG_TEXT = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql")
_BYTES = sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql")

metadata = sa.MetaData()


def _table(name: str, *items: sa.schema.SchemaItem) -> sa.Table:
    return sa.Table(
        name,
        metadata,
        *items,
        quote=False,
        sqlite_autoincrement="id"
        in {item.name for item in items if isinstance(item, sa.Column) and item.primary_key},
    )


def _id() -> sa.Column[int]:
    return sa.Column("id", _ID, primary_key=True, autoincrement=True)


def _required(name: str, type_: sa.types.TypeEngine[Any] = _INT, **more: object) -> sa.Column[Any]:
    return sa.Column(name, type_, nullable=False, **more)  # type: ignore[arg-type]  # keyword bundle


type_table = _table(
    "Type",
    _id(),
    _required("name", _NAME),
    sa.Column("version", _NAME),
    _required("type_kind", _KIND),
    sa.Column("description", _TEXT),
    sa.Column("input_type", _TEXT),
    sa.Column("output_type", _TEXT),
    sa.Column("external_id", _NAME, unique=True),
)

type_property_table = _table(
    "TypeProperty",
    _required("type_id", primary_key=True, autoincrement=False),
    _required("name", _NAME, primary_key=True),
    sa.Column("data_type", _ENUM),
)

parent_type_table = _table(
    "ParentType",
    _required("type_id", primary_key=True, autoincrement=False),
    _required("parent_type_id", primary_key=True, autoincrement=False),
)

_TIMES = ("create_time_since_epoch", "last_update_time_since_epoch")


def _unique(*columns: str, name: str | None) -> sa.UniqueConstraint:
    # MLMD's own migrations know these constraints by their names.
    return sa.UniqueConstraint(*columns, name=None if name is None else quoted_name(name, quote=False))


def _node_table(
    name: str, *own: sa.Column[Any], name_is_required: bool = False, key: str | None = None
) -> sa.Table:
    return _table(
        name,
        _id(),
        _required("type_id"),
        *own,
        sa.Column("name", _NAME, nullable=not name_is_required),
        sa.Column("external_id", _NAME, unique=True),
        *(_required(time, _MS, server_default=sa.text("0")) for time in _TIMES),
        _unique("type_id", "name", name=key),
    )


def _property_table(name: str, node_column: str) -> sa.Table:
    return _table(
        name,
        _required(node_column, key="node_id", primary_key=True, autoincrement=False),
        _required("name", _NAME, primary_key=True),
        _required("is_custom_property", _FLAG, primary_key=True),
        sa.Column("int_value", _INT),
        sa.Column("double_value", _DOUBLE),
        sa.Column("string_value", _LONG_TEXT),
        sa.Column("byte_value", _BYTES),
        sa.Column("proto_value", _BYTES),
        sa.Column("bool_value", _BOOL),
    )


artifact_table = _node_table(
    "Artifact", sa.Column("uri", _TEXT), sa.Column("state", _ENUM), key="UniqueArtifactTypeName"
)
execution_table = _node_table(
    "Execution", sa.Column("last_known_state", _ENUM), key="UniqueExecutionTypeName"
)
context_table = _node_table("Context", name_is_required=True)

artifact_property_table = _property_table("ArtifactProperty", "artifact_id")
execution_property_table = _property_table("ExecutionProperty", "execution_id")
context_property_table = _property_table("ContextProperty", "context_id")

event_table = _table(
    "Event",
    _id(),
    _required("artifact_id"),
    _required("execution_id"),
    _required("type", _ENUM),
    sa.Column("milliseconds_since_epoch", _MS),
    _unique("artifact_id", "execution_id", "type", name="UniqueEvent"),
)

# The order of a path is the order in which its rows were inserted: there is no column for it.
event_path_table = _table(
    "EventPath",
    _required("event_id"),
    _required("is_index_step", _FLAG),
    sa.Column("step_index", _INT),
    sa.Column("step_key", _TEXT),
)

association_table = _table(
    "Association",
    _id(),
    _required("context_id"),
    _required("execution_id"),
    sa.UniqueConstraint("context_id", "execution_id"),
)

attribution_table = _table(
    "Attribution",
    _id(),
    _required("context_id"),
    _required("artifact_id"),
    sa.UniqueConstraint("context_id", "artifact_id"),
)

# ``context_id`` is the child.
parent_context_table = _table(
    "ParentContext",
    _required("context_id", primary_key=True, autoincrement=False),
    _required("parent_context_id", primary_key=True, autoincrement=False),
)

env_table = _table(
    "MLMDEnv", _required("schema_version", sa.Integer(), primary_key=True, autoincrement=False)
)

MLMD_TABLES = tuple(metadata.tables.values())

# What was carried out, so that a request which is sent again is answered and not carried out again.
request_table = _table(
    "headwater_request",
    _required("request_id", sa.String(64), primary_key=True),
    _required("digest", sa.String(64)),
    _required("recorded_ms", _MS),
    _required("answer", _LONG_TEXT),
)
sa.Index("idx_headwater_request_recorded_ms", request_table.c.recorded_ms)

_LONG_NAME = sa.String(255)

# What is known of an attempt at a step beside its execution: what it takes to find it.
attempt_table = _table(
    "headwater_attempt",
    _required("execution_id", _ID, primary_key=True, autoincrement=False),
    _required("pipeline_id"),
    _required("run_id"),
    _required("step", _LONG_NAME),
    _required("number", sa.Integer()),
    # Empty where the step has none.
    _required("fingerprint", sa.String(80)),
    # The fingerprint while the execution can be hit; NULL before that, after that, and of a hit itself.
    sa.Column("entry", sa.String(80)),
    # Whether it may be hit once it is complete.
    _required("is_kept", _FLAG),
    # Why it cannot be hit any more.
    sa.Column("unfit", _TEXT),
    # Of a hit, the execution whose outputs are reused.
    sa.Column("cached_execution_id", _INT),
    _required("start_ms", _MS),
    # NULL until it is finished.
    sa.Column("end_ms", _MS),
    # What was asked of BeginStep and FinishStep, to tell a request that is sent again from another one.
    _required("begin_digest", sa.String(64)),
    sa.Column("finish_digest", sa.String(64)),
)
sa.Index("idx_headwater_attempt_entry", attempt_table.c.entry, attempt_table.c.execution_id)
sa.Index(
    "idx_headwater_attempt_step",
    attempt_table.c.pipeline_id,
    attempt_table.c.step,
    attempt_table.c.execution_id,
    mysql_length={"step": 200},
)
# Few attempts are made unfit, and then it is asked why.
sa.Index(
    "idx_headwater_attempt_unfit",
    attempt_table.c.fingerprint,
    attempt_table.c.execution_id,
    sqlite_where=attempt_table.c.unfit.isnot(None),
    postgresql_where=attempt_table.c.unfit.isnot(None),
)
# Who reused what an execution made, and in how many runs.
sa.Index(
    "idx_headwater_attempt_cached",
    attempt_table.c.cached_execution_id,
    attempt_table.c.run_id,
    attempt_table.c.start_ms,
    sqlite_where=attempt_table.c.cached_execution_id.isnot(None),
    postgresql_where=attempt_table.c.cached_execution_id.isnot(None),
)
sa.Index("idx_headwater_attempt_run", attempt_table.c.run_id, attempt_table.c.execution_id)

# The right to compute something, or to keep a run open, until it expires.
lease_table = _table(
    "headwater_lease",
    _required("run_id"),
    # What is leased: step:FINGERPRINT, attempt:EXECUTION or run:CONTEXT.
    _required("subject", sa.String(100), primary_key=True),
    _required("token", sa.String(36)),
    _required("worker", _LONG_NAME),
    # NULL for that of a run.
    sa.Column("execution_id", _INT),
    _required("acquired_ms", _MS),
    _required("duration_ms", _MS),
    _required("expires_ms", _MS),
)
sa.Index("idx_headwater_lease_token", lease_table.c.token)
sa.Index("idx_headwater_lease_expires_ms", lease_table.c.expires_ms)

# Which content an artifact has at which place, as a digest of both.
content_table = _table(
    "headwater_content",
    _required("artifact_id", _ID, primary_key=True, autoincrement=False),
    _required("content", sa.String(64)),
)
sa.Index("idx_headwater_content", content_table.c.content, content_table.c.artifact_id)

metric_table = _table(
    "headwater_metric",
    _required("execution_id", primary_key=True, autoincrement=False),
    _required("name", _LONG_NAME, primary_key=True),
    # Place in a series; -1 for a scalar.
    _required("step", primary_key=True, autoincrement=False),
    _required("run_id"),
    _required("time_ms", _MS),
    # NULL where it is not finite, which ``special`` then names: nan, inf or -inf.
    sa.Column("value", _DOUBLE),
    sa.Column("special", sa.String(4)),
)
sa.Index(
    "idx_headwater_metric_run_id",
    metric_table.c.run_id,
    metric_table.c.name,
    # All that it takes to find the last point of each series.
    metric_table.c.execution_id,
    metric_table.c.step,
)

PIPELINE_TABLES = (attempt_table, lease_table, content_table, metric_table)
OWN_TABLES = (request_table, *PIPELINE_TABLES)
"""Made where they are missing, in databases of MLMD too."""

# How far a copy of another database is ('headwater db copy'), and where it came from.
copy_table = _table(
    "headwater_copy",
    _required("name", sa.String(64), primary_key=True),
    _required("value", _TEXT),
)

sa.Index("idx_type_name", type_table.c.name)
sa.Index("idx_artifact_uri", artifact_table.c.uri, mysql_length=255)
sa.Index("idx_event_execution_id", event_table.c.execution_id)
sa.Index("idx_eventpath_event_id", event_path_table.c.event_id)
sa.Index("idx_parentcontext_parent_context_id", parent_context_table.c.parent_context_id)
sa.Index("idx_type_external_id", type_table.c.external_id)

for _prefix, _nodes, _properties in (
    ("artifact", artifact_table, artifact_property_table),
    ("execution", execution_table, execution_property_table),
    ("context", context_table, context_property_table),
):
    sa.Index(f"idx_{_prefix}_external_id", _nodes.c.external_id)
    for _time in _TIMES:
        sa.Index(f"idx_{_prefix}_{_time}", _nodes.c[_time])
    for _value in ("int", "double", "string"):
        _column = _properties.c[f"{_value}_value"]
        sa.Index(
            f"idx_{_prefix}_property_{_value}",
            _properties.c.name,
            _properties.c.is_custom_property,
            _column,
            sqlite_where=_column.isnot(None),
            # MLMD has these indexes whole on PostgreSQL, which makes writing properties half as fast again.
            postgresql_where=_column.isnot(None),
            mysql_length={"string_value": 255} if _value == "string" else None,
        )

# MLMD can only reach links from the context's side; "contexts of" would read both tables whole.
OWN_INDEXES = (
    sa.Index("idx_attribution_artifact_id", attribution_table.c.artifact_id, attribution_table.c.context_id),
    sa.Index(
        "idx_association_execution_id", association_table.c.execution_id, association_table.c.context_id
    ),
)
