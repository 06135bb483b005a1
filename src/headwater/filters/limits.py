"""How large a filter may be. Beyond a limit it is refused before it costs anything.

The depth is what SQLite bears before version 3.46, whose parser has room for 100 pending symbols; the
length of chains stays below SQLite's limit of 1,000 levels of an expression.
"""

MAX_TEXT_BYTES = 256 * 1024
MAX_PARENTHESES = 100
"""Open at one point of the text, those that change nothing included."""
MAX_DEPTH = 20
"""Levels of operators and functions inside each other; a chain of ANDs, or of ORs, is one level."""
MAX_CONDITIONS = 500
"""Parts between AND, OR, WHEN, THEN and ELSE."""
MAX_OPERANDS = 1_500
"""Names and literals; the members of an IN list of literals count as one."""
MAX_IN_MEMBERS = 10_000
MAX_NEIGHBOURS = 20
"""Different neighbour rows. Each joins up to three tables, and SQLite joins at most 64."""
MAX_SQL_PARTS = 10_000
"""Parts of the resulting SQL, where some functions repeat their arguments."""

CACHED_TEXTS = 1_024
MAX_CACHED_TEXT = 4 * 1024
CACHED_SHAPES = 512
