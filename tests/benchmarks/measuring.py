"""One operation, or one concurrent load, on all sides of a case, in turns."""

import argparse
import contextlib
import itertools
import math
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import answers
import load
import operations
import sides
from operations import Operation
from stores import Layout

COMPARED_REQUESTS = 3
BATCH_SECONDS = 0.1
MIN_ROUNDS = 3
MIN_CALLS = 5
SLOW_S = 5.0
"""A call that takes longer is compared once only and has fewer rounds."""
MIN_SLOW_ROUNDS = 2
WRITTEN_SHARE = 0.2
"""How much of its nodes a store may gain by one operation, as long as that leaves ``MIN_CALLS``."""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Turns:
    """The requests of one operation, the same for all sides but for what only a side itself can know."""

    def __init__(self, operation: Operation, layout: Layout, taking_part: Sequence[sides.Side]) -> None:
        self._streams: dict[str, Iterator[bytes]] | None = None
        if operation.deep:
            pages = {side.name: operations.deep_pages(operation, layout, side.call) for side in taking_part}
            shortest = min(map(len, pages.values()))
            self._streams = {name: itertools.cycle(own[:shortest]) for name, own in pages.items()}
        self._shared = operation.stream(layout)
        self._names = [side.name for side in taking_part]

    def take(self, count: int) -> dict[str, list[bytes]]:
        """The next ``count`` requests of each side; fewer, at last none, when the stream ends."""
        if self._streams:
            return {name: list(itertools.islice(own, count)) for name, own in self._streams.items()}
        requests = list(itertools.islice(self._shared, count))
        return dict.fromkeys(self._names, requests)


def compare_answers(
    operation: Operation, turns: Turns, taking_part: Sequence[sides.Side]
) -> tuple[dict[str, str], float]:
    """What each side's first answers are, next to those of the first side, and a call's usual seconds.

    Usual is the slowest side's time for the request that went fastest: the very first call opens files.
    """
    verdicts = {side.name: answers.SAME for side in taking_part}
    order = (answers.SAME, answers.SAME_IDS, answers.DIFFERENT)
    usual_s = math.inf
    for number in range(COMPARED_REQUESTS):
        if number and usual_s > SLOW_S:
            break
        requests, expected, slowest_s = turns.take(1), None, 0.0
        for side in taking_part:
            if not requests[side.name]:
                continue
            started_s = time.perf_counter()
            raw = side.call(operation.rpc, requests[side.name][0])
            slowest_s = max(slowest_s, time.perf_counter() - started_s)
            answer = operation.answer_message.FromString(raw)
            if expected is None:
                expected = answer
            verdict = answers.compare(expected, answer, ordered=operation.ordered)
            verdicts[side.name] = max(verdicts[side.name], verdict, key=order.index)
        if expected is not None and not expected.ListFields():
            raise sides.SideFailed(f"{operation.name}: an empty answer, so the request asks for nothing")
        if expected is not None:
            usual_s = min(usual_s, slowest_s)
    return verdicts, usual_s


def measure(
    operation: Operation, layout: Layout, taking_part: Sequence[sides.Side], *, repeat: int, seconds: float
) -> dict[str, object]:
    """Compare the first answers, then take turns in rounds until ``repeat`` calls a side, or ``seconds``.

    ``rounds`` of the result has, a round, the microseconds of each side's calls. Each round starts with
    another side, so that none always follows the same one.
    """
    if operation.nodes_written:
        most = int(layout.nodes * WRITTEN_SHARE) // operation.nodes_written
        repeat = min(repeat, max(MIN_CALLS, most))
    turns = Turns(operation, layout, taking_part)
    verdicts, usual_s = compare_answers(operation, turns, taking_part)
    batch = max(1, min(operation.max_batch, repeat, int(BATCH_SECONDS / usual_s)))
    rounds: list[dict[str, list[float]]] = []
    end_s = time.monotonic() + seconds
    done = 0
    min_rounds = MIN_ROUNDS if usual_s < SLOW_S else MIN_SLOW_ROUNDS
    while done < repeat and (len(rounds) < min_rounds or time.monotonic() < end_s):
        requests = turns.take(min(batch, repeat - done))
        if not all(requests.values()):
            break
        first = len(rounds) % len(taking_part)
        durations = {}
        for side in (*taking_part[first:], *taking_part[:first]):
            nanoseconds = side.time(operation.rpc, requests[side.name])
            durations[side.name] = [duration / 1000 for duration in nanoseconds]
        rounds.append(durations)
        done += len(next(iter(durations.values())))
    return {"answers": verdicts, "batch": batch, "rounds": rounds}


def measure_loads(
    layout: Layout,
    taking_part: Sequence[sides.Side],
    arguments: argparse.Namespace,
    directory: Path,
    *,
    crowd: int,
) -> list[dict[str, object]]:
    """Concurrent loads on the sides behind gRPC, and on crowds of ``crowd`` processes if that is not 0."""
    runs: list[dict[str, object]] = []
    by_name = {side.name: side for side in taking_part}
    with contextlib.ExitStack() as opened:
        served: list[load.Served] = [side for side in taking_part if isinstance(side, sides.Grpc)]
        for name, of in sides.CROWDS.items():
            if crowd and of in by_name:
                served.append(sides.Crowd(name, by_name[of], directory / f"{name}.log", size=crowd))
                opened.callback(served[-1].close)
        counts = map(int, arguments.load_clients.split(","))
        for name, clients in itertools.product(arguments.loads.split(","), counts):
            for turn, side in itertools.product(range(arguments.load_rounds), served):
                result = load.measure(
                    side,
                    name,
                    layout,
                    clients=clients,
                    seconds=arguments.load_seconds,
                    max_calls=arguments.load_calls,
                    # What a crowd writes comes on top of what the side wrote in the same database.
                    label=f"{name}-{clients}-{turn}" + ("-crowd" if isinstance(side, sides.Crowd) else ""),
                )
                runs.append({"load": name, "clients": clients, "side": side.name, "round": turn, **result})
                say(
                    f"  load {name}, {clients} clients, {side.name}: {result['per_second']}/s, "
                    f"p50 {result['p50_ms']} ms, p99 {result['p99_ms']} ms, "
                    f"{result['failed']} failed {result['failures'] or ''}"
                )
    return runs
