"""Small projects on the disk, imported as a user's would be."""

import importlib
import itertools
import os
import subprocess
import sys
import textwrap

import pytest

from headwater.client.capture.code import code_digest


class Project:
    """Writes files into a directory of their own each time, so that nothing is found in any cache."""

    def __init__(self, directory):
        self._directory = directory
        self._numbers = itertools.count()
        self.last = None

    def write(self, files):
        root = self._directory / f"checkout{next(self._numbers)}"
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text), encoding="utf-8")
        self.last = root
        return root

    def load(self, files, name="steps"):
        """The module ``name`` of a project that consists of ``files``."""
        root = self.write(files)
        tops = {path.partition("/")[0].removesuffix(".py") for path in files}
        for loaded in [loaded for loaded in sys.modules if loaded.partition(".")[0] in tops]:
            del sys.modules[loaded]
        sys.path.insert(0, str(root))
        importlib.invalidate_caches()
        try:
            return importlib.import_module(name)
        finally:
            sys.path.remove(str(root))

    def code(self, files, function="train"):
        if isinstance(files, str):
            files = {"steps.py": files}
        return code_digest(getattr(self.load(files), function))

    def digest(self, files, function="train"):
        return self.code(files, function).digest


@pytest.fixture
def project(tmp_path):
    before = set(sys.modules)
    is_quiet, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    yield Project(tmp_path)
    sys.dont_write_bytecode = is_quiet
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def python(tmp_path):
    """Runs a program in a fresh process and gives what it printed."""

    def run(program, *, cwd=tmp_path, **variables):
        environment = {**os.environ, **variables}
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program)],
            cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run
