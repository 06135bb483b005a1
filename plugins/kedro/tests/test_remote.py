"""Datasets in an object store, reached with the credentials of the project."""

import boto3
import pytest
from moto.server import ThreadedMotoServer

CACHED = "--runner=headwater_kedro.CachedRunner"
SECRET = "very-secret-access-key"
CATALOG = """
raw: {type: text.TextDataset, filepath: s3://shop/raw.txt, credentials: bucket}
words: {type: json.JSONDataset, filepath: s3://shop/words.json, credentials: bucket, versioned: true}
count: {type: json.JSONDataset, filepath: data/count.json}
"""
NODES = "def words(text):\n    return text.split()\n\ndef count(words):\n    return len(words)\n"
PIPELINE = (
    "node(nodes.words, 'raw', 'words', name='words'), node(nodes.count, 'words', 'count', name='count')"
)


@pytest.fixture
def bucket(project):
    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id="someone",
        aws_secret_access_key=SECRET,
        region_name="us-east-1",
    )
    client.create_bucket(Bucket="shop")
    client.put_object(Bucket="shop", Key="raw.txt", Body=b"one two three")
    project.hold(NODES, PIPELINE, CATALOG)
    project.write(
        "conf/local/credentials.yml",
        f"bucket: {{key: someone, secret: {SECRET}, client_kwargs: {{endpoint_url: '{endpoint}'}}}}\n",
    )
    yield client
    server.stop()


def test_content_in_an_object_store_decides_as_that_of_files_does(project, bucket):
    project.run(CACHED)
    first = {step.step: step for step in project.steps()}
    project.run(CACHED)
    same = project.states()
    bucket.put_object(Bucket="shop", Key="raw.txt", Body=b"one two three four")
    project.run(CACHED)

    assert first["words"].inputs[0].uri == "s3://shop/raw.txt"
    assert first["words"].inputs[0].digest
    assert first["words"].outputs[0].uri.startswith("s3://shop/words.json/")
    assert same == {"words": ["CACHED"], "count": ["CACHED"]}
    assert project.states() == {"words": ["COMPLETE"], "count": ["COMPLETE"]}
    assert project.read("data/count.json") == "4"


def test_no_credential_is_recorded_even_where_the_store_refuses(project, bucket):
    project.run(CACHED)
    bucket.delete_object(Bucket="shop", Key="raw.txt")
    project.run(CACHED, fails=True)

    assert project.states() == {"words": ["FAILED"]}
    everything = b"".join(path.read_bytes() for path in (project.path / ".headwater").rglob("*.db*"))
    assert SECRET.encode() not in everything
    assert b"someone" not in everything
