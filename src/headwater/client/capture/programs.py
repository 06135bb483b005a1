"""What another program prints, within a time and a size, or nothing."""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

#: How long a program may take, in seconds.
TIMEOUT_S = 2.0

_MOST_BYTES = 1024 * 1024


def output_of(
    command: Sequence[str],
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    timeout_s: float = TIMEOUT_S,
) -> str | None:
    """What ``command`` writes to its standard output, at most 1 MiB of it.

    ``None`` if it cannot be started, fails, or is not done after ``timeout_s``; it is ended then.
    """
    # A file and not a pipe: a pipe stays open, and is waited for, as long as any child of the program lives.
    try:
        with tempfile.TemporaryFile() as output:
            program = subprocess.Popen(
                command,
                cwd=cwd,
                env=None if environment is None else dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.DEVNULL,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
                start_new_session=sys.platform != "win32",
            )
            try:
                code = program.wait(timeout_s)
            except BaseException:
                _end(program)
                raise
            if code != 0:
                return None
            output.seek(0)
            return output.read(_MOST_BYTES).decode("utf-8", "replace")
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def _end(program: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(OSError):
        if sys.platform == "win32":
            program.kill()
        else:
            # Its children too: they share its session, which it was given for this.
            os.killpg(program.pid, 9)
    with contextlib.suppress(subprocess.SubprocessError):
        program.wait(TIMEOUT_S)
