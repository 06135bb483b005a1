"""The RPCs of ``headwater.v1.Pipelines``: what is said before and after each step, and what is asked.

``proto/headwater/v1/pipelines.proto`` is the contract, ``docs/model.md`` says how it is stored.
"""
