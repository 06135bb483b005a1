"""headwater for Kedro: every run is recorded, and nodes that are proven done are skipped.

The hooks are found by Kedro itself. ``CachedRunner`` and its thread and parallel forms skip; other runners
only record.
"""

import logging
from typing import Any

__all__ = ["CachedParallelRunner", "CachedRunner", "CachedThreadRunner"]


class _Plain(logging.Filter):
    """Brackets in a message are brackets: Kedro's log would take them for markup."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.markup = False
        return True


for _name in ("headwater", "headwater_kedro"):
    logging.getLogger(_name).addFilter(_Plain())


def __getattr__(name: str) -> Any:
    # Kedro imports this package for its hooks at every start, also where nothing is run.
    if name not in __all__:
        raise AttributeError(f"module 'headwater_kedro' has no attribute {name!r}")
    from headwater_kedro import runners

    return getattr(runners, name)
