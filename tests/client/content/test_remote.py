"""Digests of what is in other stores: fsspec's in memory, and a web server."""

import hashlib
import importlib.util
import socket
import threading
import tracemalloc
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import pytest
from client.content.conftest import sha256

from headwater.client.content import Content, digest_of
from headwater.client.content.remote import BLOCK_BYTES
from headwater.errors import (
    FailedPrecondition,
    HeadwaterError,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    Unavailable,
)


def test_an_object_has_the_digest_of_its_bytes(memory: fsspec.AbstractFileSystem):
    memory.pipe("/b/é k", b"data")
    memory.pipe("/b/empty", b"")

    assert digest_of("memory://b/é k") == Content(sha256(b"data"), 4, False, None)
    assert digest_of("memory:///b/empty") == Content(sha256(b""), 0, False, None)


def test_a_directory_has_the_digest_that_it_has_here(memory: fsspec.AbstractFileSystem, tmp_path: Path):
    for name, data in {"x/é 1": b"1", "x/2": b"22", "y": b"", "x-": b"3"}.items():
        memory.pipe(f"/b/d/{name}", data)
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    memory.pipe("/b/d2/other", b"")

    there = digest_of("memory://b/d")

    assert there == digest_of(tmp_path)
    assert there.is_directory
    assert there.size_bytes == 4


def test_what_is_not_there_is_not_found(memory: fsspec.AbstractFileSystem):
    with pytest.raises(NotFound) as missing:
        digest_of("memory://b/missing")

    assert str(missing.value) == "memory://b/missing is not there"


def test_a_scheme_that_fsspec_does_not_know_is_refused():
    with pytest.raises(InvalidRequest) as refused:
        digest_of("nosuch://b/k")

    assert str(refused.value) == (
        "'nosuch://b/k' has the scheme 'nosuch', which fsspec does not know; pass a digest"
    )


@pytest.mark.skipif(importlib.util.find_spec("ossfs") is not None, reason="ossfs is installed")
def test_a_driver_that_is_not_installed_is_named():
    with pytest.raises(FailedPrecondition) as refused:
        digest_of("oss://b/k")

    assert str(refused.value).startswith("oss://b/k cannot be read without a package: ")
    assert "ossfs" in str(refused.value)


def test_a_large_object_is_read_in_little_memory(tmp_path: Path):
    # fsspec's file system of local files, which headwater itself has no need of.
    size = 64 * BLOCK_BYTES
    with (tmp_path / "large").open("wb") as file:
        file.truncate(size)
    digest_of(f"local://{tmp_path.as_posix()}/large")

    tracemalloc.start()
    try:
        content = digest_of(f"local://{tmp_path.as_posix()}/large")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert content.size_bytes == size
    assert peak < 4 * BLOCK_BYTES


class Web(BaseHTTPRequestHandler):
    """A file with an entity tag and one without, one that is closed, one that fails; else nothing."""

    files = {"/tagged": b"tagged" * 1000, "/weak": b"weak", "/plain": b"plain", "/silent": b"silent"}  # noqa: RUF012
    tags = {"/tagged": '"v1"', "/weak": 'W/"v1"'}  # noqa: RUF012

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        path, _, query = self.path.partition("?")
        if path in ("/closed", "/failing") or (path == "/signed" and "sig=good" not in query):
            self.send_error(503 if path == "/failing" else 403)
            return
        data = self.files.get("/plain" if path == "/signed" else path)
        if data is None:
            self.send_error(404)
            return
        self.send_response(200)
        if path != "/silent":
            self.send_header("Content-Length", str(len(data)))
        if path in self.tags:
            self.send_header("ETag", self.tags[path])
        self.end_headers()
        if with_body:
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def web() -> Iterator[str]:
    """The URL of a web server."""
    pytest.importorskip("aiohttp")
    with ThreadingHTTPServer(("127.0.0.1", 0), Web) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.02])
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_web_is_read_with_its_entity_tags(web: str):
    assert digest_of(f"{web}/tagged") == Content(sha256(b"tagged" * 1000), 6000, False, "etag:v1")
    assert digest_of(f"{web}/weak") == Content(sha256(b"weak"), 4, False, None)
    assert digest_of(f"{web}/plain") == Content(sha256(b"plain"), 5, False, None)


def test_a_size_that_the_store_does_not_tell_is_counted(web: str):
    assert digest_of(f"{web}/silent") == Content(sha256(b"silent"), 6, False, None)


def test_a_signed_url_is_read_with_its_signature(web: str):
    assert digest_of(f"{web}/signed?sig=good").digest == sha256(b"plain")


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/missing?sig=s3cret", NotFound),
        ("/closed?sig=s3cret", PermissionDenied),
        ("/signed?sig=s3cret", PermissionDenied),
        ("/failing?sig=s3cret", Unavailable),
    ],
)
def test_errors_of_the_web_say_what_it_was_and_no_secrets(web: str, path: str, error: type[HeadwaterError]):
    with pytest.raises(HeadwaterError) as failed:
        digest_of(f"{web}{path}")

    assert type(failed.value) is error
    assert "s3cret" not in str(failed.value)
    assert f"{web}{path.partition('?')[0]} " in str(failed.value)


def test_a_server_that_is_not_there_is_unavailable():
    pytest.importorskip("aiohttp")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]

        with pytest.raises(Unavailable, match="cannot be read now"):
            digest_of(f"http://127.0.0.1:{port}/a")


def test_the_digest_of_other_algorithms(memory: fsspec.AbstractFileSystem):
    memory.pipe("/b/k", b"data")

    found = digest_of("memory://b/k", algorithm="blake2b-256")

    assert found.digest == f"blake2b-256:{hashlib.blake2b(b'data', digest_size=32).hexdigest()}"
