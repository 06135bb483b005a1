"""A stand-in for the ``ml_metadata`` package, in pure Python.

A program that says ``import ml_metadata as mlmd`` says ``from headwater import mlmd`` instead, and
``headwater.mlmd.proto`` for ``ml_metadata.proto``; the rest of it stays. The interface is that of
ml-metadata 1.17.1: names, arguments, results, errors, retries. Messages must be those of
``headwater.mlmd.proto``; with the original package in the same process the two do not mix.
"""

from headwater.mlmd import errors, proto
from headwater.mlmd.metadata_store import ListOptions, MetadataStore, OrderByField, downgrade_schema
from headwater.mlmd.metadata_store.metadata_store import ExtraOptions
from headwater.mlmd.version import __version__

__all__ = [
    "ExtraOptions",
    "ListOptions",
    "MetadataStore",
    "OrderByField",
    "__version__",
    "downgrade_schema",
    "errors",
    "proto",
]
