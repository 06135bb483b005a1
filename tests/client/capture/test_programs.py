import os
import sys
import time

import pytest

from headwater.client.capture.programs import output_of


def test_the_output_is_text():
    assert (
        output_of([sys.executable, "-c", "print('grün'.encode('utf-8'))"]) == "b'gr\\xc3\\xbcn'" + os.linesep
    )


@pytest.mark.parametrize(
    "command",
    [["no-such-program-anywhere"], [sys.executable, "-c", "raise SystemExit(3)"], ["a\0b"]],
    ids=["missing", "failing", "impossible"],
)
def test_what_fails_gives_nothing(command):
    assert output_of(command) is None


def test_a_program_that_hangs_is_ended_with_its_children():
    sleeping = "import time; time.sleep(60)"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {sleeping!r}])"
    begun = time.monotonic()

    assert output_of([sys.executable, "-c", program], timeout_s=0.5) is None
    assert time.monotonic() - begun < 10
