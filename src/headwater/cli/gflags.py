"""Command lines in the spelling of gflags, which ML Metadata's binaries are called with.

``--name=value``, ``--name value``, ``-name=value``; booleans also ``--name`` and ``--noname``; a dash for any
underscore; the last of several wins. Each becomes the one spelling that click reads, ``--name=value``. The
options of gflags itself that bring in more flags work too: ``--flagfile``, ``--fromenv``, ``--tryfromenv``,
``--undefok``. https://gflags.github.io/gflags/

A value is never repeated in a message: it may be a password.
"""

import difflib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NoReturn

import click

BRINGING = {
    "flagfile": "Files with more flags, one a line; empty lines and those that begin with # are passed over.",
    "fromenv": "Names of flags whose values the environment has, as FLAGS_NAME: keeps passwords out of ps.",
    "tryfromenv": "The same, and no error for those that the environment does not have.",
    "undefok": "Names of flags that may be unknown here, and are then passed over.",
}
"""The options of gflags itself, each a list with commas, and their help."""

# The flags of the logger in ML Metadata's binaries; whether they take no value.
_LOGGERS = {
    "alsologtostderr": True,
    "colorlogtostderr": True,
    "log_dir": False,
    "log_prefix": True,
    "logbuflevel": False,
    "logbufsecs": False,
    "logtostderr": True,
    "max_log_size": False,
    "minloglevel": False,
    "stderrthreshold": False,
    "v": False,
    "vmodule": False,
}

_UNFILLED = re.compile(r"\$\([A-Za-z_][\w.-]*\)")


class GflagsCommand(click.Command):
    """A command whose options may be given in the spellings of gflags.

    Boolean options must be of ``type=bool`` and take a value; options with ``hide_input`` are secret.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        known = {
            _folded(option.opts[0].lstrip("-")): option
            for option in self.params
            if isinstance(option, click.Option)
        }
        return super().parse_args(ctx, list(_Reading(known, ctx).spelled_out(args)))


class _Reading:
    """One command line being read; what was let be unknown holds for all of it."""

    def __init__(self, known: dict[str, click.Option], ctx: click.Context) -> None:
        self._known = known
        self._ctx = ctx
        self._may_be_unknown: set[str] = set()
        self._files: list[Path] = []

    def spelled_out(self, args: list[str]) -> Iterator[str]:
        """Each argument as ``--name=value``, in order. ``--help`` stays as it is."""
        # gflags lets undefok stand behind the flags that it excuses.
        for arg in args:
            name, equals, value = _split(arg)
            if name == "undefok" and equals:
                self._may_be_unknown |= {_folded(unknown) for unknown in _listed(value)}
        rest = list(args)
        while rest:
            arg = rest.pop(0)
            if arg in ("-h", "-help", "--help"):
                yield "--help"
                continue
            if not arg.startswith("-") or arg in ("-", "--"):
                self._fail(
                    "an argument stands by itself and belongs to no flag (it is not repeated here, since it "
                    "may be part of a password): quote values with blanks, and write booleans as --flag=false"
                )
            yield from self._flag(arg, rest)

    def _flag(self, arg: str, rest: list[str]) -> Iterator[str]:
        name, equals, value = _split(arg)
        negated = name.removeprefix("no") if name.startswith("no") else ""
        if not self._is_known(name):
            if not equals and self._is_boolean(negated):
                if negated in self._known:
                    yield f"{self._known[negated].opts[0]}=false"
                return
            if {name, negated} & self._may_be_unknown:
                return
            self._fail(self._unknown(arg, name))
        if not equals:
            if self._is_boolean(name):
                value = "true"
            elif not rest or self._is_flag(rest[0]):
                self._fail(f"the flag --{name} has no value; for an empty one write --{name}=")
            else:
                value = rest.pop(0)
        if name in BRINGING:
            yield from self._brought(name, value)
        elif name in self._known:
            option = self._known[name]
            if not option.hide_input and _UNFILLED.fullmatch(value):
                self._fail(
                    f"the flag --{name} has the value {value!r}: that is a variable that Kubernetes did not "
                    "fill in; define it in the container's env"
                )
            yield f"{option.opts[0]}={value}"

    def _brought(self, name: str, value: str) -> Iterator[str]:
        if name == "flagfile":
            for file in _listed(value):
                yield from self._in_file(Path(file))
        elif name in ("fromenv", "tryfromenv"):
            for flag in _listed(value):
                variable = f"FLAGS_{flag}"
                if variable in os.environ:
                    yield from self._flag(f"--{flag}={os.environ[variable]}", [])
                elif name == "fromenv":
                    self._fail(f"--fromenv={flag}: the environment has no {variable}")

    def _in_file(self, file: Path) -> Iterator[str]:
        if file in self._files:
            self._fail(f"the flag file {str(file)!r} brings in itself")
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            self._fail(f"cannot read the flag file {str(file)!r}: {reason}")
        self._files.append(file)
        for number, line in enumerate(map(str.strip, lines), 1):
            if line and not line.startswith("#"):
                if not line.startswith("-"):
                    self._fail(
                        f"line {number} of the flag file {str(file)!r} is no flag: it begins without -"
                    )
                yield from self._flag(line, [])
        self._files.pop()

    def _is_known(self, name: str) -> bool:
        return name in self._known or name in _LOGGERS or name in BRINGING

    def _is_boolean(self, name: str) -> bool:
        if name in self._known:
            return isinstance(self._known[name].type, click.types.BoolParamType)
        return _LOGGERS.get(name, False)

    def _is_flag(self, arg: str) -> bool:
        """Whether an argument is a flag, not a value that begins with a dash, as a password may."""
        name, _, _ = _split(arg)
        return arg.startswith("-") and (
            self._is_known(name) or self._is_boolean(name.removeprefix("no")) or name in self._may_be_unknown
        )

    def _unknown(self, arg: str, name: str) -> str:
        if self._is_boolean(name.removeprefix("no")):
            return f"the flag --{name} takes no value; write --{name} or --{name.removeprefix('no')}=false"
        names: Iterable[str] = [*(option.opts[0][2:] for option in self._known.values()), *BRINGING]
        near = difflib.get_close_matches(name, map(_folded, names), n=1)
        advice = f"did you mean --{near[0]}?" if near else "--help lists the flags"
        return f"unknown flag --{name}; {advice}"

    def _fail(self, message: str) -> NoReturn:
        raise click.UsageError(message, ctx=self._ctx)


def _split(arg: str) -> tuple[str, str, str]:
    """Name, ``=`` if there is one, and value of an argument with one or two dashes."""
    name, equals, value = arg.removeprefix("-").removeprefix("-").partition("=")
    return _folded(name), equals, value


def _folded(name: str) -> str:
    return name.replace("-", "_")


def _listed(value: str) -> list[str]:
    return [part for part in value.split(",") if part]
