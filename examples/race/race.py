"""Two processes need the same step at the same time: one computes it, and the other waits for it.

python examples/race/race.py            # records in race.db, files in race-files/
"""

import logging
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import headwater

TARGET = "sqlite:///race.db"
FILES = Path("race-files")
SAMPLES = 5_000_000


def work(name: str) -> None:
    """One of the processes: wait for the signal, then do the step in a run of its own."""
    logging.basicConfig(format="%(message)s", stream=sys.stdout)
    # Says who is waited for.
    logging.getLogger("headwater").setLevel(logging.INFO)
    with headwater.connect(TARGET) as client, client.run("race", name=name) as run:

        @run.step(outputs={"pi": "Estimate"})
        def estimate(samples: int, seed: int) -> Path:
            print("computing", flush=True)
            numbers = random.Random(seed)
            inside = sum(numbers.random() ** 2 + numbers.random() ** 2 < 1 for _ in range(samples))
            path = FILES / f"pi-{samples}-{seed}.txt"
            path.write_text(f"{4 * inside / samples}\n")
            return path

        print("ready", flush=True)
        sys.stdin.readline()
        start = time.perf_counter()
        pi = estimate(samples=SAMPLES, seed=7)
        print(f"has pi = {pi.path.read_text().strip()} after {time.perf_counter() - start:.1f} s")


def race(names: list[str]) -> None:
    """Start a process for each name, let them go at once, and print what each says."""
    processes = {
        name: subprocess.Popen(
            [sys.executable, __file__, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for name in names
    }
    for process in processes.values():
        if process.stdout.readline() != "ready\n":
            raise SystemExit("a process did not start; its error is above")
    for process in processes.values():
        process.stdin.write("go\n")
        process.stdin.flush()
    for name, process in processes.items():
        said, _ = process.communicate()
        if process.returncode:
            raise SystemExit(process.returncode)
        for line in said.splitlines():
            print(f"{name:<6} (process {process.pid}): {line}")


def main() -> None:
    if len(sys.argv) > 1:
        work(sys.argv[1])
        return
    FILES.mkdir(exist_ok=True)
    number = os.getpid()
    race([f"red-{number}", f"blue-{number}"])
    print("and once more, now that it is done:")
    race([f"late-{number}"])


if __name__ == "__main__":
    main()
