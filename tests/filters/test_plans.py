"""Both ways to ask a neighbourhood find an index on SQLite."""

import pytest
import sqlalchemy as sa
from filters.asking import put_rows

from headwater.filters import compile_filter
from headwater.storage import schema
from headwater.storage.kinds import ARTIFACT, CONTEXT, EXECUTION
from headwater.storage.statements import Prepared

pytestmark = pytest.mark.backends("sqlite")


@pytest.fixture
def plan(database):
    """The steps of a statement's plan, as SQLite tells them."""
    put_rows(database, schema.artifact_table, [{"type_id": 1, "uri": ""} for _ in range(50)])

    def steps(statement, filter_):
        call = Prepared(statement, *filter_.values).call(database.dialect, list(filter_.values.values()))
        rows = database.read(
            lambda tx: tx.begun().execute(f"EXPLAIN QUERY PLAN {call.text}", call.arguments).fetchall()
        )
        return [row[-1] for row in rows]

    return steps


def scanned(steps):
    """The tables that are read from end to end. Types are few."""
    return {step.split()[1] for step in steps if step.startswith("SCAN")}


CANDIDATES = {
    "an int property": (ARTIFACT, "properties.n.int_value = 5", "idx_artifact_property_int"),
    "a range": (ARTIFACT, "properties.n.double_value > 0.5", "idx_artifact_property_double"),
    "a string": (EXECUTION, "custom_properties.s.string_value = 'x'", "idx_execution_property_string"),
    "a list": (CONTEXT, "properties.s.string_value IN ('x', 'y')", "idx_context_property_string"),
    "a context's name": (ARTIFACT, "contexts_a.name = 'x'", "sqlite_autoindex_Context_"),
    "a context's name and type": (
        EXECUTION, "contexts_a.name = 'x' AND contexts_a.type = 'Run'", "sqlite_autoindex_Context_",
    ),
    "a context's names": (ARTIFACT, "contexts_a.name IN ('x', 'y')", "sqlite_autoindex_Context_"),
    "a parent's name": (CONTEXT, "parent_contexts_a.name = 'x'", "sqlite_autoindex_Context_"),
    "an artifact's name": (CONTEXT, "artifacts_a.name = 'x'", "sqlite_autoindex_Artifact_"),
    "an artifact's uri": (CONTEXT, "artifacts_a.uri = 'x'", "idx_artifact_uri"),
    "a context's id": (ARTIFACT, "contexts_a.id = 1", "sqlite_autoindex_Attribution_1"),
    "an execution's event": (ARTIFACT, "events_a.execution_id = 1", "idx_event_execution_id"),
    "an artifact's event": (EXECUTION, "events_a.artifact_id = 1", "sqlite_autoindex_Event_1"),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "text", "index"), CANDIDATES.values(), ids=CANDIDATES)
def test_candidates_start_from_an_index(plan, kind, text, index):
    filter_ = compile_filter(text, kind)
    (neighbourhood,) = filter_.neighbourhoods

    steps = plan(neighbourhood.candidates(), filter_)

    assert any(f"INDEX {index}" in step for step in steps), steps
    assert scanned(steps) <= {"Type", "json_each"}


@pytest.mark.parametrize("text", ["properties.n.int_value = 5", "properties.n.double_value > 0.5"], ids=str)
def test_a_node_finds_its_property_by_the_primary_key(plan, text):
    filter_ = compile_filter(text, ARTIFACT)
    statement = sa.select(schema.artifact_table.c.id).where(filter_.neighbourhoods[0].exists())

    steps = plan(statement, filter_)

    assert any(
        "sqlite_autoindex_ArtifactProperty_1 (artifact_id=? AND name=? AND is" in step for step in steps
    ), steps


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (ARTIFACT, "contexts_a.name = 'x'"),
        (ARTIFACT, "contexts_a.type = 'Run'"),
        (EXECUTION, "contexts_a.name IN ('x', 'y')"),
        (EXECUTION, "events_a.type = INPUT"),
        (CONTEXT, "child_contexts_a.name = 'x'"),
        (CONTEXT, "executions_a.name = 'x'"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_a_node_finds_its_neighbours_by_its_id(plan, kind, text):
    filter_ = compile_filter(text, kind)
    statement = sa.select(kind.table.c.id).where(filter_.neighbourhoods[0].exists())

    steps = plan(statement, filter_)

    near = {"child_contexts_a.name = 'x'": "parent_context_id"}.get(text, f"{kind.name}_id")
    assert any(step.startswith("SEARCH") and f"({near}=?" in step for step in steps), steps
    assert scanned(steps) <= {kind.table.name, "json_each"}


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("name = 'x'", "sqlite_autoindex_Artifact_"),
        ("name IN ('x', 'y') AND id > 1", "sqlite_autoindex_Artifact_"),
        ("name = 'x' OR name = 'y'", "sqlite_autoindex_Artifact_"),
        ("type = 'Model'", "sqlite_autoindex_Artifact_"),
        ("type IN ('Model', 'Data') AND name = 'x'", "sqlite_autoindex_Artifact_"),
        ("uri = 'x'", "idx_artifact_uri"),
        ("external_id = 'x'", "_external_id"),
        ("create_time_since_epoch > 5", "idx_artifact_create_time_since_epoch"),
    ],
    ids=lambda value: value,
)
def test_conditions_on_the_node_itself_find_an_index(plan, text, index):
    filter_ = compile_filter(text, ARTIFACT)

    steps = plan(sa.select(schema.artifact_table.c.id).where(filter_.own), filter_)

    assert any(
        "SEARCH Artifact USING" in step and (index in step or "autoindex" in step) for step in steps
    ), steps
