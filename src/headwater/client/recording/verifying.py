"""Whether the outputs of a hit are still what they were, where they are, before the hit is used."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from headwater.client.content import Expected, check_all, digest_of_bytes, local_path
from headwater.client.recording import keeping
from headwater.client.recording.outputs import Output
from headwater.client.recording.places import memo
from headwater.client.recording.returning import has_sound_place
from headwater.v1 import pipelines_pb2 as pp

IN_MEMORY = "was an object in memory; persist=True would keep it"
# What may be well again tomorrow, or is a matter of who asks.
_PASSING = ("unreadable", "not_allowed")


def problems_of_hit(
    answer: pp.BeginStepResponse,
    outputs: Mapping[str, Output],
    *,
    needs_values: bool,
    directory: Path | None,
    roots: Sequence[str | os.PathLike[str]] | None,
    storage_options: Mapping[str, Mapping[str, Any]] | None,
) -> tuple[list[pp.RefusedHit], bool]:
    """What is wrong with a hit for good, and whether it can be used.

    ``needs_values``: objects that were only in memory cannot be given back, so they are a problem.
    ``directory``: where pickled objects are trusted.
    """

    def refused(output: Output | None, reason: str) -> pp.RefusedHit:
        artifact_id = output.artifact_id or 0 if output is not None else 0
        return pp.RefusedHit(execution_id=answer.execution_id, artifact_id=artifact_id, reason=reason)

    if not outputs:
        return [refused(None, "it made nothing that could be reused")], False
    broken = [
        refused(output, f"output {output.name!r}: where it stood in the result cannot be read")
        for output in outputs.values()
        if not has_sound_place(output)
    ]
    is_usable = True
    files = [output for output in outputs.values() if output.is_file]
    stamps = {message.name: message.stamp for message in answer.outputs}
    expected = [
        Expected(output.uri, output.digest or None, output.size_bytes, stamps.get(output.name) or None)
        for output in files
    ]
    found = check_all(expected, memo=memo(), roots=roots, storage_options=storage_options)
    memo().flush()
    for output, problem in zip(files, found, strict=True):
        if problem is not None:
            is_usable = False
            if problem.reason not in _PASSING:
                broken.append(refused(output, f"output {output.name!r}: {problem.text}"))
    for output in outputs.values():
        if needs_values and not output.is_file and not output.holds_plain_value:
            broken.append(refused(output, f"output {output.name!r} {IN_MEMORY}"))
        elif output.holds_plain_value and (problem_text := _problem_of_value(output)):
            broken.append(refused(output, f"output {output.name!r}: {problem_text}"))
        elif output.is_pickled and not _is_trusted(output, directory):
            is_usable = False
    return broken, is_usable and not broken


def is_only_in_memory(refused: Sequence[pp.RefusedHit]) -> bool:
    """Whether nothing else is wrong than that objects were in the memory of another process."""
    return bool(refused) and all(one.reason.endswith(IN_MEMORY) for one in refused)


def _problem_of_value(output: Output) -> str:
    """What is wrong with a plain value in the record; empty if nothing is."""
    text = str(output.properties[keeping.VALUE])
    try:
        keeping.plain_value(text)
    except (ValueError, RecursionError):
        return "the value in the record cannot be read"
    if output.digest and digest_of_bytes(text.encode(errors="surrogatepass")).digest != output.digest:
        return "the value in the record is not the one whose digest was recorded"
    return ""


def _is_trusted(output: Output, directory: Path | None) -> bool:
    # Unpickling runs code, and whoever writes to the store chooses the place.
    path = local_path(output.uri)
    return directory is not None and path is not None and keeping.is_beneath(path, directory)
