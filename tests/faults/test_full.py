"""No room left: on the disk of the database, or among its connections."""

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from databases import MySQL, PostgreSQL, Server
from faults.load import put_types, step

from headwater.embedded import EmbeddedTransport, open_transport
from headwater.errors import ResourceExhausted, Unavailable
from headwater.storage.opening import open_database
from headwater.v1 import metadata_store_service_pb2 as rpc

pytestmark = pytest.mark.backends("postgresql", "mysql")

DISK_BYTES = 64 * 1024 * 1024
BALLAST_BYTES = 16 * 1024 * 1024
CONNECTIONS = 12


def mounted(directory: Path) -> None:
    """Make ``directory`` a small disk of its own, for the account that has it now."""
    owner = directory.stat()
    options = f"size={DISK_BYTES},uid={owner.st_uid},gid={owner.st_gid},mode=700"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(directory)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"a full disk: needs to mount a small one, and may not: {done.stderr.strip()}")


@pytest.fixture
def small_disk(own_server: Server) -> Iterator[tuple[str, Path]]:
    """The URL of a database on a small disk, and the folder where that is mounted."""
    if os.geteuid() or not shutil.which("mount"):
        pytest.skip("a full disk: needs to mount a small one, which only root may")
    data = Path(
        own_server.execute(
            "SHOW data_directory" if own_server.backend == "postgresql" else "SELECT @@datadir"
        )[0][0]
    )
    if own_server.backend == "postgresql":
        directory = Path(tempfile.mkdtemp(prefix="hw-disk-", dir="/tmp"))
        owner = data.stat()
        os.chown(directory, owner.st_uid, owner.st_gid)
        mounted(directory)
        own_server.execute(f"CREATE TABLESPACE small LOCATION '{directory}'")
        name = own_server.create_database("TABLESPACE small")
    else:
        name = own_server.create_database()
        directory = data / name
        mounted(directory)
    (directory / "ballast").write_bytes(b"0" * BALLAST_BYTES)
    try:
        yield own_server.url(name), directory
    finally:
        (directory / "ballast").unlink(missing_ok=True)
        if own_server.backend == "postgresql":
            own_server.drop_database(name)
            own_server.execute("DROP TABLESPACE small")
        else:
            for (table,) in own_server.execute(f"SHOW TABLES FROM {name}"):
                own_server.execute(f"DROP TABLE {name}.{table}")
        subprocess.run(["umount", "-l", str(directory)], check=True)
        if own_server.backend == "postgresql":
            directory.rmdir()
        else:
            own_server.drop_database(name)


def test_the_disk_is_full_in_the_middle_of_writing(small_disk: tuple[str, Path]) -> None:
    url, directory = small_disk
    store = open_transport(url)
    types = put_types(store.call)
    acknowledged: list[int] = []

    def large() -> rpc.PutArtifactsRequest:
        request = rpc.PutArtifactsRequest()
        for _ in range(4):
            artifact = request.artifacts.add(type_id=types.artifact_type_ids[0])
            for number in range(60):  # PostgreSQL's indexes hold no larger values.
                artifact.custom_properties[f"noise {number}"].string_value = secrets.token_hex(1_000)
        return request

    with pytest.raises(ResourceExhausted) as full:
        for _ in range(DISK_BYTES // 100_000):
            acknowledged += store.call("PutArtifacts", large()).artifact_ids
    assert str(full.value) == "the disk of the database is full; nothing of this request was stored"
    assert acknowledged

    found = store.call("GetArtifacts", rpc.GetArtifactsRequest()).artifacts
    assert [artifact.id for artifact in found] == acknowledged
    assert all(len(artifact.custom_properties) == 60 for artifact in found)
    (directory / "ballast").unlink()
    more = store.call("PutArtifacts", large()).artifact_ids
    assert len(store.call("GetArtifacts", rpc.GetArtifactsRequest()).artifacts) == len(acknowledged) + len(
        more
    )
    store.close()


@pytest.fixture(scope="module")
def narrow_server(backend: str) -> Iterator[Server]:
    """A database server that lets few in."""
    settings = {
        "postgresql": {"max_connections": str(CONNECTIONS), "superuser_reserved_connections": "3"},
        "mysql": {"max-connections": str(CONNECTIONS)},
    }[backend]
    server = {"postgresql": PostgreSQL, "mysql": MySQL}[backend].private(settings=settings)
    yield server
    server.close()


def test_too_many_connections(narrow_server: Server) -> None:
    name = narrow_server.create_database()
    narrow_server.add_user("ann", "s3kr1t")
    if narrow_server.backend == "postgresql":
        with narrow_server.connection(name) as connection:
            connection.execute("GRANT ALL ON SCHEMA public TO ann")
    else:
        narrow_server.execute(f"GRANT ALL ON {name}.* TO ann")
    url = narrow_server.url(name, user="ann", password="s3kr1t")
    database = open_database(url, connection_patience_s=0.2, connections=4)
    call = EmbeddedTransport(database).call
    types = put_types(call)
    taken = []
    try:
        while len(taken) <= CONNECTIONS:
            taken.append(open_database(url, connection_patience_s=0.2, connections=1))
            taken[-1].read(lambda tx: tx.begun())
        raise AssertionError("everybody was let in")
    except Unavailable as refused:
        said = str(refused)

    kind = "PostgreSQL" if narrow_server.backend == "postgresql" else "MySQL"
    assert said == (
        f"{kind} at 127.0.0.1:{narrow_server.port} has no connection left; "
        "raise its max_connections or lower --database-connections"
    )
    assert "s3kr1t" not in said
    # Who is in goes on.
    assert call("PutExecution", step(types, "one")).execution_id
    for one in taken:
        one.close()
    assert call("PutExecution", step(types, "two")).execution_id
    database.close()


@pytest.mark.backends("mysql")
def test_a_request_larger_than_a_packet(own_server: Server, own_url: str) -> None:
    own_server.execute("SET GLOBAL max_allowed_packet = 1048576")
    try:
        store = open_transport(own_url)
        types = put_types(store.call)
        before = None
        request = rpc.PutArtifactsRequest()
        for _ in range(20):  # Together larger than a packet, each of them smaller.
            artifact = request.artifacts.add(type_id=types.artifact_type_ids[0])
            artifact.custom_properties["noise"].string_value = secrets.token_hex(100_000)
        assert len(store.call("PutArtifacts", request).artifact_ids) == 20
        before = store.call("GetArtifacts", rpc.GetArtifactsRequest())

        request.artifacts[0].custom_properties["noise"].string_value = "x" * 2_000_000
        with pytest.raises(
            ResourceExhausted, match="larger than the database takes; raise its max_allowed_packet"
        ):
            store.call("PutArtifacts", request)

        assert store.call("GetArtifacts", rpc.GetArtifactsRequest()) == before
        store.close()
    finally:
        own_server.execute("SET GLOBAL max_allowed_packet = 16777216")
