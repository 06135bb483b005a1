"""docs/model.md names all that is stored."""

from pathlib import Path

import pytest

from headwater.storage import model, schema

TEXT = (Path(__file__).parents[1] / "docs" / "model.md").read_text()
TYPES = (model.PIPELINE_TYPE, model.RUN_TYPE, model.STEP_TYPE, model.artifact_type("Model"))


@pytest.mark.parametrize("name", sorted({name for type_ in TYPES for name in type_.properties}))
def test_every_property_is_documented(name):
    assert f"`{name}`" in TEXT


@pytest.mark.parametrize("type_", TYPES, ids=lambda type_: type_.name)
def test_every_type_is_documented(type_):
    assert f"`{type_.name}`" in TEXT


@pytest.mark.parametrize("table", schema.PIPELINE_TABLES, ids=lambda table: table.name)
def test_every_table_is_documented(table):
    assert f"`{table.name}`" in TEXT
