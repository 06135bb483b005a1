"""Whose code it is: the project's, which a step's digest follows, or what was installed, known by name."""

import functools
import importlib.metadata
import os
import site
import sys
import sysconfig
import types
from pathlib import Path, PurePath
from typing import Any

_PROJECT_MARKS = (".git", ".hg", "pyproject.toml", "setup.py", "setup.cfg")
_INSTALLED_PARTS = {"site-packages", "dist-packages"}


class Project:
    """The project that one step belongs to."""

    def __init__(self, step: Any, module_name: str) -> None:
        """``step`` is the function or class itself, without wrappers; ``module_name`` where it says it is."""
        self._own_packages: set[str] = set()
        self._root: Path | None = None
        filename = getattr(sys.modules.get(module_name), "__file__", None)
        code = getattr(step, "__code__", None)
        if isinstance(code, types.CodeType) and not code.co_filename.startswith("<"):
            filename = code.co_filename
        if filename is None:
            return
        self._root = project_root(filename, module_name)
        if is_installed(filename) and not is_ours(module_name):
            top = module_name.partition(".")[0]
            # Installed, but from a directory or a repository and not from an index: the project itself,
            # as containers have it. Its version says little.
            if top not in sys.stdlib_module_names and _is_from_source(top):
                self._own_packages.add(top)

    def has_module(self, module: types.ModuleType) -> bool:
        return self._is_own(module.__name__) or is_project_namespace(vars(module))

    def has_function(self, function: types.FunctionType) -> bool:
        filename = function.__code__.co_filename
        namespace = function.__globals__
        if self._is_own(namespace.get("__name__")):
            return True
        if not filename.startswith("<") and is_installed(filename):
            return False
        return is_project_namespace(namespace)

    def has_class(self, cls: type) -> bool:
        if self._is_own(cls.__module__):
            return True
        module = sys.modules.get(cls.__module__)
        if module is None:
            return not is_ours(str(cls.__module__))
        return self.has_module(module)

    def portable(self, text: str) -> str:
        """``text`` without the place of this checkout, if it is a path within it."""
        root = str(self._root) if self._root is not None else ""
        if len(root) > 1 and (text == root or text.startswith((root + os.sep, root + "/"))):
            return "{project}" + text[len(root) :].replace(os.sep, "/")
        return text

    def _is_own(self, module_name: object) -> bool:
        return isinstance(module_name, str) and module_name.partition(".")[0] in self._own_packages


@functools.lru_cache(maxsize=1)
def _installed_directories() -> tuple[str, ...]:
    found = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    found += site.getsitepackages() if hasattr(site, "getsitepackages") else []
    return tuple(os.path.normcase(os.path.abspath(path)) + os.sep for path in found if path)  # noqa: PTH100


@functools.lru_cache(maxsize=4096)
def is_installed(filename: str) -> bool:
    """Whether a file came with Python or with a distribution, rather than with the project."""
    if filename.startswith("<frozen"):
        return True
    if not _INSTALLED_PARTS.isdisjoint(PurePath(filename).parts):
        return True
    return os.path.normcase(os.path.abspath(filename)).startswith(_installed_directories())  # noqa: PTH100


def is_ours(module_name: str) -> bool:
    """Whether a module is headwater's own, which is no part of anybody's step."""
    return module_name.partition(".")[0] == "headwater"


def is_project_namespace(namespace: dict[str, object]) -> bool:
    """Whether the module with these names is the project's. One without a file is, such as a notebook."""
    name, filename = namespace.get("__name__"), namespace.get("__file__")
    if name in ("__main__", "__mp_main__"):
        return True
    if isinstance(name, str) and (is_ours(name) or name in sys.builtin_module_names):
        return False
    if isinstance(filename, str):
        return not is_installed(filename)
    if getattr(namespace.get("__spec__"), "origin", None) in ("frozen", "built-in"):
        return False
    paths = namespace.get("__path__")
    # A package without a file has at least directories.
    return not any(is_installed(str(path)) for path in paths) if paths else True  # type: ignore[attr-defined]


@functools.lru_cache(maxsize=1024)
def project_root(filename: str, module_name: str) -> Path:
    """The directory that a checkout of the project has as its root, as far as files tell."""
    depth = 0 if module_name in ("__main__", "__mp_main__") else module_name.count(".")
    depth += filename.endswith("__init__.py")
    above = Path(filename).absolute().parents
    start = above[min(depth, len(above) - 1)]
    for directory in (start, *start.parents):
        if any((directory / mark).exists() for mark in _PROJECT_MARKS):
            return directory
    return start


@functools.lru_cache(maxsize=256)
def version_of(module_name: str) -> str:
    """``name==version`` of what a module came with; ``python==3.12`` for the standard library."""
    top = module_name.partition(".")[0]
    if top in sys.stdlib_module_names or top in sys.builtin_module_names:
        return f"python=={sys.version_info[0]}.{sys.version_info[1]}"
    try:
        return f"{top}=={importlib.metadata.version(top)}"
    except importlib.metadata.PackageNotFoundError:
        pass
    # Slow, because it reads the lists of files of all distributions.
    names = sorted(importlib.metadata.packages_distributions().get(top, ()))
    return ",".join(f"{name}=={importlib.metadata.version(name)}" for name in names) or f"{top}==unknown"


def _is_from_source(top: str) -> bool:
    """Whether a package was installed from a directory or a repository (PEP 610)."""
    names = [top, *importlib.metadata.packages_distributions().get(top, ())]
    for name in names:
        try:
            if importlib.metadata.distribution(name).read_text("direct_url.json"):
                return True
        except importlib.metadata.PackageNotFoundError:
            continue
    return False
