"""Encrypted connections to the database: wanted, checked, refused."""

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
import trustme
from databases import MySQL, PostgreSQL, Server

from headwater.errors import DatabaseRefused
from headwater.storage.opening import open_database

pytestmark = pytest.mark.backends("postgresql", "mysql")


@pytest.fixture(scope="module")
def certificates(backend: str) -> Iterator[Path]:
    """A folder with ``ca.pem``, the server's ``cert.pem`` and ``key.pem``, and another's ``other.pem``."""
    with tempfile.TemporaryDirectory(prefix="hw-tls-", dir="/tmp") as name:
        folder = Path(name)
        authority = trustme.CA()
        server = authority.issue_cert("db.example")
        authority.cert_pem.write_to_path(folder / "ca.pem")
        trustme.CA().cert_pem.write_to_path(folder / "other.pem")
        server.private_key_pem.write_to_path(folder / "key.pem")
        for blob in server.cert_chain_pems:
            blob.write_to_path(folder / "cert.pem", append=True)
        (folder / "key.pem").chmod(0o600)
        if os.geteuid() == 0:
            account = pwd.getpwnam({"postgresql": "postgres", "mysql": "mysql"}[backend])
            for path in (folder, *folder.iterdir()):
                os.chown(path, account.pw_uid, account.pw_gid)
        yield folder


class _OfMachine(PostgreSQL):
    """The machine's own PostgreSQL, since the one from PyPI cannot encrypt."""

    @classmethod
    def _find(cls) -> Path:
        found = [*sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres")), shutil.which("postgres")]
        if found[-1] is None:
            found.pop()
        if not found:
            pytest.skip("PostgreSQL with TLS: install the system's package (Debian: postgresql)")
        return Path(found[-1]).resolve()


@pytest.fixture(scope="module")
def encrypting_server(backend: str, certificates: Path) -> Iterator[Server]:
    cert, key = str(certificates / "cert.pem"), str(certificates / "key.pem")
    if backend == "postgresql":
        server: Server = _OfMachine.private(
            settings={"ssl": "on", "ssl_cert_file": cert, "ssl_key_file": key}
        )
    else:
        server = MySQL.private(
            settings={"ssl-cert": cert, "ssl-key": key, "ssl-ca": str(certificates / "ca.pem")}
        )
    yield server
    server.close()


@pytest.fixture
def encrypted_url(encrypting_server: Server) -> Iterator[str]:
    name = encrypting_server.create_database()
    yield encrypting_server.url(name)
    encrypting_server.drop_database(name)


def is_encrypted(server: Server, url: str, **parameters: str) -> bool:
    """Whether a store that is opened with these parameters talks to its database in secret."""
    opened = sa.make_url(url).update_query_dict(parameters).render_as_string(hide_password=False)
    database = open_database(opened)
    if server.backend == "postgresql":
        query = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    else:
        query = "SHOW SESSION STATUS LIKE 'Ssl_cipher'"
    connection = database.dialect.connect()
    try:
        cursor = connection.cursor()
        cursor.execute(query.encode())
        ((*_, answer),) = cursor.fetchall()
        return bool(answer)
    finally:
        connection.close()
        database.close()


def authority(backend: str, file: Path, *, checks_name: bool = False) -> dict[str, str]:
    if backend == "postgresql":
        return {"sslmode": "verify-full" if checks_name else "verify-ca", "sslrootcert": str(file)}
    return {"ssl_ca": str(file), "ssl_verify_identity": str(checks_name).lower()}


def test_a_connection_is_encrypted_where_the_server_offers_it(
    encrypting_server: Server, encrypted_url: str
) -> None:
    assert is_encrypted(encrypting_server, encrypted_url)


def test_the_certificate_of_the_right_authority(
    encrypting_server: Server, encrypted_url: str, certificates: Path
) -> None:
    parameters = authority(encrypting_server.backend, certificates / "ca.pem")

    assert is_encrypted(encrypting_server, encrypted_url, **parameters)


@pytest.mark.parametrize("fault", ["another authority", "another name"])
def test_the_wrong_certificate(
    fault: str, encrypting_server: Server, encrypted_url: str, certificates: Path
) -> None:
    file = certificates / ("other.pem" if fault == "another authority" else "ca.pem")
    parameters = authority(encrypting_server.backend, file, checks_name=fault == "another name")

    with pytest.raises(DatabaseRefused, match=r"the encrypted connection to .* failed; check ssl"):
        is_encrypted(encrypting_server, encrypted_url, **parameters)


def test_a_file_that_is_not_there(encrypting_server: Server, encrypted_url: str) -> None:
    parameters = authority(encrypting_server.backend, Path("/not/there.pem"))

    with pytest.raises(DatabaseRefused, match="ssl"):
        is_encrypted(encrypting_server, encrypted_url, **parameters)


def test_a_server_without_encryption(own_server: Server, own_url: str, certificates: Path) -> None:
    parameters = authority(own_server.backend, certificates / "ca.pem")

    assert not is_encrypted(own_server, own_url)
    with pytest.raises(DatabaseRefused, match=r"the encrypted connection to .* failed"):
        is_encrypted(own_server, own_url, **parameters)
