"""What a run and a step say of themselves without being asked.

Code, repository, environment, hardware use, trigger and owner; on request a preview of a data set and the
manifest of a model. Each module answers one question, in bounded time, and never raises into the user's
program except where its docstring says so.
"""
