"""headwater: an ML lineage store that speaks ML Metadata's wire and opens its databases.

>>> import headwater
>>> store = headwater.connect("sqlite://")
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headwater.client import File, Store, current_run, current_step, step

__version__ = "0.1.0"
__all__ = ["File", "__version__", "connect", "current_run", "current_step", "step"]

_RECORDING = frozenset({"File", "current_run", "current_step", "step"})


def __getattr__(name: str) -> Any:
    # Loaded when they are asked for: they bring gRPC along, which ``headwater --help`` does without.
    if name not in _RECORDING:
        raise AttributeError(f"module 'headwater' has no attribute {name!r}")
    import headwater.client

    return getattr(headwater.client, name)


def connect(target: str, *, lazy: bool = False, **options: Any) -> "Store":
    """The store behind ``target``: a server's ``host:port``, or the URL of a database to open in process.

    A server is reached when it is first asked. So is a database with ``lazy``: then one that is away keeps no
    run from being recorded, and questions raise ``Unavailable``. ``options`` go to
    ``headwater.client.GrpcTransport`` (timeouts, TLS) or to ``headwater.embedded.open_transport``
    (``create``). Close the store, or use it in a ``with`` statement.

    Raises:
        InvalidRequest: ``target`` is neither.
        DatabaseRefused: the database cannot be served as it is.
        Unavailable: the database is away.
    """
    # Imported when asked for: an SDK user without a local store loads no SQLAlchemy.
    from headwater.client import Store

    if "://" in target:
        from headwater.embedded import LazyTransport, open_transport

        return Store(LazyTransport(target, **options) if lazy else open_transport(target, **options))
    from headwater.client.channel import GrpcTransport

    return Store(GrpcTransport(target, **options))
