"""``headwater.v1.metadata_store_pb2`` under the name that programs import."""

from headwater.v1.metadata_store_pb2 import *  # noqa: F403  # every message and enum value, as generated
