from headwater.v1 import metadata_store_pb2 as _metadata_store_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PageToken(_message.Message):
    __slots__ = ("id_offset", "field_offset", "set_options", "listed_ids", "listing")
    ID_OFFSET_FIELD_NUMBER: _ClassVar[int]
    FIELD_OFFSET_FIELD_NUMBER: _ClassVar[int]
    SET_OPTIONS_FIELD_NUMBER: _ClassVar[int]
    LISTED_IDS_FIELD_NUMBER: _ClassVar[int]
    LISTING_FIELD_NUMBER: _ClassVar[int]
    id_offset: int
    field_offset: int
    set_options: _metadata_store_pb2.ListOperationOptions
    listed_ids: _containers.RepeatedScalarFieldContainer[int]
    listing: bytes
    def __init__(self, id_offset: _Optional[int] = ..., field_offset: _Optional[int] = ..., set_options: _Optional[_Union[_metadata_store_pb2.ListOperationOptions, _Mapping]] = ..., listed_ids: _Optional[_Iterable[int]] = ..., listing: _Optional[bytes] = ...) -> None: ...
