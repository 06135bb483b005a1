"""What the options of ``headwater run`` and ``cache`` are read as: conditions, fields, columns, ages.

Each function is the ``callback`` of a click option; what cannot be read is wrong usage. Conditions and fields
are those of ``headwater.client.conditions``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from headwater.cli.run_columns import FIXED, heading
from headwater.errors import InvalidRequest

if TYPE_CHECKING:
    from headwater.client.conditions import Condition, Field

_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def conditions(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> list[Condition]:
    """``--where``: the conditions of all texts."""
    from headwater.client.conditions import read_conditions

    try:
        return [condition for text in given for condition in read_conditions(text)]
    except InvalidRequest as error:
        raise click.BadParameter(str(error), ctx, param) from error


def field(ctx: click.Context, param: click.Parameter, given: str) -> Field:
    """``--sort``: what runs are ordered by."""
    from headwater.client.conditions import read_field

    try:
        return read_field(given)
    except InvalidRequest as error:
        raise click.BadParameter(str(error), ctx, param) from error


def columns(ctx: click.Context, param: click.Parameter, given: str | None) -> list[str] | None:
    """``--columns``: names with commas between them; ``None`` where it is not given."""
    from headwater.client.conditions import read_field

    if given is None:
        return None
    found = []
    for name in filter(None, (part.strip() for part in given.split(","))):
        try:
            found.append(name if name in FIXED else heading(read_field(name)))
        except InvalidRequest as error:
            raise click.BadParameter(
                f"there is no column {name!r}; there are {', '.join(FIXED)}, params.NAME, metrics.NAME and "
                "tags.NAME",
                ctx,
                param,
            ) from error
    if not found:
        raise click.BadParameter("name at least one column", ctx, param)
    return found


def age_ms(ctx: click.Context, param: click.Parameter, given: str | None) -> int | None:
    """``--older-than``: a length of time in milliseconds; ``None`` where it is not given."""
    if given is None:
        return None
    found = _AGE.fullmatch(given.strip())
    if found is None:
        raise click.BadParameter(
            f"{given!r} is not a length of time; write a number and s, m, h, d or w: 30d, 12h", ctx, param
        )
    return int(float(found[1]) * _UNITS_S[found[2]] * 1_000)
