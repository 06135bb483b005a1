"""Bringing databases of older schema versions to the newest, and to what ML Metadata's own lack.

``plan`` says what would be done, ``upgrade`` does it. What each version brought is in ``steps``; how a
database is changed is in ``sqlite``, ``postgresql`` and ``mysql``; what is refused is in ``layout``.
Nothing here serves requests: an upgrade has the database to itself.
"""

from headwater.storage.upgrading.changes import Progress, Statement, Step
from headwater.storage.upgrading.running import plan, upgrade

__all__ = ["Progress", "Statement", "Step", "plan", "upgrade"]
