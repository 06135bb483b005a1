"""What a step's functions import when they run, read from files instead of from memory.

A function that imports within its body may not have run yet, and importing for it could have effects that
its author put off on purpose. So these modules are only read: a name leads to the statements that bind it,
those to the names they use. The answer is the same before and after the import.
"""

import ast
import sys
import types
from collections.abc import Callable

from headwater.client.capture.names import absolute_name, chains_of, imports_within
from headwater.client.capture.parts import Part, Parts, quoted, tagged
from headwater.client.capture.project import is_installed, is_ours
from headwater.client.capture.source import Source, digest_of_text, function_node, source_of
from headwater.client.capture.syntax import canonical_syntax

Chain = tuple[str, ...]


class FileReader:
    """Finds parts in files. ``describe`` is asked for functions that no longer are what their file says."""

    def __init__(self, parts: Parts, describe: Callable[[types.FunctionType], str]) -> None:
        self._parts = parts
        self._describe = describe

    def reference(self, module_name: str, chain: Chain) -> str | None:
        """The text for a name of a module, or for the whole module if ``chain`` is empty.

        ``None`` for what is not the project's own, or has no such name.
        """
        filename = _project_file(module_name)
        source = source_of(filename) if filename else None
        if filename is None or source is None:
            return None
        package = module_name if filename.endswith("__init__.py") else module_name.rpartition(".")[0]
        if not chain:
            return self._refer(
                ("module", module_name),
                module_name,
                source,
                lambda part: self._fill_module(part, module_name, package, source),
            )
        name, rest = chain[0], chain[1:]
        if name not in source.bindings:
            return self._elsewhere(module_name, package, source, chain)
        stale = _stale_function(module_name, name, source)
        if stale is not None:
            return self._describe(stale)
        # What is asked of a name matters only where it is a module.
        imported = any(isinstance(item, ast.Import | ast.ImportFrom) for item in source.bindings[name])
        rest = rest if imported else ()
        return self._refer(
            ("name", module_name, name, rest),
            f"{module_name}.{name}",
            source,
            lambda part: self._fill_name(part, module_name, package, source, (name, *rest)),
        )

    def _refer(self, key: object, name: str, source: Source, fill: Callable[[Part], None]) -> str:
        return self._parts.refer(key, name, fill) or tagged("file", quoted(digest_of_text(source)))

    def _elsewhere(self, module_name: str, package: str, source: Source, chain: Chain) -> str | None:
        if package == module_name:
            found = self.reference(f"{module_name}.{chain[0]}", chain[1:])
            if found is not None:
                return found
        for statement in source.bindings.get("*", ()):
            origin = absolute_name(statement, package) if isinstance(statement, ast.ImportFrom) else None
            found = self.reference(origin, chain) if origin and origin != module_name else None
            if found is not None:
                return found
        return None

    def _fill_module(self, part: Part, module_name: str, package: str, source: Source) -> None:
        part.own = canonical_syntax(source.tree)
        for origin, chain in sorted(set(imports_within(source.tree, package))):
            self._add(part, origin, chain)

    def _fill_name(self, part: Part, module_name: str, package: str, source: Source, chain: Chain) -> None:
        name, rest = chain[0], chain[1:]
        written = []
        for statement in source.bindings[name]:
            if isinstance(statement, ast.ImportFrom):
                origin = absolute_name(statement, package)
                for alias in statement.names:
                    if origin and (alias.asname or alias.name) == name:
                        self._add(part, origin, (alias.name, *rest))
            elif isinstance(statement, ast.Import):
                for alias in statement.names:
                    if (alias.asname or alias.name.partition(".")[0]) == name:
                        self._add(part, alias.name if alias.asname else name, rest)
            else:
                written.append(canonical_syntax(statement))
                for used in chains_of(statement):
                    if used[0] != name and (used[0] in source.bindings or "*" in source.bindings):
                        self._add(part, module_name, used)
                for origin, used in sorted(set(imports_within(statement, package))):
                    self._add(part, origin, used)
        part.own = "\n".join(written)

    def _add(self, part: Part, module_name: str, chain: Chain) -> None:
        text = self.reference(module_name, chain)
        if text is not None:
            part.references.append((".".join(chain), text))


def _project_file(module_name: str) -> str | None:
    """The file of a module of the project, found without importing anything; ``None`` for other modules."""
    if not module_name or is_ours(module_name):
        return None
    loaded = sys.modules.get(module_name)
    filename = getattr(loaded, "__file__", None) if loaded is not None else _unloaded_file(module_name)
    if not isinstance(filename, str) or not filename.endswith(".py") or is_installed(filename):
        return None
    return filename


def _unloaded_file(module_name: str) -> str | None:
    path = None
    names = module_name.split(".")
    filename = None
    for count in range(1, len(names) + 1):
        name = ".".join(names[:count])
        # importlib.util.find_spec() would import the packages around.
        finders = (getattr(finder, "find_spec", None) for finder in sys.meta_path)
        specs = (find(name, path, None) for find in finders if find is not None)
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is None:
            return None
        filename, path = spec.origin, spec.submodule_search_locations
        if path is None and count < len(names):
            return None
    return filename


def _stale_function(module_name: str, name: str, source: Source) -> types.FunctionType | None:
    """The function that is loaded under this name, if its file was edited since."""
    loaded = sys.modules.get(module_name)
    function = vars(loaded).get(name) if loaded is not None else None
    if not isinstance(function, types.FunctionType) or function.__module__ != module_name:
        return None
    if function.__code__.co_filename != source.code.co_filename:
        return None
    return function if function_node(function.__code__, source) is None else None
