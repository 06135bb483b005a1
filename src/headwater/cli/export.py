"""``headwater export``: the lineage of an artifact as a file for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headwater.cli.lineage import hits_option, walk_options, walked
from headwater.cli.target import asks_store, find_artifact
from headwater.errors import FailedPrecondition

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from headwater.client import Store
    from headwater.client.plain import NodeType
    from headwater.client.walk_answers import Lineage
    from headwater.v1 import metadata_store_pb2 as pb


def _options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(
        (
            click.argument("artifact"),
            walk_options,
            hits_option,
            click.option(
                "--direction",
                default="both",
                show_default=True,
                type=click.Choice(("up", "down", "both")),
                help="What it was made from, what was made from it, or both.",
            ),
            click.option(
                "--output",
                metavar="FILE",
                type=click.Path(dir_okay=False, writable=True, path_type=Path),
                help="Where to write, instead of stdout.",
            ),
            asks_store,
        )
    ):
        command = option(command)
    return command


@click.group()
def export() -> None:
    """Write lineage as a drawing or as JSON.

    ARTIFACT is an id, TYPE/NAME, or a URI.
    """


@export.command(
    epilog="""\b
Examples:
  headwater export dot Model/taxi --target localhost:8080 --output taxi.dot
  headwater export dot 42 --direction up | dot -Tpng > lineage.png
"""
)
@_options
def dot(store: Store, artifact: str, output: Path | None, **walk: Any) -> None:
    """Draw the lineage of ARTIFACT in the language of Graphviz.

    ARTIFACT is an id, TYPE/NAME, or a URI.
    """
    _write(str(_walked(store, artifact, **walk).to_dot()), output)


@export.command(
    epilog="\b\nExample:\n  headwater export svg Model/taxi --output taxi.svg --target localhost:8080"
)
@_options
def svg(store: Store, artifact: str, output: Path | None, **walk: Any) -> None:
    """Draw the lineage of ARTIFACT as an SVG image.

    ARTIFACT is an id, TYPE/NAME, or a URI. Needs the program dot of Graphviz; without it the DOT text goes
    to stdout, and the exit code is 1.
    """
    from headwater.client import drawing

    drawn = _walked(store, artifact, **walk).to_dot()
    try:
        image = drawing.svg(drawn)
    except FailedPrecondition:
        click.echo(str(drawn), nl=False)
        raise
    _write(image, output)


@export.command(epilog="\b\nExample:\n  headwater export json 42 --hops 4 --target localhost:8080")
@_options
def json(store: Store, artifact: str, output: Path | None, **walk: Any) -> None:
    """Write the lineage of ARTIFACT as JSON: nodes, types, events and links.

    ARTIFACT is an id, TYPE/NAME, or a URI.
    """
    from headwater.cli.tables import as_json_text
    from headwater.client.plain import plain_type

    found = _walked(store, artifact, **walk)
    types: list[tuple[str, Sequence[NodeType]]] = [
        ("artifact_types", store.get_artifact_types_by_id(_type_ids(found.artifacts))),
        ("execution_types", store.get_execution_types_by_id(_type_ids(found.executions))),
        ("context_types", store.get_context_types_by_id(_type_ids(found.contexts))),
    ]
    plain = {name: [plain_type(type_) for type_ in of_kind] for name, of_kind in types}
    _write(as_json_text({**found.to_dict(), **plain}), output)


def _type_ids(nodes: Mapping[int, pb.Artifact | pb.Execution | pb.Context]) -> list[int]:
    return sorted({node.type_id for node in nodes.values()})


def _walked(store: Store, named: str, **walk: Any) -> Lineage:
    return walked(store, find_artifact(store, named), **walk)


def _write(content: str, output: Path | None) -> None:
    if not content.endswith("\n"):
        content += "\n"
    if output is None:
        click.echo(content, nl=False)
        return
    try:
        output.write_text(content, encoding="utf-8")
    except OSError as error:
        raise FailedPrecondition(f"cannot write {str(output)!r}: {error.strerror}") from error
