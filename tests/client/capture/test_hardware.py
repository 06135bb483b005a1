import json
import os
import sys
import textwrap
import threading
import time
import traceback

import pytest

from headwater.client.capture.hardware import MAX_SAMPLES, Usage

MIB = 1024 * 1024


WAITING = """
        def wait_for(usage, looks):
            import time
            count, end = len(usage.samples()), time.monotonic() + 60
            while len(usage.samples()) < count + looks:
                assert time.monotonic() < end
                time.sleep(0.005)
"""


def burn(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        sum(range(1000))


def until(is_true, seconds=30.0):
    """Waits for a thread to get somewhere."""
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, "it never came to that"
        threading.Event().wait(0.005)


def test_wall_and_cpu_seconds_are_measured():
    with Usage() as usage:
        burn(0.2)
    found = usage.result()

    assert found["wall_seconds"] >= 0.15  # Clocks differ a little.
    assert 0.15 <= found["cpu_seconds"] < 5
    assert all(isinstance(value, int | float) for value in found.values())


def test_there_is_no_result_before_the_end():
    usage = Usage()
    assert usage.result() == {}
    with usage:
        assert usage.result() == {}
    assert usage.result()


def test_memory_that_was_held_for_a_while_is_seen():
    with Usage(interval_s=0.01) as usage:
        before = usage.samples()[0].memory_bytes
        if before is None:
            pytest.skip("this system does not tell how much memory a process has")
        block = bytearray(os.urandom(MIB)) * 200
        count = len(usage.samples())
        until(lambda: len(usage.samples()) > count + 1)
        del block

    assert usage.result()["peak_memory_bytes"] >= before + 190 * MIB


def test_children_count_in_cpu_time_and_memory(python):
    pytest.importorskip("psutil")
    program = (
        WAITING
        + """
        import json, subprocess, sys
        from headwater.client.capture.hardware import Usage
        child = '''
        import time
        block = bytearray(b"x") * (200 * 1024 * 1024)
        end = time.process_time() + 0.5
        while time.process_time() < end: sum(range(1000))
        print("ready", flush=True)
        input()
        '''
        import textwrap
        arguments = [sys.executable, "-c", textwrap.dedent(child)]
        with Usage(interval_s=0.01) as usage:
            process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            process.stdout.readline()
            wait_for(usage, 2)
            if "ended" in sys.argv:
                process.communicate(b"\\n")
        print(json.dumps(usage.result()))
        process.kill()
    """
    )
    for how in ("", "import sys; sys.argv.append('ended')\n"):
        found = json.loads(python(how + textwrap.dedent(program)))

        assert found["cpu_seconds"] >= 0.45
        assert found["peak_memory_bytes"] >= 200 * MIB


def test_without_psutil_the_standard_library_is_asked(python):
    program = (
        WAITING
        + """
        import sys, json
        sys.modules["psutil"] = None
        from headwater.client.capture.hardware import Usage
        with Usage(interval_s=0.01) as usage:
            block = bytearray(b"x") * (100 * 1024 * 1024)
            wait_for(usage, 2)
        print(json.dumps(usage.result()))
    """
    )
    found = json.loads(python(program))

    assert found["wall_seconds"] > 0
    assert found["cpu_seconds"] >= 0
    if sys.platform != "win32":
        assert found["peak_memory_bytes"] >= 100 * MIB


def test_the_number_of_samples_is_bounded():
    usage = Usage(interval_s=0.01)
    with usage:
        for _ in range(5 * MAX_SAMPLES):
            with usage._lock:
                usage._add(1, None)
    samples = usage.samples()

    assert MAX_SAMPLES / 4 < len(samples) <= MAX_SAMPLES
    assert list(samples) == sorted(samples, key=lambda sample: sample.seconds)


def test_an_exception_passes_and_is_measured():
    usage = Usage()
    with pytest.raises(KeyError), usage:
        raise KeyError("x")

    assert usage.result()["wall_seconds"] >= 0


def test_a_short_step_is_hardly_slowed_down():
    with Usage():
        pass
    begun = time.perf_counter()
    for _ in range(20):
        with Usage():
            pass

    # Generous, for busy machines: a look at every process of the system would not fit.
    assert (time.perf_counter() - begun) / 20 < 0.05


def looking() -> int:
    """How many threads look now."""
    frames = list(sys._current_frames().values())
    return sum(
        any(found.f_code is Usage._run.__code__ for found, _ in traceback.walk_stack(one)) for one in frames
    )


def test_no_thread_stays_behind():
    with Usage():
        until(lambda: looking() == 1)

    until(lambda: looking() == 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_in_the_middle_harms_neither_side(python):
    program = (
        WAITING
        + """
        import os, sys, threading
        from headwater.client.capture.hardware import Usage
        usage = Usage(interval_s=0.01)
        with usage:
            for number in range(30):
                pid = os.fork()
                if pid == 0:
                    alive = [thread.name for thread in threading.enumerate()]
                    usage.__exit__(None, None, None)
                    with Usage(interval_s=0.01) as own:
                        if number % 10 == 0:
                            wait_for(own, 1)
                    is_right = alive == ["MainThread"] and usage.result() == {} and own.result()
                    os._exit(0 if is_right else 1)
                assert os.waitpid(pid, 0)[1] == 0
            wait_for(usage, 2)
        assert usage.result()["wall_seconds"] > 0
        print("done")
    """
    )

    assert python(program) == "done"


FAKE_NVML = """
    import os
    GIB = 1024 ** 3
    class Memory:
        def __init__(self, used): self.used = used
    class Process:
        def __init__(self, pid, used): self.pid, self.usedGpuMemory = pid, used
    class Rates:
        gpu = 40
    def nvmlInit(): {init}
    def nvmlShutdown(): pass
    def nvmlDeviceGetCount(): return 3
    def nvmlDeviceGetHandleByIndex(index): return index
    def nvmlDeviceGetHandleByUUID(name): return 2
    def nvmlDeviceGetMemoryInfo(handle): return Memory((handle + 1) * 8 * GIB)
    def nvmlDeviceGetComputeRunningProcesses(handle):
        return [Process(os.getpid() if {ours} else 1, 2 * GIB)]
    def nvmlDeviceGetUtilizationRates(handle): return Rates()
"""
MEASURING = """
    import json, sys, time
    sys.path.insert(0, ".")
    from headwater.client.capture.hardware import Usage
    begun = time.monotonic()
    with Usage(interval_s=0.01) as usage:
        while len(usage.samples()) < 4 and time.monotonic() < begun + 1:
            time.sleep(0.005)
    print(json.dumps(usage.result()))
    assert time.monotonic() < begun + 10
"""
GIB = 1024**3


@pytest.mark.parametrize(
    ("values", "visible", "expected"),
    [
        ({"init": "pass", "ours": "True"}, None, (3, 6 * GIB)),
        ({"init": "pass", "ours": "False"}, None, (3, 48 * GIB)),
        ({"init": "pass", "ours": "False"}, "0,GPU-2f", (2, 32 * GIB)),
        ({"init": "pass", "ours": "True"}, "-1", None),
        ({"init": "raise RuntimeError('no driver')", "ours": "True"}, None, None),
        ({"init": "import time; time.sleep(60)", "ours": "True"}, None, None),
    ],
    ids=[
        "own processes",
        "of a container",
        "some are visible",
        "none is visible",
        "no driver",
        "a driver hangs",
    ],
)
def test_gpus_are_asked_where_their_library_is(tmp_path, python, values, visible, expected):
    # A stand-in for the driver's library: most machines that run tests have no GPU.
    (tmp_path / "pynvml.py").write_text(textwrap.dedent(FAKE_NVML).format(**values))
    variables = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}

    found = json.loads(python(MEASURING, **variables))

    if expected is None:
        assert {"wall_seconds", "cpu_seconds"} <= found.keys()
        assert not [name for name in found if name.startswith("gpu")]
    else:
        assert (found["gpu_count"], found["gpu_peak_memory_bytes"]) == expected
        assert found["gpu_peak_utilisation_percent"] == 40
        assert found["gpu_mean_utilisation_percent"] == pytest.approx(40)
