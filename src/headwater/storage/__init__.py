"""The graph in a relational database: tables, dialects, and reading and writing rows.

Functions here take a ``Transaction`` first and never commit: ``Database.read`` and
``Database.write`` own the transaction.
"""
