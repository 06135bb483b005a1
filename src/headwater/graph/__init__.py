"""Questions about the graph of artifacts and executions: walks, paths, impact, comparison.

Each is asked of storage within a bound on memory, whatever the graph is like: ids are remembered a bit each
(``idsets``), events are read some at a time (``events``), and what is left out is said (``Cut`` in
lineage.proto). ``headwater.lineage`` answers ML Metadata's own question, which has bounds of its own.
"""
