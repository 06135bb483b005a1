"""The processes of a benchmark: finding their interpreters, starting them, waiting until they are ready.

All of them listen on 127.0.0.1 only, and each is ended by the script that started it.
"""

import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BRIDGE = HERE.parent / "peers" / "mlmd_bridge.py"
PROXY = HERE.parent / "proxies.py"


class NotAvailable(Exception):
    """Something that the benchmark needs is not on this machine."""


def default_cache() -> Path:
    return Path(tempfile.gettempdir()) / "headwater-benchmarks"


def peers_python() -> str:
    """The interpreter that has the ``ml-metadata`` wheel.

    Raises:
        NotAvailable: there is none.
    """
    python = os.environ.get("HEADWATER_PEERS_PYTHON") or str(ROOT / ".venv-peers" / "bin" / "python")
    if not Path(python).exists():
        raise NotAvailable(
            f"no interpreter at {python!r}; run `make peers`, or set HEADWATER_PEERS_PYTHON to an "
            "interpreter that has ml-metadata"
        )
    return python


def own_environment() -> dict[str, str]:
    """The environment for processes that import headwater from this checkout."""
    paths = [str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


@dataclass(frozen=True)
class Served:
    """A server process and the line it printed when it was ready."""

    process: subprocess.Popen[bytes]
    ready: str

    @property
    def target(self) -> str:
        """``host:port``."""
        address = self.ready.split()[-1]
        return address if ":" in address else f"127.0.0.1:{address}"

    def stop(self) -> None:
        stop(self.process)


def stop(process: subprocess.Popen[bytes]) -> None:
    if process.stdin:
        process.stdin.close()
    process.terminate()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout:
        process.stdout.close()


def _serve(
    command: Sequence[str], log: Path, environment: Mapping[str, str], timeout_s: float = 120
) -> Served:
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, env=environment
        )
    assert process.stdout is not None
    deadline_s = time.monotonic() + timeout_s
    line = b""
    # Unbuffered reads, since select does not see what a buffer already holds.
    while time.monotonic() < deadline_s:
        if select.select([process.stdout], [], [], 0.2)[0]:
            chunk = os.read(process.stdout.fileno(), 1)
            if chunk == b"\n" and b"ready" in line:
                return Served(process, line.decode())
            line = b"" if chunk == b"\n" else line + chunk
            if not chunk:
                break
    stop(process)
    raise NotAvailable(f"{' '.join(command)}: not ready; its log ends in\n{log.read_text()[-2000:]}")


def start_bridge(database_url: str, log: Path) -> Served:
    command = [peers_python(), str(BRIDGE), "--database-url", database_url]
    return _serve(command, log, os.environ)


def start_headwater(database_url: str, log: Path, *, workers: int = 1) -> Served:
    command = [sys.executable, "-m", "headwater.cli", "serve", "--database-url", database_url]
    command += ["--host", "127.0.0.1", "--port", "0"]
    if workers > 1:
        command += ["--workers", str(workers)]
    return _serve(command, log, own_environment())


def start_proxy(database_url: str, delay_ms: float, log: Path) -> tuple[Served, str]:
    """A proxy in front of a database's server that delays what passes, each way; the URL through it."""
    parts = urlsplit(database_url)
    port = parts.port or {"postgresql": 5432}.get(parts.scheme, 3306)
    command = [sys.executable, str(PROXY), "--target", f"{parts.hostname or '127.0.0.1'}:{port}"]
    served = _serve([*command, "--delay-ms", str(delay_ms)], log, os.environ)
    user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    return served, urlunsplit(parts._replace(netloc=f"{user}{served.target}"))


def make_store(maker: str, database_url: str, directory: Path) -> None:
    """Let MLMD's engine or headwater make its tables in an empty database."""
    directory.mkdir(parents=True, exist_ok=True)
    log = directory / f"make-store-{os.getpid()}.log"
    if maker == "mlmd":
        start_bridge(database_url, log).stop()
    else:
        command = [sys.executable, "-m", "headwater.cli", "db", "init", "--database-url", database_url]
        with log.open("wb") as output:
            finished = subprocess.run(
                command, stdout=output, stderr=output, env=own_environment(), check=False
            )
        if finished.returncode:
            raise NotAvailable(f"{' '.join(command)} failed:\n{log.read_text()[-2000:]}")
    log.unlink()


def memory_mb(pid: int) -> dict[str, float] | None:
    """Resident memory of a process now and at its peak; ``None`` where /proc is missing."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith("Vm")}
    return {"now": kilobytes["VmRSS"] / 1024, "peak": kilobytes["VmHWM"] / 1024}
