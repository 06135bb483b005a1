"""Telling a store what lies in its spool. Doing so twice, or in two processes at once, changes nothing.

Files are replayed in the order of their names and records in the order of the file, up to a first that
the store does not take because it is away. What it refuses for good is set aside. How far a file is done
is noted beside it, so that many short attempts come to an end too.
"""

import contextlib
import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf.message import DecodeError, Message

from headwater import errors
from headwater.client.recording.frames import Damage, Frame, frame, frames
from headwater.client.recording.locking import LockFile, is_held
from headwater.client.recording.spool import CLOSED, OPEN
from headwater.wire import METHODS

logger = logging.getLogger("headwater")

JUDGED = (
    errors.InvalidRequest,
    errors.NotFound,
    errors.AlreadyExists,
    errors.FailedPrecondition,
    errors.OutOfRange,
)
"""What a store answers that is there: the same request would be refused again."""

Send = Callable[[Message], Message]
"""Tells a store one request.

Raises:
    HeadwaterError: as a transport does.
"""


@dataclass
class Replayed:
    """What became of a spool."""

    sent: int = 0
    refused: int = 0
    """Records that were set aside with the reason."""
    damaged: int = 0
    """Places in files that are not records."""
    left: int = 0
    """Files that still have to be replayed."""
    why_stopped: str = ""
    """Why not all was replayed; empty if all was."""
    reasons: list[str] = field(default_factory=list)
    """Why records were refused, of the first ten."""


def waiting_files(directory: Path) -> list[Path]:
    """The files that can be replayed, oldest first: closed ones, and those whose process is gone."""
    files = []
    with contextlib.suppress(OSError):
        files = [path for path in directory.iterdir() if path.suffix == CLOSED or _is_left_behind(path)]
    return sorted(files)


def _is_left_behind(path: Path) -> bool:
    if path.suffix != OPEN:
        return False
    with contextlib.suppress(OSError):
        # An empty one may be just made and not locked yet; looking would keep its owner from locking it.
        return path.stat().st_size > 0 and not is_held(path)
    return False


def replay(
    directory: Path,
    send: Send,
    *,
    files: Iterable[Path] | None = None,
    budget_s: float | None = None,
    on_answer: Callable[[Message, Message], None] | None = None,
    on_progress: Callable[[Path, int], None] | None = None,
) -> Replayed:
    """Tell a store what waits in ``directory``, or in ``files`` of it, for ``budget_s`` seconds at most.

    ``on_answer`` gets each request with its answer, ``on_progress`` how many bytes of a file are done.
    """
    done = Replayed()
    until = None if budget_s is None else time.monotonic() + budget_s
    if not directory.is_dir():
        return done
    with LockFile(directory / "replay.lock") as is_mine:
        chosen = waiting_files(directory) if files is None else sorted(files)
        if not is_mine:
            done.left = len(chosen)
            done.why_stopped = "another process is replaying this spool"
            return done
        for place, path in enumerate(chosen):
            _replay_file(path, send, done, until, on_answer=on_answer, on_progress=on_progress)
            if done.why_stopped:
                done.left = len(chosen) - place
                break
    return done


def _replay_file(
    path: Path,
    send: Send,
    done: Replayed,
    until: float | None,
    *,
    on_answer: Callable[[Message, Message], None] | None,
    on_progress: Callable[[Path, int], None] | None,
) -> None:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        done.why_stopped = f"{path} cannot be read: {error}"
        return
    mark = path.with_suffix(".at")
    damages = 0
    for found in _from(data, _read_mark(mark, len(data))):
        if until is not None and time.monotonic() >= until:
            done.why_stopped = "the time was up"
            return
        if isinstance(found, Damage):
            damages += 1
            logger.warning("%s has no records from byte %d to %d: skipped", path, found.start, found.end)
            continue
        try:
            request, answer = _tell(found, send)
        except JUDGED as error:
            done.refused += 1
            if len(done.reasons) < 10:
                done.reasons.append(f"{found.name}: {error}")
            _set_aside(path.parent, path.stem, found, error)
        except errors.HeadwaterError as error:
            done.why_stopped = f"{type(error).__name__}: {error}"
            return
        else:
            done.sent += 1
            if answer is not None and on_answer is not None:
                on_answer(request, answer)
        with contextlib.suppress(OSError):
            mark.write_text(str(found.end))
        if on_progress is not None:
            on_progress(path, found.end)
    done.damaged += damages
    with contextlib.suppress(OSError):
        if damages:
            kept = path.parent / "damaged"
            kept.mkdir(exist_ok=True)
            path.replace(kept / path.name)
        else:
            path.unlink(missing_ok=True)
        mark.unlink(missing_ok=True)


def _from(data: bytes, start: int) -> Iterator[Frame | Damage]:
    # Damage before the start was seen by an earlier attempt, which did not come far enough to say so.
    if start:
        yield from (found for found in frames(data[:start]) if isinstance(found, Damage))
    yield from frames(data, start)


def _read_mark(mark: Path, size: int) -> int:
    try:
        place = int(mark.read_text())
    except (OSError, ValueError):
        return 0
    return place if 0 <= place <= size else 0


def _tell(found: Frame, send: Send) -> tuple[Message, Message | None]:
    method = METHODS.get(found.name)
    if method is None:
        raise errors.InvalidRequest(f"this version of headwater knows no RPC {found.name!r}")
    try:
        request = method.request_class.FromString(found.content)
    except DecodeError as error:
        raise errors.InvalidRequest(f"this is not a request of {found.name}: {error}") from error
    try:
        return request, send(request)
    except errors.FailedPrecondition:
        if found.name == "StartRun":
            # It was started, and closed, by an earlier attempt.
            return request, None
        raise
    except errors.ResourceExhausted as error:
        if "larger" in str(error):
            raise errors.InvalidRequest(str(error)) from error
        raise
    except errors.Internal as error:
        # A fault of the server that this request meets. It must not keep all others from being told.
        raise errors.InvalidRequest(f"the server failed at it: {error}") from error


def set_aside(directory: Path, request: Message, error: errors.HeadwaterError) -> None:
    """Keep a request that a store refused for good, with the reason, in the spool's ``refused``."""
    name = type(request).__name__.removesuffix("Request")
    _set_aside(directory, f"{time.time_ns():020d}", Frame(name, request.SerializeToString(), 0), error)


def _set_aside(directory: Path, stem: str, found: Frame, error: errors.HeadwaterError) -> None:
    kept = directory / "refused"
    name = f"{stem}-{found.end}"
    try:
        kept.mkdir(parents=True, exist_ok=True, mode=0o700)
        (kept / f"{name}{CLOSED}").write_bytes(frame(found.name, found.content))
        reason = {"rpc": found.name, "error": type(error).__name__, "reason": str(error)}
        (kept / f"{name}.json").write_text(json.dumps(reason))
    except OSError as problem:
        logger.warning("a refused record could not be set aside in %s: %s", kept, problem)


def take_back_refused(directory: Path) -> int:
    """Put what was refused before behind what waits, to be told again; how many records that are."""
    count = 0
    kept = directory / "refused"
    for path in sorted(kept.glob(f"*{CLOSED}")) if kept.is_dir() else ():
        with contextlib.suppress(OSError):
            path.replace(directory / f"{time.time_ns():020d}-again-{count}{CLOSED}")
            path.with_suffix(".json").unlink(missing_ok=True)
            count += 1
    return count


@dataclass(frozen=True)
class Waiting:
    """What a spool holds."""

    target: str
    directory: Path
    records: int
    """That wait to be told, those of processes that are alive included."""
    size_bytes: int
    oldest_ms: int
    """When the oldest file was begun; 0: there is none."""
    refused: int
    damaged_files: int


def waiting(directory: Path, target: str) -> Waiting:
    """Look into the spool of a store, without changing anything."""
    records = size_bytes = 0
    paths = sorted(path for path in directory.iterdir() if path.suffix in (OPEN, CLOSED))
    for path in paths:
        with contextlib.suppress(OSError):
            data = path.read_bytes()
            size_bytes += len(data)
            start = _read_mark(path.with_suffix(".at"), len(data))
            records += sum(isinstance(found, Frame) for found in frames(data, start))
    began = paths[0].name.partition("-")[0] if paths else ""
    return Waiting(
        target,
        directory,
        records,
        size_bytes,
        int(began) // 1_000_000 if began.isdecimal() else 0,
        _count(directory / "refused", CLOSED),
        _count(directory / "damaged", ""),
    )


def _count(directory: Path, suffix: str) -> int:
    if not directory.is_dir():
        return 0
    return sum(1 for path in directory.iterdir() if path.name.endswith(suffix))
