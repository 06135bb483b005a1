"""What a fingerprint costs beside reading its inputs: ``python tests/benchmarks/fingerprints.py``.

A step with 20 inputs of 1 MB and 100 parameters, some of them nested. The median of each part over many
rounds, taken in turns so that a busy machine slows both; and what a memo of digests saves.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from headwater.client.content import Memo, digest_of
from headwater.fingerprint import canonical, component, fingerprint

INPUTS = 20
INPUT_BYTES = 1_000_000
PARAMETERS = 100


def a_parameter(number: int) -> object:
    """Most are plain, as in a file of settings; each tenth is a nested one."""
    if number % 10 == 0:
        return {"name": f"model-{number}", "layers": [64, 32, number], "dropout": 0.1 * number, "seed": None}
    return (0.001 * number, number, f"value {number}", number % 2 == 0)[number % 4]


def seconds(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=50, help="how often each part is measured")
    arguments.add_argument("--json", action="store_true", help="print one JSON object")
    chosen = arguments.parse_args()

    parameters = {f"p{number}": a_parameter(number) for number in range(PARAMETERS)}
    with tempfile.TemporaryDirectory() as directory:
        paths = [Path(directory) / f"{number}.bin" for number in range(INPUTS)]
        a_minute_ago = time.time_ns() - 60 * 10**9
        for path in paths:
            path.write_bytes(os.urandom(INPUT_BYTES))
            os.utime(path, ns=(a_minute_ago, a_minute_ago))
        digests = {path.name: digest_of(path).digest for path in paths}
        memo = Memo(Path(directory) / "memo.db")

        def take_fingerprint() -> str:
            components = {"step": "train", "code": f"sha256:{'0' * 64}", "version": "1"}
            for name, value in parameters.items():
                components[f"parameter:{name}"] = component(canonical(value, what=f"parameter {name!r}"))
            for name, digest in digests.items():
                components[f"input:{name}"] = digest
            return fingerprint(components)

        parts: dict[str, Callable[[], object]] = {
            "hash_ms": lambda: [digest_of(path) for path in paths],
            "fingerprint_ms": take_fingerprint,
            "remembered_ms": lambda: [digest_of(path, memo=memo) for path in paths],
        }
        for action in parts.values():
            action()
        rounds = [{name: seconds(action) for name, action in parts.items()} for _ in range(chosen.rounds)]
        memo.close()

    found = {name: statistics.median(each[name] for each in rounds) * 1000 for name in parts}
    found["ratio_percent"] = found["fingerprint_ms"] / found["hash_ms"] * 100
    if chosen.json:
        print(json.dumps(found))
        return
    print(f"{INPUTS} inputs of {INPUT_BYTES / 1e6:g} MB, {PARAMETERS} parameters, median of {chosen.rounds}:")
    print(f"  hashing the inputs      {found['hash_ms']:8.2f} ms")
    print(
        f"  the fingerprint         {found['fingerprint_ms']:8.2f} ms, {found['ratio_percent']:.1f} % of that"
    )
    print(f"  inputs from a memo      {found['remembered_ms']:8.2f} ms")


if __name__ == "__main__":
    main()
