"""What is said after a step: outputs with their digests, the error, times that do not run backwards."""

import logging
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from headwater.client.capture.model_files import manifest
from headwater.client.capture.preview import preview
from headwater.client.content import (
    Content,
    Expected,
    canonical_uri,
    digest_of,
    digest_of_bytes,
    local_path,
    problem_with,
)
from headwater.client.recording import keeping
from headwater.client.recording.outputs import File, Output
from headwater.client.recording.places import memo
from headwater.client.values import to_value
from headwater.errors import HeadwaterError, InvalidRequest, NotFound
from headwater.v1 import pipelines_pb2 as pp

logger = logging.getLogger("headwater")

LONGEST_ERROR = 48 * 1024


class Stopwatch:
    """When something began and ended. The end is the beginning and what a monotonic clock measured."""

    def __init__(self) -> None:
        self.start_ms = time.time_ns() // 1_000_000
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._start

    @property
    def end_ms(self) -> int:
        """Now."""
        return self.start_ms + round(self.seconds * 1000)


def error_text(error: BaseException) -> str:
    """The traceback of an error, its middle left out if it is long."""
    try:
        text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    except Exception:  # An error may be of any make.
        text = f"{type(error).__module__}.{type(error).__qualname__}"
    text = text.encode(errors="replace").decode()
    if len(text) <= LONGEST_ERROR:
        return text
    half = LONGEST_ERROR // 2
    return f"{text[:half]}\n[...]\n{text[-half:]}"


@dataclass
class Made:
    """An output as the step's body declared it."""

    output: Output
    file: File | None = None
    """Where it is; ``None`` for a value."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    with_manifest: bool = False
    content: Content | None = None
    """What was there, once it was looked at."""
    preview: dict[str, Any] | None = None

    def message(self, storage_options: Mapping[str, Mapping[str, Any]] | None) -> pp.StepOutput:
        """What is recorded. Reads the content, and completes ``output``.

        Raises:
            InvalidRequest: there is nothing.
        """
        output = self.output
        message = pp.StepOutput(name=output.name, type=output.type, metrics=dict(self.metrics))
        for name, value in output.properties.items():
            message.custom_properties[name].CopyFrom(keeping.property_value(name, value))
        if self.file is not None:
            message.description = self.file.description
            self.look(storage_options)
            self._describe(message)
        if self.preview is not None:
            message.preview.CopyFrom(to_value(self.preview))
        message.uri, message.digest = output.uri, output.digest
        if self.content is not None and self.content.stamp:
            message.stamp = self.content.stamp
        if output.size_bytes is not None:
            message.size_bytes = output.size_bytes
        return message

    def look(self, storage_options: Mapping[str, Mapping[str, Any]] | None) -> None:
        """Read what is there, unless that was done.

        Raises:
            InvalidRequest: there is nothing.
        """
        if self.file is None:
            return
        output, file = self.output, self.file
        output.uri = canonical_uri(file.place)
        options = file.options_for(output.uri, storage_options)
        if file.version is not None:
            return
        if file.digest is not None:
            scheme = output.uri.partition(":")[0]
            there = problem_with(
                Expected(output.uri, None, None),
                allowed=[scheme],
                storage_options=None if options is None else {scheme: options},
            )
            if there is not None and there.reason == "missing":
                raise _nothing_at(output)
            output.digest = file.digest
            return
        if self.content is None:
            try:
                self.content = digest_of(file.place, memo=memo(), storage_options=options)
            except NotFound as error:
                raise _nothing_at(output) from error
            except HeadwaterError as error:
                logger.warning("output %r cannot be read, so its step is not reused: %s", output.name, error)
                return
        output.digest, output.size_bytes = self.content.digest, self.content.size_bytes

    def _describe(self, message: pp.StepOutput) -> None:
        """Add a preview and a manifest, where they are wanted and can be had."""
        assert self.file is not None
        path = local_path(self.file.place)
        if self.file.preview and path is not None:
            self.preview = _preview(path, self.file.redact)
        if self.with_manifest and path is not None:
            listed = manifest(path)
            message.manifest.CopyFrom(
                to_value({"files": [dict(one) for one in listed.files], "left_out": listed.left_out})
            )


def _nothing_at(output: Output) -> InvalidRequest:
    return InvalidRequest(
        f"output {output.name!r} is not there: nothing is at {output.uri}; write it before the "
        "step ends, or do not declare it"
    )


def _preview(of: object, redact: Sequence[str]) -> dict[str, Any] | None:
    return preview(of, redact=redact)


def made_of_file(name: str, file: File, *, type_: str, with_manifest: bool = False) -> Made:
    """An output that lies somewhere."""
    output = Output(name, type=type_, uri=canonical_uri(file.place), properties=dict(file.properties))
    return Made(output, file, metrics=dict(file.metrics), with_manifest=with_manifest)


def made_of_value(
    name: str,
    value: object,
    *,
    type_: str,
    properties: Mapping[str, Any],
    preview: bool = False,
    redact: Sequence[str] = (),
) -> Made:
    """An output that is a value: kept in the record if it is plain, otherwise only in memory."""
    text = keeping.plain_text(value)
    if text is None:
        noted = {keeping.PYTHON_CLASS: keeping.class_name(value), **properties}
        output = Output(name, type=type_ or "Value", properties=noted)
    else:
        content = digest_of_bytes(text.encode())
        output = Output(
            name,
            type=type_ or "Value",
            digest=content.digest,
            size_bytes=content.size_bytes,
            properties={**properties, keeping.VALUE: text},
        )
    output._set_value(value)
    made = Made(output)
    if preview:
        made.preview = _preview(value, redact)
    return made
