"""Code objects as text, for functions whose source cannot be read."""

import importlib.util
import json
import types
from typing import Any


def bytecode_text(code: types.CodeType) -> str:
    """What a code object without source does, without its file and its lines.

    It differs from one minor version of Python to the next, and says so with the version's magic number.
    """
    fields = [
        code.co_name,
        code.co_code.hex(),
        code.co_names,
        code.co_varnames,
        code.co_freevars,
        code.co_cellvars,
        [code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags],
        getattr(code, "co_exceptiontable", b"").hex(),  # Since Python 3.11.
        [_constant_text(constant) for constant in code.co_consts],
    ]
    return json.dumps(["bytecode", importlib.util.MAGIC_NUMBER.hex(), *fields])


def _constant_text(constant: Any) -> str:
    if isinstance(constant, types.CodeType):
        return bytecode_text(constant)
    if isinstance(constant, tuple):
        return f"({','.join(map(_constant_text, constant))})"
    if isinstance(constant, frozenset):
        return f"{{{','.join(sorted(map(_constant_text, constant)))}}}"
    if isinstance(constant, slice):  # Since Python 3.14.
        return f"slice{_constant_text((constant.start, constant.stop, constant.step))}"
    if type(constant) is int:
        return hex(constant)
    return ascii(constant)
