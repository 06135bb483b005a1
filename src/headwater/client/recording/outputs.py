"""What steps use and make: ``File``, by which an author names a place, and ``Output``, what came out."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import InitVar, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headwater.client.content import canonical_uri, local_path
from headwater.client.content.uris import without_secrets
from headwater.client.recording import keeping
from headwater.client.values import from_value
from headwater.errors import FailedPrecondition, InvalidRequest
from headwater.v1 import pipelines_pb2 as pp

if TYPE_CHECKING:
    from headwater.client.connected import Connected


@dataclass(frozen=True, repr=False)
class File(os.PathLike[str]):
    """A file or directory of this machine, or an object elsewhere, that a step reads or made.

    As an argument of a step it is an input, returned by a step an output. It can be used like a path.
    """

    place: "str | os.PathLike[str]"
    """A path, or a URI such as ``s3://bucket/key``."""
    type: str = ""
    """Type of the artifact; ``Dataset`` where it is empty."""
    version: str | None = None
    """What stands for the content in the fingerprint, instead of a digest: the version of a table, say.

    The content is not read then. An output that has one is recorded without looking whether it is there,
    and is not reused.
    """
    digest: str | None = None
    """The digest of the content where it is known already; the content is not read then."""
    description: str = ""
    properties: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Custom properties of an output, or of an input that nobody recorded before."""
    preview: bool = False
    """Record columns, types, row count and first rows of a data set that is an output."""
    redact: Sequence[str] = ()
    """Columns that are left out of the preview."""
    metrics: Mapping[str, float] = field(default_factory=dict, hash=False)
    """Results of an evaluation, for an output that holds them."""
    # No field: it may hold credentials, and is no part of what the file is.
    storage_options: InitVar[Mapping[str, Any] | None] = None
    """For fsspec, where the content is elsewhere; instead of what the run has for its scheme."""

    def __post_init__(self, storage_options: Mapping[str, Any] | None) -> None:
        object.__setattr__(self, "storage_options", storage_options)

    def options_for(
        self, uri: str, of_run: Mapping[str, Mapping[str, Any]] | None
    ) -> Mapping[str, Any] | None:
        """How its content at ``uri``, its place, is read with fsspec."""
        own: Mapping[str, Any] | None = vars(self)["storage_options"]
        return (of_run or {}).get(uri.partition(":")[0]) if own is None else own

    def __fspath__(self) -> str:
        return _local(self.place)

    @property
    def path(self) -> Path:
        """Where it is on this machine.

        Raises:
            FailedPrecondition: it is elsewhere.
        """
        return Path(_local(self.place))

    def __repr__(self) -> str:
        """Without credentials, so that it can be logged."""
        given = ((field, getattr(self, field.name)) for field in fields(self)[1:])
        others = [
            f", {field.name}={value!r}"
            for field, value in given
            if value not in (field.default, {}, None) and value != ()
        ]
        return f"File({_public(self.place)!r}{''.join(others)})"


def _public(place: "str | os.PathLike[str]") -> str:
    """A place for people's eyes, as it was written but without credentials."""
    text = os.fspath(place)
    if not isinstance(place, str) or "://" not in text:
        return text
    try:
        return canonical_uri(text)
    except InvalidRequest:
        return without_secrets(text)


def _local(place: "str | os.PathLike[str]") -> str:
    found = local_path(place)
    if found is None:
        raise FailedPrecondition(f"{_public(place)} is not on this machine; open it by its uri, with fsspec")
    return str(found)


class Output(os.PathLike[str]):
    """What a step made, or would have made: a file, a plain value, or an object in memory.

    A step that is given one has it as an input. Files can be used like paths; of the others ``value`` is
    the content. It can be pickled, without an object in memory.
    """

    def __init__(
        self,
        name: str,
        *,
        type: str = "",  # noqa: A002  # the field's word
        uri: str = "",
        digest: str = "",
        size_bytes: int | None = None,
        artifact_id: int | None = None,
        properties: Mapping[str, Any] | None = None,
        made_by: str = "",
        store: "Connected | None" = None,
    ) -> None:
        self.name = name
        self.type = type or "Dataset"
        self.uri = uri
        """Canonical; empty for what is not in a file."""
        self.digest = digest
        self.size_bytes = size_bytes
        self.artifact_id = artifact_id
        """``None`` until the store knows the artifact."""
        self.properties = dict(properties or {})
        self.made_by = made_by
        """What stands for it in the fingerprint of who reads it, while it has no digest."""
        self.found_by = made_by
        """What a store that has yet to be told of it will know it by, while it is only in memory."""
        self._store = store
        self._compute: Callable[[], Any] | None = None
        self._has_value = False
        self._value: Any = None

    @classmethod
    def of_message(cls, message: pp.StepOutput, *, made_by: str, store: "Connected | None") -> "Output":
        """The output that a store told of."""
        return cls(
            message.name,
            type=message.type,
            uri=message.uri,
            digest=message.digest,
            size_bytes=message.size_bytes if message.HasField("size_bytes") else None,
            artifact_id=message.artifact_id or None,
            properties={name: from_value(value) for name, value in message.custom_properties.items()},
            made_by=made_by,
            store=store,
        )

    @property
    def text_in_code(self) -> str:
        """What stands for it in the digest of code that holds it; empty if nothing tells what it is."""
        known = self.digest or self.made_by
        return f"{known} {self.uri}" if known else ""

    @property
    def is_file(self) -> bool:
        """Whether it lies somewhere, and is not only a value."""
        return bool(self.uri)

    @property
    def path(self) -> Path:
        """Where the file is on this machine.

        Raises:
            FailedPrecondition: it is elsewhere, or no file.
        """
        return Path(self.__fspath__())

    def __fspath__(self) -> str:
        if not self.uri:
            raise FailedPrecondition(f"output {self.name!r} is a value and not a file; take its value")
        return _local(self.uri)

    @property
    def value(self) -> Any:
        """The value or object. That of a lazy step is computed when it is asked for first.

        Raises:
            FailedPrecondition: it is a file, or an object that was in the memory of another process.
        """
        if not self._has_value:
            self._set_value(self._load())
        return self._value

    def _load(self) -> Any:
        if self._compute is not None:
            return self._compute()
        if self.holds_plain_value:
            return keeping.plain_value(self.properties[keeping.VALUE])
        if self.uri:
            raise FailedPrecondition(f"output {self.name!r} is the file {self.uri}; open it by its path")
        raise FailedPrecondition(
            f"output {self.name!r} was an object in the memory of another process; give the step "
            "persist=True, or lazy=True to have it computed again"
        )

    def _set_value(self, value: Any) -> None:
        self._value, self._has_value, self._compute = value, True, None

    @property
    def holds_plain_value(self) -> bool:
        """Whether the record has the value itself."""
        return not self.uri and keeping.VALUE in self.properties

    @property
    def is_pickled(self) -> bool:
        """Whether it is an object that was kept in a file."""
        return bool(self.uri) and self.properties.get(keeping.FORMAT) == keeping.PICKLE

    @property
    def has_value(self) -> bool:
        """Whether ``value`` needs no computing: it is in memory, or in the record."""
        return self._has_value or self.holds_plain_value

    def artifact(self) -> Any:
        """The artifact as the store has it, from which lineage can be walked.

        Raises:
            FailedPrecondition: the store does not know it yet, or this handle came from another process.
        """
        if self._store is None:
            raise FailedPrecondition(
                f"output {self.name!r} came from another process; ask a store of this one: "
                f"store.artifact({self.artifact_id})"
            )
        if self.artifact_id is None:
            raise FailedPrecondition(
                f"the store does not know output {self.name!r} yet: its step is not finished, "
                "or the store is away"
            )
        store: Any = self._store
        return store.artifact(self.artifact_id)

    def __getstate__(self) -> dict[str, Any]:
        state = dict(vars(self))
        state.update(_store=None, _compute=None)
        if self.is_file or self.holds_plain_value or self._has_value:
            state.update(_has_value=False, _value=None)
        return state

    def __repr__(self) -> str:
        return f"Output({self.name!r}, type={self.type!r}, uri={self.uri!r}, digest={self.digest!r})"


def check_declared_type(name: str, type_: str, declared: Mapping[str, str]) -> str:
    """The type of an output: as given, or as declared.

    Raises:
        InvalidRequest: both, and they differ.
    """
    wanted = declared.get(name, "")
    if type_ and wanted and type_ != wanted:
        raise InvalidRequest(f"output {name!r} is declared as {wanted!r} and given as {type_!r}")
    return type_ or wanted
