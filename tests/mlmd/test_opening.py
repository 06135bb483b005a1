"""Which database a configuration of ML Metadata names, and what is refused."""

import subprocess
from pathlib import Path

import pytest
import sqlalchemy as sa
from support import PEERS_PYTHON, needs_mlmd

from headwater import mlmd
from headwater.errors import InvalidRequest
from headwater.mlmd.opening import database_url, may_create_database
from headwater.v1 import metadata_store_pb2 as pb

# Whatever has a meaning in a URL, in a query, in libpq's parameters or in a shell.
AWKWARD = "p@ss:w/o?r=d&#%25 +'\"\\é💧"


def mysql(**fields):
    return pb.ConnectionConfig(mysql=pb.MySQLDatabaseConfig(**fields))


def postgresql(**fields):
    return pb.ConnectionConfig(postgresql=pb.PostgreSQLDatabaseConfig(**fields))


def sqlite(filename_uri, mode=pb.SqliteMetadataSourceConfig.UNKNOWN):
    return pb.ConnectionConfig(
        sqlite=pb.SqliteMetadataSourceConfig(filename_uri=filename_uri, connection_mode=mode)
    )


@pytest.mark.parametrize(
    ("config", "url"),
    [
        pytest.param(pb.ConnectionConfig(fake_database={}), "sqlite://", id="fake"),
        pytest.param(sqlite(""), "sqlite://", id="sqlite in memory"),
        pytest.param(sqlite("/var/lib/m.db"), "sqlite:////var/lib/m.db", id="sqlite path"),
        pytest.param(sqlite("m.db"), "sqlite:///m.db", id="sqlite relative path"),
        pytest.param(
            mysql(host="mysql", database="metadb", user="root"),
            "mysql://root@mysql:3306/metadb",
            id="mysql, its usual port, no password",
        ),
        pytest.param(
            mysql(host="::1", port=3307, database="metadb", user="root", password="secret"),
            "mysql://root:secret@[::1]:3307/metadb",
            id="mysql at an IPv6 address",
        ),
        pytest.param(
            mysql(socket="/run/mysqld/mysqld.sock", database="metadb", user="root", port=3307),
            "mysql://root@/metadb?unix_socket=%2Frun%2Fmysqld%2Fmysqld.sock",
            id="mysql socket",
        ),
        pytest.param(
            mysql(host="mysql", database="metadb"), "mysql://mysql:3306/metadb", id="mysql, no user"
        ),
        pytest.param(
            mysql(
                host="mysql",
                database="metadb",
                ssl_options={"key": "/k", "cert": "/c", "ca": "/a", "capath": "/d", "cipher": "AES"}
                | {"verify_server_cert": True},
            ),
            "mysql://mysql:3306/metadb?ssl_ca=%2Fa&ssl_capath=%2Fd&ssl_cert=%2Fc&ssl_cipher=AES&ssl_key=%2Fk"
            "&ssl_verify_identity=true",
            id="mysql TLS",
        ),
        pytest.param(
            postgresql(host="postgres", port="5433", user="root", password="secret", dbname="mlmd"),
            "postgresql://root:secret@postgres:5433/mlmd",
            id="postgresql",
        ),
        pytest.param(
            postgresql(host="postgres", user="root", dbname="mlmd"),
            "postgresql://root@postgres:5432/mlmd",
            id="postgresql, its usual port",
        ),
        pytest.param(
            postgresql(hostaddr="10.0.0.1", port="5432", user="root", dbname="mlmd"),
            "postgresql://root@/mlmd?hostaddr=10.0.0.1&port=5432",
            id="postgresql address",
        ),
        pytest.param(
            postgresql(host="/run/postgresql", user="root", dbname="mlmd"),
            "postgresql://root@/mlmd?host=%2Frun%2Fpostgresql&port=5432",
            id="postgresql socket",
        ),
        pytest.param(
            postgresql(host="a,b", port="5432,5433", user="root", dbname="mlmd"),
            "postgresql://root@/mlmd?host=a%2Cb&port=5432%2C5433",
            id="postgresql, two hosts",
        ),
        pytest.param(
            postgresql(
                host="postgres",
                user="root",
                dbname="mlmd",
                passfile="/etc/pgpass",
                ssloption={"sslmode": "verify-full", "sslcert": "/c", "sslkey": "/k", "sslrootcert": "/a"}
                | {"sslpassword": "x"},
            ),
            "postgresql://root@postgres:5432/mlmd?passfile=%2Fetc%2Fpgpass&sslcert=%2Fc&sslkey=%2Fk"
            "&sslmode=verify-full&sslpassword=x&sslrootcert=%2Fa",
            id="postgresql TLS and password file",
        ),
    ],
)
def test_a_configuration_is_a_url(config, url):
    assert sa.make_url(database_url(config)) == sa.make_url(url)


@pytest.mark.parametrize(
    "config",
    [
        mysql(host="h", database="d", user=AWKWARD, password=AWKWARD, ssl_options={"ca": AWKWARD}),
        postgresql(host="h", dbname="d", user=AWKWARD, password=AWKWARD, ssloption={"sslrootcert": AWKWARD}),
    ],
    ids=["mysql", "postgresql"],
)
def test_any_character_of_a_name_or_password_survives(config):
    url = sa.make_url(database_url(config))

    assert (url.username, url.password, *url.query.values()) == (AWKWARD, AWKWARD, AWKWARD)
    assert (url.host, url.database) == ("h", "d")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        pytest.param(pb.ConnectionConfig(), "is empty", id="nothing"),
        pytest.param(mysql(database="d"), "exactly one of host and socket", id="mysql nowhere"),
        pytest.param(
            mysql(host="h", socket="/s", database="d"), "exactly one of host and socket", id="mysql twice"
        ),
        pytest.param(mysql(host="h"), "the name of the database", id="mysql without database"),
        pytest.param(postgresql(user="u", dbname="d"), "one of host and hostaddr", id="postgresql nowhere"),
        pytest.param(
            postgresql(host="h", hostaddr="::1", user="u", dbname="d"),
            "one of host and hostaddr",
            id="postgresql twice",
        ),
        pytest.param(postgresql(host="h", dbname="d"), "needs user", id="postgresql without user"),
        pytest.param(postgresql(host="h", user="u"), "needs dbname", id="postgresql without database"),
        pytest.param(
            postgresql(host="h", port="x", user="u", dbname="d"), "the port 'x'", id="postgresql port"
        ),
    ],
)
def test_half_a_configuration_is_refused(config, message):
    with pytest.raises(InvalidRequest, match=message):
        database_url(config)


@pytest.mark.parametrize(
    ("config", "may"),
    [
        pytest.param(mysql(host="h", database="d"), True, id="mysql"),
        pytest.param(mysql(host="h", database="d", skip_db_creation=True), False, id="mysql, not"),
        pytest.param(postgresql(host="h", dbname="d"), True, id="postgresql"),
        pytest.param(postgresql(host="h", dbname="d", skip_db_creation=True), False, id="postgresql, not"),
        pytest.param(sqlite("m.db"), True, id="sqlite"),
    ],
)
def test_skip_db_creation_forbids_making_the_database(config, may):
    assert may_create_database(config) is may


@pytest.mark.parametrize("mode", ["READONLY", "READWRITE"])
def test_a_file_that_must_exist_is_not_made_by_sqlite(tmp_path, mode):
    file = tmp_path / "a b?c.db"

    url = database_url(sqlite(str(file), pb.SqliteMetadataSourceConfig.ConnectionMode.Value(mode)))

    with pytest.raises(sa.exc.OperationalError, match="unable to open"):
        sa.create_engine(url).connect()
    assert not file.exists()


# In process, on real servers


@pytest.fixture
def place(database_url):
    """The URL of an empty database on a server."""
    return sa.make_url(database_url)


@pytest.fixture
def config(place):
    """The same as a configuration."""
    account = {"user": place.username, "password": place.password, "host": place.host}
    if place.get_backend_name() == "mysql":
        return mysql(**account, port=place.port, database=place.database)
    return postgresql(**account, port=place.port and str(place.port), dbname=place.database)


@pytest.mark.backends("postgresql", "mysql")
def test_a_store_on_a_server_is_opened_in_process_and_kept(config):
    mlmd.MetadataStore(config).put_artifact_type(pb.ArtifactType(name="Dataset"))

    assert [kind.name for kind in mlmd.MetadataStore(config).get_artifact_types()] == ["Dataset"]


@pytest.mark.backends("postgresql", "mysql")
def test_a_database_that_is_not_there_is_not_made_with_skip_db_creation(config):
    which = getattr(config, config.WhichOneof("config"))
    setattr(which, "database" if which is config.mysql else "dbname", "headwater_not_there")
    which.skip_db_creation = True

    with pytest.raises(RuntimeError, match="has no database 'headwater_not_there'"):
        mlmd.MetadataStore(config)


@needs_mlmd
@pytest.mark.backends("postgresql", "mysql")
def test_a_database_of_an_older_schema_is_upgraded_only_if_that_is_enabled(config, place):
    mlmd.MetadataStore(config).put_artifact_type(pb.ArtifactType(name="Dataset"))
    migrate = Path(__file__).parents[1] / "peers" / "mlmd_migrate.py"
    url = place.render_as_string(hide_password=False)
    subprocess.run([PEERS_PYTHON, migrate, "--down-to", "8", url], check=True, capture_output=True)

    with pytest.raises(RuntimeError, match="has schema version 8"):
        mlmd.MetadataStore(config)
    store = mlmd.MetadataStore(config, enable_upgrade_migration=True)
    assert [kind.name for kind in store.get_artifact_types()] == ["Dataset"]
