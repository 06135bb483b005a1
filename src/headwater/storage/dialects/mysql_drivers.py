"""The drivers of MySQL and MariaDB: what each wants to be told in its own way to connect.

mysqlclient, which is C, serves where it is installed, PyMySQL elsewhere and where the URL has something to
say about TLS; a URL that begins with ``mysql+pymysql://`` or ``mysql+mysqldb://`` says which (decision
0011). Once connected they are alike.
"""

import os
import socket
import ssl
from abc import ABC, abstractmethod
from functools import partial
from importlib import import_module
from typing import Any

import sqlalchemy as sa

from headwater.errors import DatabaseRefused, InvalidRequest

_CONNECT_TIMEOUT_S = 10
_MULTI_STATEMENTS = 1 << 16
_NO_TLS = 2026
# What comes for columns of text and of bytes. What a C++ client stored as text may be any bytes.
_TEXT_TYPES = (15, 249, 250, 251, 252, 253, 254)
_AS_TEXT = partial(str, encoding="utf-8", errors="replace")
_SSL_FILES = ("ssl_ca", "ssl_capath", "ssl_cert", "ssl_key", "ssl_cipher")
_URL_PARAMETERS = frozenset(
    {"unix_socket", "charset", "connect_timeout", "read_timeout", "write_timeout", "password"}
    | {*_SSL_FILES, "ssl", "ssl_verify_cert", "ssl_verify_identity"}
)


class Driver(ABC):
    """Connects to what a URL names."""

    core_name: str
    """SQLAlchemy's name of it."""

    def __init__(self, url: sa.URL, module: Any) -> None:
        unknown = sorted(set(url.query) - _URL_PARAMETERS)
        if unknown:
            raise InvalidRequest(
                f"the MySQL URL has the parameter {unknown[0]!r}; known are "
                f"{', '.join(sorted(_URL_PARAMETERS))}"
            )
        self.charset = str(url.query.get("charset", "latin1"))
        if self.charset not in ("latin1", "utf8mb4"):
            raise InvalidRequest(
                "the charset of a MySQL URL is latin1, as ML Metadata has it, or utf8mb4 for databases that "
                "only headwater opens"
            )
        self.error: type[Exception] = module.Error
        self.interface_error: type[Exception] = module.InterfaceError
        self._module = module
        self._url = url

    def connect(self, database: str | None) -> Any:
        """A connection to ``database``, or to none, whose texts are UTF-8 whatever it is called.

        Its ``session_id`` is what the server calls it.

        Raises:
            InvalidRequest, DatabaseRefused: the URL is at fault.
            error: whatever else.
        """
        conversions = {**self._conversions(), **dict.fromkeys(_TEXT_TYPES, _AS_TEXT)}
        connection = self._connected(self._arguments(database) | {"use_unicode": False, "conv": conversions})
        # Asked now, because mysqlclient refuses a thread that asks while another waits for an answer.
        connection.session_id = connection.thread_id()
        return connection

    def connect_plainly(self, database: str | None) -> Any:
        """The same for SQLAlchemy: as the driver does it, and without autocommit."""
        return self._connected(self._arguments(database) | {"autocommit": False})

    def _conversions(self) -> dict[Any, Any]:
        """What the driver makes of values by itself."""
        return dict(import_module(f"{self._module.__name__}.converters").conversions)

    def _arguments(self, database: str | None) -> dict[str, Any]:
        url, query = self._url, self._url.query
        arguments: dict[str, Any] = {
            "host": url.host or "localhost",
            "port": url.port or 3306,
            "user": url.username or "",
            "password": str(query.get("password", "")) or url.password or "",
            "connect_timeout": self._seconds("connect_timeout") or _CONNECT_TIMEOUT_S,
            "charset": self.charset,
            "autocommit": True,
            "client_flag": _MULTI_STATEMENTS,
        }
        if database:
            arguments["database"] = database
        if "unix_socket" in query:
            arguments["unix_socket"] = query["unix_socket"]
        for name in ("read_timeout", "write_timeout"):
            if name in query:
                arguments[name] = self._seconds(name)
        return arguments

    @abstractmethod
    def _connected(self, arguments: dict[str, Any]) -> Any: ...

    def _seconds(self, name: str) -> int | None:
        value = self._url.query.get(name)
        if value is not None and not str(value).isdecimal():
            raise InvalidRequest(f"{name} in the MySQL URL is {value!r}; it takes a whole number of seconds")
        return None if value is None else int(str(value))

    def _encryption(self) -> "_Encryption | None":
        """What the URL says about TLS; ``None``: nothing."""
        query = {name: str(value) for name, value in self._url.query.items() if name.startswith("ssl")}
        if not query:
            return None
        files = {name.removeprefix("ssl_"): query[name] for name in _SSL_FILES if name in query}
        checks_name = _is_true(query.get("ssl_verify_identity", "false"))
        has_authority = "ca" in files or "capath" in files
        return _Encryption(
            is_wanted=query.get("ssl", "").lower() not in ("0", "false", "no", "off", "disabled"),
            files=files,
            checks_certificate=checks_name or _is_true(query.get("ssl_verify_cert", str(has_authority))),
            checks_name=checks_name,
        )


class _Encryption:
    def __init__(
        self, *, is_wanted: bool, files: dict[str, str], checks_certificate: bool, checks_name: bool
    ) -> None:
        self.is_wanted = is_wanted
        self.files = files
        self.checks_certificate = checks_certificate
        self.checks_name = checks_name


class PyMySQL(Driver):
    core_name = "pymysql"

    def _connected(self, arguments: dict[str, Any]) -> Any:
        from headwater.storage.dialects.mysql_rows import connection_class

        # It would encode a text as latin1, and everybody else's clients as UTF-8.
        arguments["password"] = arguments["password"].encode()
        encryption = self._encryption()
        if encryption is not None and encryption.is_wanted:
            arguments["ssl"] = _context(encryption)
        elif encryption is not None:
            arguments["ssl_disabled"] = True
        connect = connection_class() if "conv" in arguments else self._module.connect
        connection = connect(**arguments)
        _keep_alive(connection._sock)
        return connection


def _context(encryption: _Encryption) -> ssl.SSLContext:
    files = encryption.files
    try:
        context = ssl.create_default_context(cafile=files.get("ca"), capath=files.get("capath"))
        # The certificates that MySQL makes for itself do not keep the newest rules.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        context.check_hostname = encryption.checks_name
        context.verify_mode = ssl.CERT_REQUIRED if encryption.checks_certificate else ssl.CERT_NONE
        if "cert" in files:
            context.load_cert_chain(files["cert"], files.get("key"))
        if "cipher" in files:
            context.set_ciphers(files["cipher"])
    except (OSError, ssl.SSLError) as error:
        raise DatabaseRefused(
            "ssl_ca, ssl_capath, ssl_cert or ssl_key in the MySQL URL cannot be read as certificates or a "
            f"key in PEM, or ssl_cipher names none: {error.strerror or type(error).__name__}"
        ) from error
    return context


class Mysqlclient(Driver):
    core_name = "mysqldb"
    _has_no_tls = False
    """Whether the server was found to have none."""

    def _connected(self, arguments: dict[str, Any]) -> Any:
        if "unix_socket" in arguments:
            arguments["host"] = "localhost"
        elif arguments["host"] == "localhost":
            # To the C library this name means a Unix socket whatever the port, and to PyMySQL the network.
            arguments["host"] = "127.0.0.1"
        connection = self._connected_by_tls(arguments, self._encryption())
        _keep_alive(socket.socket(fileno=os.dup(connection.fileno())))
        return connection

    def _connected_by_tls(self, arguments: dict[str, Any], encryption: _Encryption | None) -> Any:
        if encryption is None and "unix_socket" not in arguments and not self._has_no_tls:
            # A library of MariaDB's has no way to say "if the server can".
            try:
                return self._module.connect(**arguments, ssl_mode="REQUIRED")
            except self.error as error:
                if error.args[0] != _NO_TLS:
                    raise
            self._has_no_tls = True
        if encryption is None or not encryption.is_wanted:
            return self._module.connect(**arguments, ssl_mode="DISABLED")
        files = encryption.files
        # The same library checks the name whenever it checks the certificate.
        mode = "VERIFY_IDENTITY" if encryption.checks_name else "VERIFY_CA"
        if not encryption.checks_certificate:
            mode = "REQUIRED"
            files = {name: file for name, file in files.items() if name not in ("ca", "capath")}
        return self._module.connect(**arguments, ssl_mode=mode, ssl=files)


def driver_for(url: sa.URL) -> Driver:
    """The driver that ``url`` names, or the fastest that is installed.

    Raises:
        InvalidRequest: something in the URL that is not known.
        DatabaseRefused: it is not installed, or none is.
    """
    _, _, named = url.drivername.partition("+")
    known: dict[str, tuple[str, type[Driver]]] = {
        "mysqldb": ("MySQLdb", Mysqlclient),
        "pymysql": ("pymysql", PyMySQL),
    }
    if named and named not in known:
        raise InvalidRequest(
            f"the URL names the driver {named!r}; MySQL and MariaDB are reached through mysql+pymysql:// or "
            "mysql+mysqldb:// (mysqlclient), and mysql:// takes what is installed"
        )
    choice = [known[named]] if named else list(known.values())
    if any(name.startswith("ssl") for name in url.query):
        # Python checks a certificate in every way that can be asked for, on every machine.
        choice.reverse()
    for module, driver in choice:
        try:
            return driver(url, import_module(module))
        except ImportError:
            continue
    raise DatabaseRefused(
        "MySQL and MariaDB need a driver: run pip install 'headwater[mysql]' (PyMySQL), or install "
        "mysqlclient"
    )


def _is_true(value: Any) -> bool:
    return str(value).lower() in ("1", "true", "yes", "on")


def _keep_alive(shared: socket.socket | None) -> None:
    """Notice a server that is gone without a word; drivers would wait for an answer for hours."""
    if shared is None or shared.family == getattr(socket, "AF_UNIX", None):
        return
    settings = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 30_000}
    shared.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in settings.items():
        if hasattr(socket, name):  # Not every system has all of them.
            shared.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
