"""A program that serves for as long as tests want it: started, restarted, killed, and never left behind.

A daemon lives in a directory of its own. A second small process, its keeper, holds the reading end of a pipe
from the tests: when the tests end, however they end, the pipe closes, and the keeper ends the daemon and
removes the directory.
"""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

PATIENCE_S = 60


class DaemonFailed(Exception):
    """A program did not start or ended on its own; the text has the end of what it logged."""


class Daemon:
    """One program and its directory, run by an account without privileges when the tests run as root."""

    def __init__(
        self, name: str, accounts: Sequence[str], *, stop: signal.Signals, kill: signal.Signals
    ) -> None:
        """Make the directory; nothing runs yet.

        The first of ``accounts`` that the machine knows is used, and only when the tests run as root.
        """
        # Short, since a socket's path may have 100 characters or so.
        self.directory = Path(tempfile.mkdtemp(prefix=f"hw-{name}-", dir="/tmp"))
        self.identity = _identity(accounts) if os.geteuid() == 0 else {}
        if self.identity:
            os.chown(self.directory, self.identity["user"], self.identity["group"])
        self._name, self._stop, self._kill = name, stop, kill
        self._log = self.directory / "log"
        self._process: subprocess.Popen | None = None
        self._keeper = subprocess.Popen(
            [sys.executable, __file__, str(self.directory), str(kill.value)],
            stdin=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )

    def run(self, *command: str | Path, environment: Mapping[str, str] | None = None) -> str:
        """Run another program as the daemon would be, and give what it printed."""
        done = subprocess.run(
            [str(part) for part in command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=self.directory,
            env=self._environment(environment),
            text=True,
            check=False,
            **self.identity,
        )
        if done.returncode:
            raise DaemonFailed(f"{command[0]} ended with {done.returncode}:\n{done.stdout[:4000]}")
        return done.stdout

    def may_run(self, program: Path) -> bool:
        """Whether the daemon's account can reach a program."""
        try:
            self.run(program, "--version")
        except (OSError, DaemonFailed):
            return False
        return True

    def start(self, *command: str | Path, environment: Mapping[str, str] | None = None) -> None:
        """Start the program; it is not waited for until it answers."""
        assert self._process is None, f"{self._name} runs already"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(part) for part in command],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=self.directory,
                env=self._environment(environment),
                # An interrupt from the terminal is for the tests, which may still need the daemon.
                start_new_session=True,
                **self.identity,
            )
        self._tell_keeper(self._process.pid)

    def check(self) -> None:
        """Raises DaemonFailed if the program has ended."""
        if self._process is None or self._process.poll() is not None:
            raise DaemonFailed(f"{self._name} is not running; it logged:\n{self.logged()[-2000:]}")

    @property
    def running(self) -> bool:
        return self._process is not None

    def logged(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def stop(self) -> None:
        """Ask the program to end, and wait for it. Nothing happens if it does not run."""
        self._end(self._stop)

    def kill(self) -> None:
        """End the program at once, as a crash would."""
        self._end(self._kill)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = None
        self._tell_keeper(0)

    def close(self) -> None:
        """End the program and remove the directory."""
        self.kill()
        if self._keeper.stdin and not self._keeper.stdin.closed:
            self._keeper.stdin.close()
            self._keeper.wait()

    def _tell_keeper(self, pid: int) -> None:
        assert self._keeper.stdin
        self._keeper.stdin.write(f"{pid}\n")
        self._keeper.stdin.flush()

    def _environment(self, more: Mapping[str, str] | None) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(self.directory),
            # MariaDB clears away what it takes for leftovers of its own, which may belong to another server.
            "TMPDIR": str(self.directory),
            "LC_ALL": "C",
            **(more or {}),
        }


def _identity(accounts: Sequence[str]) -> dict:
    for name in accounts:
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    raise DaemonFailed(
        f"none of the accounts {', '.join(accounts)} exists, and the program does not run as root"
    )


def _keep(directory: str, end: int) -> None:
    """Wait until the tests are gone, end what they left running, and remove the directory."""
    pid = 0
    for line in sys.stdin:
        pid = int(line)
    if pid:
        _end(pid, end)
    shutil.rmtree(directory, ignore_errors=True)


def _end(pid: int, how: int) -> None:
    patience = time.monotonic() + 10
    try:
        os.kill(pid, how)
        while time.monotonic() < patience:
            os.kill(pid, 0)
            time.sleep(0.02)
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


if __name__ == "__main__":
    _keep(sys.argv[1], int(sys.argv[2]))
