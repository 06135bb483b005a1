"""The digest of a step's own code: the function, and what it uses of the project.

An edit of a helper has to run the steps that use it again, and no others. So the digest covers the function's
syntax and, from there, every function, class and constant of the project that is reached by name: in other
modules, through attributes (``helpers.clean``), closures, defaults, decorators, ``functools.partial`` and
objects that are called. Comments, layout, documentation strings and annotations without effect do not count
(``capture/syntax.py`` says which).

What it does not cover:

- installed packages, which count by name. Their versions are the environment's (``capture/environment.py``).
  A step that *is* an installed function counts with its version;
- names that are only known when the code runs: ``getattr(module, name)`` counts the whole module, and
  ``globals()[name]``, ``importlib.import_module(name)`` and plugins count nothing;
- files that the code reads;
- what a memo, a counter or a client made at first use holds: a module variable counts by the statement that
  makes it, and not by its value, if one function among those that are covered both reads and changes it, or
  if all that use it only change it. A variable that somebody else changes (``configure(rate)``) counts by its
  value;
- the content of a ``File`` that a function closes over or that stands in its module: it counts by its name,
  because it may be where the step writes. Give it as an argument of the step, and its content counts. An
  ``Output`` counts by its digest, or by the step that made it.

Headwater's own decorators do not count: what they say has components of its own in the fingerprint.

Functions without readable source (made by ``exec``, or whose file was edited since it was imported, or which
an import hook rewrites as pytest does with ``assert``) count by their bytecode, which holds only for one
minor version of Python. Objects without a canonical form (tables, models, open connections) count by their
class and by the statement that makes them if they are variables of a module; those that a function closes
over or is bound to, and containers of very many items, by their pickle. Of what cannot be pickled, or is too
large, nobody knows whether it changed: the code has a digest that no other has, and ``doubts`` say so.
"""

import ast
import inspect
import secrets
import textwrap
import types
from dataclasses import dataclass
from typing import Any

from headwater.client.capture.definitions import describe_step, innermost
from headwater.client.capture.parts import Parts
from headwater.client.capture.source import class_nodes, function_node, source_of

#: Characters of source that are kept at most.
MAX_SOURCE = 64 * 1024


@dataclass(frozen=True)
class CodeDigest:
    """What code a step is."""

    digest: str
    """``sha256:`` and 64 hexadecimal digits; the same in every process and checkout."""
    source: str | None
    """The text of the step alone, at most ``MAX_SOURCE`` characters; ``None`` if there is none to read."""
    parts: tuple[str, ...]
    """``module.name=digest`` of all that was covered, sorted: compare two to see which part differs."""
    doubts: tuple[str, ...] = ()
    """What it holds that could not be looked at, a sentence each. The digest is no other's then."""


def code_digest(function: Any) -> CodeDigest:
    """The digest of ``function`` (anything that can be called) and of all project code that it uses.

    Never raises. Code that cannot be read for a reason of its own gets a digest that no other has: an
    unknown step may be computed once too often, and never too seldom.
    """
    reason = ""
    for _ in range(2):  # Another thread may have changed a dictionary while it was read.
        try:
            parts = Parts()
            root = describe_step(function, parts)
            parts.complete()
            doubts = tuple(dict.fromkeys(parts.doubts))
            return CodeDigest(parts.digest(root), source_text(function), parts.names(), doubts)
        except Exception as error:  # User code is behind every attribute that is asked for.
            reason = type(error).__name__
    doubt = f"its code cannot be read ({reason})"
    return CodeDigest(f"sha256:{secrets.token_hex(32)}", None, (f"(unreadable: {reason})",), (doubt,))


def source_text(function: Any) -> str | None:
    """The text of the function, or of the class of an object that is called; ``None`` if there is none."""
    try:
        target = innermost(function)
        if isinstance(target, types.FunctionType):
            text = _function_source(target)
        else:
            text = _class_source(target if isinstance(target, type) else type(target))
    except Exception:  # As above.
        return None
    return text[:MAX_SOURCE] if text else None


def _function_source(function: types.FunctionType) -> str | None:
    source = source_of(function.__code__.co_filename, function.__globals__)
    node = function_node(function.__code__, source) if source else None
    return textwrap.dedent(source.segment(node)) if source and node else None


def _class_source(cls: type) -> str | None:
    filename = inspect.getsourcefile(cls)
    source = source_of(filename) if filename else None
    nodes: list[ast.ClassDef] = class_nodes(cls, source) if source else []
    return textwrap.dedent(source.segment(nodes[-1])) if source and nodes else None
