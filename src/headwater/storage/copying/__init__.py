"""Moving a store from one database to another, of the same kind or not, with its ids.

``copy`` does it and compares both sides. What a row is on its way from one database to the other is in
``rows``, the two databases are in ``ends``, the order of things in ``running``.
"""

from headwater.storage.copying.rows import Difference, Problem
from headwater.storage.copying.running import Copied, Progress, copy

__all__ = ["Copied", "Difference", "Problem", "Progress", "copy"]
