"""``headwater mlmd-server`` as a process: started as ML Metadata's server is, asked by its clients."""

import json
import os
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
import trustme
from support import PEERS_PYTHON, needs_mlmd

from headwater.client import to_value
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc

from .conftest import PATIENCE_S, refused
from .test_serve import call

CLIENT = Path(__file__).parents[1] / "peers" / "mlmd_client.py"

READ_BACK = {
    "uri": "s3://b/é你💧",
    "rows": 3,
    "note": "100 % 'quoted'",
    "types": ["Dataset"],
    "events": [3, 4],
    "context": "monday",
    "found": ["taxi"],
}
"""What the client reads back from a store that was empty."""


def client_of_mlmd(*arguments):
    """What ML Metadata's own Python client reads back."""
    asked = subprocess.run(
        [PEERS_PYTHON, CLIENT, *arguments], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert asked.returncode == 0, asked.stderr
    return json.loads(asked.stdout)


@pytest.fixture
def sqlite_config(config_file, tmp_path):
    return config_file(f'connection_config {{ sqlite {{ filename_uri: "{tmp_path}/mlmd.db" }} }}')


def artifact_types(channel):
    return [
        kind.name
        for kind in call(channel, "GetArtifactTypes", rpc.GetArtifactTypesRequest()).result().artifact_types
    ]


def put_type(channel, **properties):
    request = rpc.PutArtifactTypeRequest(artifact_type=pb.ArtifactType(name="Dataset", properties=properties))
    return call(channel, "PutArtifactType", request)


# Where the store is


def test_a_configuration_file_names_the_store_which_is_kept(mlmd_server, sqlite_config, channel_to):
    # As the test environment of Kubeflow Pipelines' backend calls it: one dash, no equals sign.
    first = mlmd_server("-metadata_store_server_config_file", sqlite_config)
    put_type(channel_to(first.address)).result()
    code, _ = first.stop()

    second = mlmd_server("-metadata_store_server_config_file", sqlite_config)

    assert code == 0
    assert artifact_types(channel_to(second.address)) == ["Dataset"]


@needs_mlmd
def test_the_client_of_ml_metadata_works(mlmd_server, sqlite_config):
    server = mlmd_server(f"--metadata_store_server_config_file={sqlite_config}")

    assert client_of_mlmd(server.address) == READ_BACK


def test_without_a_word_on_the_database_a_warning_says_that_nothing_is_kept(mlmd_server, channel_to):
    server = mlmd_server()
    put_type(channel_to(server.address)).result()

    # The original would have forgotten it by now: it opens its store anew for each call.
    names = artifact_types(channel_to(server.address))
    _, logged = server.stop()

    assert names == ["Dataset"]
    assert "level=warning" in logged
    assert "in memory and is lost when the server ends" in logged


def test_flags_for_postgresql_alone_are_ignored_and_the_warning_says_so(mlmd_server):
    _, logged = mlmd_server("--postgres_config_host=h", "--postgres_config_dbname=d").stop()

    assert "ignored without --metadata_source_config_type=postgresql" in logged


BROKEN = 'connection_config {\n  mysql { host: "h" database: "d" password: t0psecret }\n}'


def test_a_configuration_file_that_cannot_be_read_is_passed_over_with_a_warning(mlmd_server, config_file):
    file = config_file(BROKEN)

    _, logged = mlmd_server("--metadata_store_server_config_file", file).stop()

    assert "the configuration file is passed over" in logged
    assert "at line 2, column 45" in logged
    assert "t0psecret" not in logged


def test_a_configuration_file_that_must_be_used_is_refused_without_repeating_it(config_file):
    file = config_file(BROKEN)

    code, said = refused(
        "mlmd-server",
        "--metadata_source_config_type=config_file",
        f"--metadata_store_server_config_file={file}",
    )

    assert code == 1
    assert f"'{file}' is no MetadataStoreServerConfig" in said
    assert "t0psecret" not in said


SOURCE = "--metadata_source_config_type="


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param([SOURCE + "config_file"], "needs --metadata_store_server_config_file", id="no file"),
        pytest.param(
            [SOURCE + "config_file", "--metadata_store_server_config_file=/nowhere"],
            "cannot read the configuration file '/nowhere': No such file or directory",
            id="missing file",
        ),
        pytest.param(
            [SOURCE + "mysql"], "--mysql_config_host and --mysql_config_database must be given", id="mysql"
        ),
        pytest.param(["--mysql_config_port=3306"], "--mysql_config_host and", id="mysql by default"),
        pytest.param(
            [SOURCE + "postgresql", "--postgres_config_host=h", "--postgres_config_hostaddr=::1"],
            "exactly one of --postgres_config_host and --postgres_config_hostaddr",
            id="postgresql twice",
        ),
        pytest.param(
            [SOURCE + "postgresql", "--postgres_config_host=h"],
            "--postgres_config_user and --postgres_config_dbname must be given",
            id="postgresql",
        ),
        pytest.param([SOURCE + "oracle"], "'oracle' is not one of 'default', 'config_file'", id="source"),
        pytest.param(
            ["--downgrade_db_schema_version=6"], "headwater does not downgrade a database", id="downgrade"
        ),
        pytest.param(["--grpc_channel_arguments=a=1,b"], "'b' is not NAME=VALUE", id="channel argument"),
        pytest.param(
            ["--grpc_channel_arguments=grpc.max_receive_message_length=4294967296"],
            "gRPC takes numbers from -2147483648 to 2147483647; -1 is no limit",
            id="number of a channel argument",
        ),
        pytest.param(["--grpc_prot=1"], "unknown flag --grpc_prot; did you mean --grpc_port?", id="unknown"),
    ],
)
def test_flags_that_contradict_or_lack_something_are_refused_with_advice(run, arguments, message):
    result = run("mlmd-server", *arguments)

    assert result.exit_code in (1, 2)
    assert message in result.stderr.replace("\n", " ")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        pytest.param("", "the ConnectionConfig is empty", id="empty"),
        pytest.param("migration_options { downgrade_to_schema_version: 6 }", "not downgrade", id="downgrade"),
        pytest.param(
            'connection_config { sqlite { filename_uri: "m.db" connection_mode: READONLY } }',
            "choose READWRITE",
            id="read only",
        ),
        pytest.param(
            'connection_config { sqlite { filename_uri: "/nowhere/m.db" connection_mode: READWRITE } }',
            "/nowhere/m.db",
            id="missing file",
        ),
        pytest.param(
            "connection_config { fake_database {} } ssl_config { server_key: 'k' }",
            "needs server_key and server_cert",
            id="half of TLS",
        ),
        pytest.param(
            "connection_config { fake_database {} }"
            "ssl_config { server_key: 'k' server_cert: 'c' client_verify: true }",
            "client_verify, which needs custom_ca",
            id="nobody to verify clients with",
        ),
        pytest.param(
            "connection_config { fake_database {} } ssl_config { server_key: 'k' server_cert: 'c' }",
            "server_cert and server_key in ssl_config of the configuration file are not a readable",
            id="no certificate",
        ),
    ],
)
def test_a_configuration_that_cannot_be_served_is_refused(run, config_file, config, message):
    result = run("mlmd-server", "--metadata_store_server_config_file", config_file(config), "--grpc_port=0")

    assert result.exit_code in (1, 2)
    assert message in result.stderr.replace("\n", " ")


# gRPC

KFP_CHANNEL_ARGUMENTS = (
    "grpc.max_metadata_size=16384,grpc.max_receive_message_length=104857600,"
    "grpc.max_send_message_length=104857600"
)


def put_note(channel, size_bytes):
    """Put an artifact with a note of this size."""
    type_id = put_type(channel).result().type_id
    note = pb.Artifact(type_id=type_id, custom_properties={"note": to_value("n" * size_bytes)})
    return call(channel, "PutArtifacts", rpc.PutArtifactsRequest(artifacts=[note]))


@pytest.mark.parametrize(
    ("channel_arguments", "code"),
    [
        pytest.param(KFP_CHANNEL_ARGUMENTS, grpc.StatusCode.OK, id="as Kubeflow Pipelines has it"),
        pytest.param("", grpc.StatusCode.OK, id="headwater's own limit"),
        pytest.param("grpc.max_receive_message_length=-1", grpc.StatusCode.OK, id="no limit"),
        pytest.param(
            "grpc.max_receive_message_length=5000000", grpc.StatusCode.RESOURCE_EXHAUSTED, id="below it"
        ),
    ],
)
def test_the_limit_of_a_request_of_6_mb_is_that_of_the_channel_arguments(
    mlmd_server, channel_to, channel_arguments, code
):
    server = mlmd_server(f"--grpc_channel_arguments={channel_arguments}")

    assert put_note(channel_to(server.address), 6_000_000).code() is code


def test_the_limit_of_an_answer_is_that_of_the_channel_arguments(mlmd_server, channel_to):
    channel = channel_to(mlmd_server("--grpc_channel_arguments=grpc.max_send_message_length=1000").address)
    put_note(channel, 2_000).result()

    assert (
        call(channel, "GetArtifacts", rpc.GetArtifactsRequest()).code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    )


# TLS


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority, tmp_path_factory):
    file = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(file)
    return file


def tls_config(authority, *, client_verify):
    """A configuration as Kubeflow Pipelines writes it: PEM in one line, its ends of line escaped."""
    certificate = authority.issue_cert("localhost")
    escaped = {
        "server_key": certificate.private_key_pem,
        "server_cert": certificate.cert_chain_pems[0],
        "custom_ca": authority.cert_pem,
    }
    lines = [
        f'{name}: "' + blob.bytes().decode().replace("\n", "\\n") + '"' for name, blob in escaped.items()
    ]
    return "connection_config {{ fake_database {{}} }}\nssl_config {{\n{}\nclient_verify: {}\n}}\n".format(
        "\n".join(lines), str(client_verify).lower()
    )


@needs_mlmd
def test_a_certificate_in_the_configuration_file_turns_tls_on(mlmd_server, config_file, authority, ca_file):
    file = config_file(tls_config(authority, client_verify=False))
    server = mlmd_server(f"--metadata_store_server_config_file={file}", "--enable_database_upgrade=true")

    assert client_of_mlmd(server.address, ca_file) == READ_BACK
    code, logged = server.stop()
    assert code == 0
    assert "PRIVATE KEY" not in logged


def test_client_verify_lets_in_only_those_with_a_certificate(mlmd_server, config_file, authority):
    server = mlmd_server(
        "--metadata_store_server_config_file",
        config_file(tls_config(authority, client_verify=True)),
    )
    own = authority.issue_cert("client")
    ca = authority.cert_pem.bytes()
    known = grpc.ssl_channel_credentials(ca, own.private_key_pem.bytes(), own.cert_chain_pems[0].bytes())

    with (
        grpc.secure_channel(server.address, known) as channel,
        grpc.secure_channel(server.address, grpc.ssl_channel_credentials(ca)) as stranger,
    ):
        assert artifact_types(channel) == []
        answer = call(stranger, "GetArtifactTypes", rpc.GetArtifactTypesRequest())
        assert answer.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has files without a place on the disk")
def test_the_private_key_of_a_killed_server_is_in_no_file(mlmd_server, config_file, authority, tmp_path):
    directory = tmp_path / "temporary"
    directory.mkdir()
    file = config_file(tls_config(authority, client_verify=False))

    server = mlmd_server(
        f"--metadata_store_server_config_file={file}", env=os.environ | {"TMPDIR": str(directory)}
    )
    server.process.kill()
    server.process.wait(PATIENCE_S)

    assert list(directory.iterdir()) == []
