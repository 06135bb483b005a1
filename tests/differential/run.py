"""Play random sequences on MLMD's engine and on headwater, and report where they disagree.

    python tests/differential/run.py --seeds 1-20 --steps 300 --headwater in-process
    python tests/differential/run.py --seeds 1-20 --headwater postgresql         # in process, on a server
    python tests/differential/run.py --seeds 7 --steps 300 --headwater engine    # the control: MLMD twice
    python tests/differential/run.py --special many                              # only some short sequences

The engine runs in the interpreter that HEADWATER_PEERS_PYTHON names, else in .venv-peers. Exit code 1: an
unexplained disagreement.
"""

import argparse
import contextlib
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "differential"

from .compare import Clock, Exchange, disagreement, exchanges, only_new_ids_differ
from .expected import both_repeat, case_decides, filters_of, find_intended
from .sequences import Generator
from .sides import Engine, Side, SideMissing, open_headwater, peer_python
from .special import SEQUENCES
from .steps import NotForEngine, Step, show
from .witness import Witness

SHRINKING_S = 40
"""How long to look for a shorter sequence that fails in the same way."""


@dataclass
class Finding:
    """A disagreement that nothing explains."""

    seed: int | str
    step: Step
    engine: Exchange
    ours: Exchange
    lines: list[str]
    before: list[Step]

    @property
    def signature(self) -> str:
        """Equal for disagreements of the same sort: the RPC, and what differs without numbers and values."""
        places = {re.sub(r"\[\d+\]|: .*", "", line) if "code:" not in line else line for line in self.lines}
        if isinstance(self.seed, str):
            return f"{self.seed}: {', '.join(sorted(places)[:6])}"
        if filters_of(self.engine.request) and self.engine.code != self.ours.code:
            text = self.ours.text or self.engine.text
            return (
                f"filter: {self.lines[0]}, {re.sub(r'[^ ]*[^a-zA-Z ][^ ]*', '', text.splitlines()[0])[:60]}"
            )
        return f"{self.engine.rpc}: {', '.join(sorted(places)[:6])}"

    def show(self) -> str:
        prefix = "\n".join(f"  {step.number}: {step.show()}" for step in self.before)
        return "\n".join(
            (
                f"seed {self.seed}, step {self.step.number}, {self.signature}",
                "after" + f"\n{prefix}" if prefix else "on an empty store",
                f"step: {self.step.show()}",
                f"request: {self.engine.rpc} {{ {show(self.engine.request)} }}",
                f"engine: {self.engine.code} {self.engine.text[:300]}",
                f"headwater: {self.ours.code} {self.ours.text[:1500]}",
                *(f"  {line[:1500]}" for line in self.lines[:12]),
            )
        )


@dataclass
class Tally:
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Requests by (RPC, code of the engine)."""
    intended: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)

    def show(self) -> str:
        codes = sorted({code for _, code in self.calls})
        lines = [f"{'':32}" + "".join(f"{code[:12]:>13}" for code in codes)]
        for rpc in sorted({rpc for rpc, _ in self.calls}):
            lines.append(f"{rpc:32}" + "".join(f"{self.calls[rpc, code] or '':>13}" for code in codes))
        lines.append(
            f"{'all':32}"
            + "".join(f"{sum(n for (_, c), n in self.calls.items() if c == code):>13}" for code in codes)
        )
        lines += [f"intended: {name}: {count}" for name, count in sorted(self.intended.items())]
        return "\n".join(lines)


class Match:
    """Two sides that play the same steps. ``control`` is a match of the engine against itself."""

    def __init__(self, engine: Side, ours: Side, start_second: Callable[[], Side]) -> None:
        self.engine = engine
        self.ours = ours
        self.control = ours.is_engine
        self.witness = Witness(engine, start_second)
        self.tally = Tally()

    def play(
        self,
        seed: int | str,
        steps: Iterator[Step],
        learn: Callable | None = None,
        *,
        keep_going: bool = False,
    ) -> list[Finding]:
        """Play ``steps`` on an empty store, to their end or to the first unexplained disagreement.

        With ``keep_going`` go on after one in a read, which leaves the two stores as they are.
        """
        findings: list[Finding] = []
        self.engine.reset()
        self.ours.reset()
        clock = Clock()
        played: list[Step] = []
        self.witness.follow(played, clock.fill_times)
        for step in steps:
            clock.start(step.number)
            theirs = step.play(self.engine, clock.fill_times, None)
            if learn:
                learn(step, theirs)
            if self.control and isinstance(step, NotForEngine):
                continue
            answers = step.play(self.ours, clock.fill_times, theirs)
            self.tally.calls.update((answer.rpc, answer.code) for answer in theirs)
            diverged = False
            for engine, ours in zip(
                exchanges(step, theirs, clock), exchanges(step, answers, clock), strict=False
            ):
                lines = disagreement(engine, ours, leaks=not self.control)
                if not lines:
                    continue
                if self.ours.is_server and only_new_ids_differ(engine, ours):
                    self.tally.intended["ids: skipped by an attempt that was not the last"] += 1
                    diverged = True
                    continue
                if self.ours.is_server and case_decides(engine) and engine.code == ours.code == "OK":
                    self.tally.intended["F12: LIKE, which ignores case on SQLite only"] += 1
                    continue
                intended = find_intended(step, engine, ours, self.witness)
                if intended is None and self.control:
                    intended = find_intended(step, ours, engine, self.witness)
                    if intended is None and both_repeat(engine, ours):
                        continue
                if intended is None:
                    findings.append(Finding(seed, step, engine, ours, lines, list(played)))
                    if keep_going and engine.rpc.startswith("Get"):
                        continue
                    return findings
                self.tally.intended[intended.name] += 1
                diverged = diverged or intended.diverges
            if diverged:
                break
            played.append(step)
        return findings

    def play_seed(self, seed: int, steps: int, *, keep_going: bool = False) -> list[Finding]:
        generator = Generator(seed)
        sequence = chain((generator.next_step() for _ in range(steps)), generator.closing_steps())
        return self.play(seed, sequence, generator.learn, keep_going=keep_going)

    def play_special(self, name: str, *, keep_going: bool = False) -> list[Finding]:
        steps = list(SEQUENCES[name]())
        for number, step in enumerate(steps):
            step.number = number
        return self.play(name, iter(steps), keep_going=keep_going)

    def close(self) -> None:
        self.engine.close()
        self.ours.close()
        self.witness.close()

    def shrink(self, finding: Finding) -> Finding:
        """The same sort of disagreement after as few steps as can be found in ``SHRINKING_S``."""
        deadline = time.monotonic() + SHRINKING_S
        tally, self.tally = self.tally, Tally()
        size = max(1, len(finding.before) // 2)
        while True:
            end = len(finding.before)
            while end > 0 and time.monotonic() < deadline:
                start = max(0, end - size)
                steps = [*finding.before[:start], *finding.before[end:], finding.step]
                shorter = self.play(finding.seed, iter(steps))
                if shorter and shorter[0].step is finding.step and shorter[0].signature == finding.signature:
                    finding = shorter[0]
                end = start
            if size == 1 or time.monotonic() >= deadline:
                break
            size //= 2
        self.tally = tally
        return finding


def compare(
    match: Match,
    seeds: Iterable[int],
    steps: int,
    *,
    special: Iterable[str] = tuple(SEQUENCES),
    keep_going: bool = False,
    shrink: bool = True,
) -> Tally:
    """Play the special sequences, then each seed. With ``keep_going`` collect one finding of each sort, else stop at the first."""
    known: Counter[str] = Counter()
    plays: list[Callable[[], list[Finding]]] = [
        *(partial(match.play_special, name, keep_going=keep_going) for name in special),
        *(partial(match.play_seed, seed, steps, keep_going=keep_going) for seed in seeds),
    ]
    for play in plays:
        for finding in play():
            known[finding.signature] += 1
            if known[finding.signature] > 1:
                continue
            match.tally.findings.append(match.shrink(finding) if shrink else finding)
            print(match.tally.findings[-1].show(), end="\n\n", flush=True)
            if not keep_going:
                return match.tally
    return match.tally


def parse_seeds(text: str) -> Sequence[int]:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", default="1-10", help="one seed or a range A-B (default 1-10)")
    parser.add_argument("--steps", type=int, default=300, help="steps a sequence (default 300)")
    parser.add_argument(
        "--headwater", default="in-process", help="in-process, postgresql, mysql, serve, engine, or HOST:PORT"
    )
    parser.add_argument(
        "--special", default="", help="no seeds, only short sequences with this in their name"
    )
    parser.add_argument("--no-special", action="store_true", help="no short sequences, only seeds")
    parser.add_argument(
        "--keep-going", action="store_true", help="one finding of each sort, not only the first"
    )
    parser.add_argument("--no-shrink", action="store_true", help="show the whole sequence before a finding")
    arguments = parser.parse_args()
    special = [name for name in SEQUENCES if arguments.special in name and not arguments.no_special]
    seeds = () if arguments.special else parse_seeds(arguments.seeds)
    started = time.monotonic()
    try:
        with contextlib.ExitStack() as sides:
            python = peer_python()
            engine = sides.enter_context(contextlib.closing(Engine(python)))
            ours = sides.enter_context(contextlib.closing(open_headwater(arguments.headwater)))
            match = Match(engine, ours, lambda: Engine(python))
            sides.callback(match.witness.close)
            tally = compare(
                match,
                seeds,
                arguments.steps,
                special=special,
                keep_going=arguments.keep_going,
                shrink=not arguments.no_shrink,
            )
    except SideMissing as missing:
        print(missing, file=sys.stderr)
        return 2
    print(tally.show())
    seconds = time.monotonic() - started
    print(f"{sum(tally.calls.values())} requests in {seconds:.0f} s, {len(tally.findings)} findings")
    return 1 if tally.findings else 0


if __name__ == "__main__":
    sys.exit(main())
