"""``headwater type``: the schemas that users declared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from headwater.cli.target import asks_store, json_option
from headwater.errors import InvalidRequest, NotFound

if TYPE_CHECKING:
    from headwater.client import Store
    from headwater.client.plain import NodeType

_KINDS = ("artifact", "execution", "context")
_kind_option = click.option("--kind", type=click.Choice(_KINDS), help="Only types of this kind.")


@click.group("type")
def types() -> None:
    """Declared types of nodes, with their properties."""


@types.command("list", epilog="\b\nExample:\n  headwater type list --kind artifact --target localhost:8080")
@_kind_option
@json_option
@asks_store
def list_types(store: Store, as_json: bool, kind: str | None) -> None:
    """List types, but for the simple types that every store has."""
    from headwater.cli import tables

    found = (plain for wanted in _KINDS if kind in (None, wanted) for plain in _plain_types(store, wanted))
    if as_json:
        tables.print_json_list(found)
        return
    tables.print_table(
        ("kind", "id", "name", "version", "properties"),
        (
            (
                plain["kind"],
                plain["id"],
                plain["name"],
                plain.get("version"),
                ", ".join(f"{name}: {declared}" for name, declared in plain["properties"].items()),
            )
            for plain in found
        ),
        numbers=("id",),
        folded=("name", "properties"),
    )


@types.command(
    "show",
    epilog="""\b
Examples:
  headwater type show Dataset
  headwater type show Train --kind execution --type-version 2
  headwater type show 12 --json
""",
)
@click.argument("named", metavar="TYPE")
@_kind_option
@click.option("--type-version", metavar="VERSION", help="Version of the type; needed if there are several.")
@json_option
@asks_store
def show_type(store: Store, as_json: bool, named: str, kind: str | None, type_version: str | None) -> None:
    """Show a type and the properties it declares. TYPE is its id or its name."""
    from headwater.cli import tables

    found = [
        plain
        for wanted in _KINDS
        if kind in (None, wanted)
        for plain in (
            _plain_types_by_id(store, wanted, int(named))
            if named.isdecimal()
            else _plain_types(store, wanted)
        )
        if named.isdecimal() or plain["name"] == named
        if type_version is None or plain.get("version", "") == type_version
    ]
    if not found:
        raise NotFound(f"there is no type {named!r}")
    if len(found) > 1:
        choice = ", ".join(
            f"{plain['id']} ({plain['kind']}, version {plain.get('version', 'none')})" for plain in found
        )
        raise InvalidRequest(f"{len(found)} types are named {named!r}; give one of their ids: {choice}")
    if as_json:
        tables.print_json(found[0])
        return
    tables.print_fields(
        {name.replace("_", " "): value for name, value in found[0].items() if name != "properties"}
    )
    if found[0]["properties"]:
        click.echo()
        tables.print_table(
            ("property", "kind of value"), found[0]["properties"].items(), folded=("property",)
        )


def _plain_types(store: Store, kind: str) -> list[dict[str, Any]]:
    if kind == "artifact":
        return [_plain(kind, type_) for type_ in store.list_artifact_types()]
    if kind == "execution":
        return [_plain(kind, type_) for type_ in store.list_execution_types()]
    return [_plain(kind, type_) for type_ in store.list_context_types()]


def _plain_types_by_id(store: Store, kind: str, type_id: int) -> list[dict[str, Any]]:
    if kind == "artifact":
        return [_plain(kind, type_) for type_ in store.get_artifact_types_by_id([type_id])]
    if kind == "execution":
        return [_plain(kind, type_) for type_ in store.get_execution_types_by_id([type_id])]
    return [_plain(kind, type_) for type_ in store.get_context_types_by_id([type_id])]


def _plain(kind: str, type_: NodeType) -> dict[str, Any]:
    """All of a type: what the SDK's ``plain_type`` has, its kind, its base type, and its struct types."""
    from google.protobuf import json_format

    from headwater.client.plain import plain_type
    from headwater.v1 import metadata_store_pb2 as pb

    plain: dict[str, Any] = {"kind": kind, **plain_type(type_)}
    if type_.HasField("base_type"):
        plain["base_type"] = type_.SystemDefinedBaseType.Name(type_.base_type)
    if isinstance(type_, pb.ExecutionType):
        for name, struct_type in (("input_type", type_.input_type), ("output_type", type_.output_type)):
            if type_.HasField(name):
                plain[name] = json_format.MessageToDict(struct_type, preserving_proto_field_name=True)
    return plain
