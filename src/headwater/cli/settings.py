"""Settings: one name in three spellings, ``--slow-request-ms``, ``HEADWATER_SLOW_REQUEST_MS`` and
``slow_request_ms`` in a TOML file. Flags win over environment over file.
"""

import difflib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found,unused-ignore]  # absent where it is not needed

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

CONFIG = "config"


class Setting(click.Option):
    """An option that may also come from the environment or the settings file, and is blamed there."""

    def process_value(self, ctx: click.Context, value: Any) -> Any:
        try:
            return super().process_value(ctx, value)
        except click.MissingParameter:
            raise
        except click.BadParameter as error:
            message, hint = error.message, error.param_hint
            source = ctx.get_parameter_source(str(self.name))
            if source is ParameterSource.ENVIRONMENT:
                hint = str(self.envvar)
                if str(value).startswith("tcp://"):
                    message += (
                        " Kubernetes sets this variable for a service of that name: set enableServiceLinks "
                        f"to false in the pod, or give {self.opts[0]}."
                    )
            elif source is ParameterSource.DEFAULT_MAP:
                hint = f"{self.name} in {ctx.params.get(CONFIG)}"
            raise click.BadParameter(message, ctx=ctx, param=self, param_hint=hint) from error


def setting(flag: str, **options: Any) -> Callable[[Decorated], Decorated]:
    """A ``click.option`` with the three spellings of ``flag``."""
    envvar = "HEADWATER_" + flag.removeprefix("--").replace("-", "_").upper()
    return click.option(
        flag,
        cls=Setting,
        envvar=envvar,
        show_envvar=True,
        show_default=options.get("default") is not None,
        **options,
    )


def config_option(command: Decorated) -> Decorated:
    """The option ``--config``: settings that neither a flag nor the environment gives come from there."""
    return click.option(
        "--config",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        envvar="HEADWATER_CONFIG",
        show_envvar=True,
        is_eager=True,
        callback=_read_config,
        help="Settings file in TOML: each setting under its name with underscores.",
    )(command)


def _read_config(ctx: click.Context, _: click.Parameter, path: Path | None) -> Path | None:
    if path is not None:
        ctx.default_map = read_settings(path, known=setting_names(ctx.find_root().command))
    return path


def read_settings(path: Path, *, known: Mapping[str, str]) -> dict[str, str]:
    """The settings in a file, as text, the way a flag or the environment would give them.

    Raises:
        click.UsageError: not TOML, a name that is not in ``known``, or a value that is no text or number.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise click.UsageError(f"cannot read the settings file {str(path)!r}: {error}") from error
    for name, value in content.items():
        if name not in known:
            similar = difflib.get_close_matches(name, known, n=1)
            advice = f"did you mean {similar[0]!r}?" if similar else f"known are {', '.join(sorted(known))}"
            raise click.UsageError(f"unknown setting {name!r} in {str(path)!r}; {advice}")
        if not isinstance(value, str | int | float):
            raise click.UsageError(
                f"the setting {name!r} in {str(path)!r} must be a text, a number or true/false"
            )
    return {name: str(value) for name, value in content.items()}


def setting_names(command: click.Command) -> dict[str, str]:
    """Name in the settings file to the flag, for every setting of a command and those below it."""
    names = {str(option.name): option.opts[0] for option in command.params if isinstance(option, Setting)}
    if isinstance(command, click.Group):
        for part in command.commands.values():
            names |= setting_names(part)
    return names
