"""``headwater mlmd-server`` on PostgreSQL and MySQL: started as Kubeflow Pipelines starts MLMD's server."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import trustme
from servers import MySQL, PostgreSQL, Server, Unobtainable
from support import PEERS_PYTHON, mlmd_engine, needs_mlmd

from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc

from .conftest import PATIENCE_S, headwater, refused
from .test_mlmd_server import READ_BACK, artifact_types, client_of_mlmd, put_type

pytestmark = pytest.mark.backends("postgresql", "mysql")

ROOT = Path(__file__).parents[2]

# Blanks, quotes and what a URL, libpq or a shell could take for something else.
PASSWORD = "p@ss w/o?r=d&#%25+'\"\\é"

CHANNEL_ARGUMENTS = (
    "--grpc_channel_arguments=grpc.max_metadata_size=16384,grpc.max_receive_message_length=104857600,"
    "grpc.max_send_message_length=104857600"
)
# The arguments in manifests/kustomize of https://github.com/kubeflow/pipelines, 2.17.
KFP = {
    "mysql": [
        pytest.param(
            [
                "--grpc_port=8080",
                "--mysql_config_database=$(MYSQL_DATABASE)",
                "--mysql_config_host=$(MYSQL_HOST)",
                "--mysql_config_port=$(MYSQL_PORT)",
                "--mysql_config_user=$(DBCONFIG_USER)",
                "--mysql_config_password=$(DBCONFIG_PASSWORD)",
                "--enable_database_upgrade=true",
                CHANNEL_ARGUMENTS,
            ],
            id="base/metadata/base",
        ),
        pytest.param(
            [
                "--grpc_port=$(METADATA_GRPC_SERVICE_PORT)",
                "--mysql_config_host=$(MLMD_DB_HOST)",
                "--mysql_config_database=$(MYSQL_DATABASE)",
                "--mysql_config_port=$(MYSQL_PORT)",
                "--mysql_config_user=$(MYSQL_USER_NAME)",
                "--mysql_config_password=$(MYSQL_ROOT_PASSWORD)",
            ],
            id="base/metadata/overlays/db",
        ),
        pytest.param(
            [
                "--grpc_port=8080",
                "--metadata_store_server_config_file=/etc/grpc/config.proto",
                "--enable_database_upgrade=true",
                CHANNEL_ARGUMENTS,
            ],
            id="env/cert-manager/platform-agnostic-standalone-tls",
        ),
    ],
    "postgresql": [
        pytest.param(
            [
                "--grpc_port=$(METADATA_GRPC_SERVICE_PORT)",
                "--metadata_source_config_type=postgresql",
                "--postgres_config_host=$(MLMD_DB_HOST)",
                "--postgres_config_port=$(POSTGRES_PORT)",
                "--postgres_config_dbname=$(POSTGRES_DBNAME)",
                "--postgres_config_user=$(POSTGRES_USER)",
                "--postgres_config_password=$(POSTGRES_PASSWORD)",
                "--enable_database_upgrade=true",
            ],
            id="base/metadata/overlays/postgres",
        ),
    ],
}


@dataclass(frozen=True)
class Place:
    """A database that is not made yet, and a user who may make it."""

    server: Server
    database: str
    user: str = "kfp"
    password: str = PASSWORD

    @property
    def flags(self) -> list[str]:
        """Flags that name it."""
        if self.server.backend == "mysql":
            prefix, parts = "mysql_config_", {"database": self.database}
        else:
            prefix, parts = "postgres_config_", {"dbname": self.database}
        parts |= {"host": self.server.host, "port": self.server.port}
        parts |= {"user": self.user, "password": self.password}
        source = f"--metadata_source_config_type={self.server.backend}"
        return [source, *(f"--{prefix}{name}={value}" for name, value in parts.items())]

    def config(self, more: str = "") -> str:
        """The same as a ``connection_config``, with ``more`` in it."""
        escaped = self.password.replace("\\", "\\\\").replace('"', '\\"')
        is_mysql = self.server.backend == "mysql"
        port = f"port: {self.server.port}" if is_mysql else f'port: "{self.server.port}"'
        database = f'{"database" if is_mysql else "dbname"}: "{self.database}"'
        return f"""
            connection_config {{
              {self.server.backend} {{
                host: "{self.server.host}"
                {port}
                {database}
                user: "{self.user}"
                password: "{escaped}"
                {more}
              }}
            }}"""

    def filled(self, arguments: list[str]) -> list[str]:
        """Arguments of a manifest as Kubernetes passes them on."""
        values = {
            "METADATA_GRPC_SERVICE_PORT": 8080,
            **dict.fromkeys(("MYSQL_DATABASE", "POSTGRES_DBNAME"), self.database),
            **dict.fromkeys(("MYSQL_HOST", "MLMD_DB_HOST"), self.server.host),
            **dict.fromkeys(("MYSQL_PORT", "POSTGRES_PORT"), self.server.port),
            **dict.fromkeys(("DBCONFIG_USER", "MYSQL_USER_NAME", "POSTGRES_USER"), self.user),
            **dict.fromkeys(("DBCONFIG_PASSWORD", "MYSQL_ROOT_PASSWORD", "POSTGRES_PASSWORD"), self.password),
        }
        return [re.sub(r"\$\((\w+)\)", lambda found: str(values[found[1]]), one) for one in arguments]


@pytest.fixture(scope="module")
def database_server(backend):
    """A server of these tests' own, which they may stop, with a user who has a password."""
    try:
        server = {"postgresql": PostgreSQL, "mysql": MySQL}[backend].private()
    except Unobtainable as missing:
        pytest.skip(str(missing))
    server.add_user("kfp", PASSWORD)
    server.execute("ALTER ROLE kfp CREATEDB" if backend == "postgresql" else "GRANT ALL ON *.* TO kfp@'%'")
    yield server
    server.close()


@pytest.fixture
def unused_port():
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def place(database_server):
    name = database_server.create_database()
    database_server.drop_database(name)
    yield Place(database_server, name)
    database_server.drop_database(name)


def has_read_back_what_the_engine_reads(server, place):
    """Whether MLMD's client is content with a server, and its engine with what the server wrote."""
    assert client_of_mlmd(server.address) == READ_BACK
    with mlmd_engine(place.server.url(place.database)) as call:
        artifacts = call("GetArtifacts", rpc.GetArtifactsRequest()).artifacts
    return sorted((artifact.name, artifact.uri) for artifact in artifacts) == [
        ("model", ""),
        ("taxi", READ_BACK["uri"]),
    ]


@needs_mlmd
@pytest.mark.backends("mysql")
@pytest.mark.parametrize("arguments", KFP["mysql"])
def test_kubeflow_pipelines_with_mysql_changes_its_image_only(mlmd_server, config_file, place, arguments):
    file = config_file(place.config())  # The manifests add the TLS, of which test_mlmd_server has a test.

    server = mlmd_server(
        *(one.replace("/etc/grpc/config.proto", str(file)) for one in place.filled(arguments))
    )

    assert has_read_back_what_the_engine_reads(server, place)
    code, logged = server.stop()
    assert code == 0
    assert place.password not in logged


@needs_mlmd
@pytest.mark.backends("postgresql")
@pytest.mark.parametrize("arguments", KFP["postgresql"])
def test_kubeflow_pipelines_with_postgresql_changes_its_image_only(mlmd_server, place, arguments):
    server = mlmd_server(*place.filled(arguments))

    assert has_read_back_what_the_engine_reads(server, place)
    code, logged = server.stop()
    assert code == 0
    assert place.password not in logged


def test_the_command_of_the_image_in_the_documents_serves_and_ends_on_sigterm(tmp_path, place):
    (line,) = re.findall(
        r"printf .*metadata_store_server", (ROOT / "docs" / "mlmd-server.md").read_text(encoding="utf-8")
    )
    command = tmp_path / "metadata_store_server"
    subprocess.run(["/bin/sh", "-c", line.replace("/bin/metadata_store_server", str(command))], check=True)
    command.chmod(0o755)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

    with subprocess.Popen(
        [command, *place.flags, "--grpc_port=0"],
        env=os.environ | {"PATH": path},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        line = process.stdout.readline()
        process.send_signal(signal.SIGTERM)

        assert line.startswith("headwater ready on 0.0.0.0:")
        assert process.wait(PATIENCE_S) == 0


def test_what_was_stored_is_there_after_a_restart(mlmd_server, place, channel_to):
    first = mlmd_server(*place.flags)
    put_type(channel_to(first.address)).result()
    first.stop()

    assert artifact_types(channel_to(mlmd_server(*place.flags).address)) == ["Dataset"]


def test_a_password_comes_from_the_environment(mlmd_server, place, channel_to):
    flag, _, _ = place.flags[-1].partition("=")
    name = flag.removeprefix("--")

    server = mlmd_server(
        *place.flags[:-1], f"--fromenv={name}", env=os.environ | {f"FLAGS_{name}": place.password}
    )

    assert artifact_types(channel_to(server.address)) == []


# The database is not there, or not yet


def test_a_server_waits_for_a_database_that_comes_up_later(place, channel_to):
    place.server.stop()
    try:
        process = headwater("mlmd-server", *place.flags, "--grpc_port=0")
        logged = process.stderr.readline()
    finally:
        place.server.start()
    line = process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    _, rest = process.communicate(timeout=PATIENCE_S)

    assert 'message="the database cannot be opened yet"' in logged
    assert "attempt=1" in logged
    assert line.startswith("headwater ready on 0.0.0.0:")
    assert place.password not in logged + rest


def test_a_server_gives_up_after_the_retries_each_logged_once(place, unused_port):
    away = [re.sub(r"_port=.*", f"_port={unused_port}", flag) for flag in place.flags]

    code, said = refused("mlmd-server", *away, "--grpc_port=0", "--metadata_store_connection_retries=1")

    assert code == 1
    assert said.count("the database cannot be opened yet") == 1
    assert f"Error: {NAMES[place.server.backend]} at 127.0.0.1:{unused_port} cannot be reached" in said
    assert place.password not in said


NAMES = {"postgresql": "PostgreSQL", "mysql": "MySQL"}


def test_a_server_that_waits_for_its_database_ends_on_sigterm(place, unused_port):
    away = [re.sub(r"_port=.*", f"_port={unused_port}", flag) for flag in place.flags]
    process = headwater("mlmd-server", *away, "--grpc_port=0", "--metadata_store_connection_retries=1000")
    process.stderr.readline()

    process.send_signal(signal.SIGTERM)
    said, logged = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 128 + signal.SIGTERM
    assert (said, "Traceback" in logged) == ("", False)


def test_a_wrong_password_is_refused_at_once_and_not_repeated(place):
    code, said = refused("mlmd-server", *replace(place, password="wr0ng secret").flags, "--grpc_port=0")

    assert code == 1
    assert "refuses the user 'kfp'; check user and password" in said
    assert "cannot be opened yet" not in said
    assert "wr0ng" not in said


@pytest.fixture
def flags_skipping_creation(place, config_file):
    """Flags that forbid making the database; for MySQL only the configuration file can."""
    if place.server.backend == "postgresql":
        return [*place.flags, "--postgres_config_skip_db_creation"]
    return ["--metadata_store_server_config_file", config_file(place.config("skip_db_creation: true"))]


def test_skip_db_creation_refuses_a_database_that_is_not_there(place, flags_skipping_creation):
    code, said = refused("mlmd-server", *flags_skipping_creation, "--grpc_port=0")

    assert code == 1
    assert f"has no database '{place.database}'" in said


def test_skip_db_creation_makes_the_tables_in_a_database_that_is_there(
    mlmd_server, place, flags_skipping_creation, channel_to
):
    owner = "OWNER kfp" if place.server.backend == "postgresql" else ""
    place.server.execute(f"CREATE DATABASE {place.database} {owner}")

    assert artifact_types(channel_to(mlmd_server(*flags_skipping_creation).address)) == []


# TLS to the database


@pytest.fixture
def tls_files():
    """An authority's certificate, and a server's with its key, where any account may read them."""
    authority = trustme.CA()
    own = authority.issue_cert("localhost")
    with tempfile.TemporaryDirectory(prefix="hw-tls-", dir="/tmp") as directory:
        files = {name: Path(directory, name) for name in ("ca", "cert", "key")}
        authority.cert_pem.write_to_path(files["ca"])
        own.cert_chain_pems[0].write_to_path(files["cert"])
        own.private_key_pem.write_to_path(files["key"])
        Path(directory).chmod(0o755)
        files["key"].chmod(0o644)
        yield files


@pytest.mark.backends("mysql")
def test_ssl_options_encrypt_and_check_the_name_only_when_asked(mlmd_server, config_file, tls_files):
    settings = {"ssl-cert": tls_files["cert"], "ssl-key": tls_files["key"], "ssl-ca": tls_files["ca"]}
    server = MySQL.private(settings={name: str(file) for name, file in settings.items()})
    try:
        server.add_user("kfp", PASSWORD)
        server.execute("GRANT ALL ON *.* TO kfp@'%' REQUIRE SSL")
        place = Place(server, "encrypted")  # At 127.0.0.1, for which the certificate is not.
        options = f'ca: "{tls_files["ca"]}"'

        mlmd_server(
            "--metadata_store_server_config_file", config_file(place.config(f"ssl_options {{ {options} }}"))
        )
        file = config_file(place.config(f"ssl_options {{ {options} verify_server_cert: true }}"))
        code, said = refused("mlmd-server", "--metadata_store_server_config_file", file, "--grpc_port=0")
    finally:
        server.close()

    assert code == 1
    assert "the encrypted connection to MySQL" in said


@pytest.mark.backends("postgresql")
def test_sslmode_reaches_libpq(place):
    # The tests' PostgreSQL has no TLS.
    code, said = refused("mlmd-server", *place.flags, "--postgres_config_sslmode=require", "--grpc_port=0")

    assert code == 1
    assert "the encrypted connection to PostgreSQL" in said


# Databases that MLMD made


@pytest.fixture
def of_mlmd(place):
    """A database that MLMD's own engine made, with a type in it, and the user it did so as."""
    place.server.execute(f"CREATE DATABASE {place.database}")
    with mlmd_engine(place.server.url(place.database)) as call:
        call("PutArtifactType", rpc.PutArtifactTypeRequest(artifact_type=pb.ArtifactType(name="Dataset")))
    return replace(
        place, user={"postgresql": "headwater", "mysql": "root"}[place.server.backend], password=""
    )


@needs_mlmd
def test_a_database_of_ml_metadata_is_served_as_it_is(mlmd_server, of_mlmd, channel_to):
    assert artifact_types(channel_to(mlmd_server(*of_mlmd.flags).address)) == ["Dataset"]


@pytest.fixture
def old(of_mlmd):
    """The same, taken back to schema version 6 by MLMD's own engine."""
    migrate = ROOT / "tests" / "peers" / "mlmd_migrate.py"
    url = of_mlmd.server.url(of_mlmd.database)
    subprocess.run([PEERS_PYTHON, migrate, "--down-to", "6", url], check=True, capture_output=True)
    return of_mlmd


@needs_mlmd
def test_an_old_schema_is_refused_with_the_flag_that_upgrades_it(old):
    code, said = refused("mlmd-server", *old.flags, "--grpc_port=0", "--noenable_database_upgrade")

    assert code == 1
    assert "has schema version 6" in said
    assert "start with --enable_database_upgrade=true" in said


@needs_mlmd
def test_an_old_schema_is_upgraded_when_the_flag_is_given(mlmd_server, old, channel_to):
    server = mlmd_server(*old.flags, "--enable_database_upgrade")

    assert artifact_types(channel_to(server.address)) == ["Dataset"]
    _, logged = server.stop()
    assert "the database was upgraded" in logged


@needs_mlmd
def test_an_old_schema_is_upgraded_when_the_configuration_file_says_so(mlmd_server, old, config_file):
    file = config_file(old.config() + "migration_options { enable_upgrade_migration: true }")

    _, logged = mlmd_server("--metadata_store_server_config_file", file).stop()

    assert "the database was upgraded" in logged
