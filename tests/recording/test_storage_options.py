"""Places that are read with options of their own, and credentials in them that are never told."""

import dataclasses
import hashlib
import logging
import pickle
from collections.abc import Iterator
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from recording.seeing import executions

from headwater.client import File
from headwater.client.content import digest_of
from headwater.errors import PermissionDenied

PASSWORD = "pa55 word"


class Vault(MemoryFileSystem):
    """A file system that opens to those who know the password, and prints what others try."""

    protocol = "vault"
    cachable = False
    store: dict[str, Any] = {}  # noqa: RUF012  # as its base has it
    pseudo_dirs = [""]  # noqa: RUF012

    def __init__(self, password: str = "", **options: Any) -> None:
        super().__init__(**options)
        self.password = password

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return f"/{path.removeprefix('vault://').strip('/')}"

    def info(self, path: str, **options: Any) -> Any:
        if self.password != PASSWORD:
            raise PermissionError(f"nobody has the password {self.password!r}")
        return super().info(path, **options)


@pytest.fixture(autouse=True)
def vault() -> Iterator[None]:
    fsspec.register_implementation("vault", Vault, clobber=True)
    Vault.store.clear()
    Vault(PASSWORD).pipe("/table", b"1 2 3")
    yield
    Vault.store.clear()


def table(password: str = PASSWORD) -> File:
    return File("vault://table", storage_options={"password": password})


def test_inputs_and_outputs_are_read_with_options_of_their_own(client):
    digest = f"sha256:{hashlib.sha256(b'1 2 3').hexdigest()}"
    with (
        client.run("churn", storage_options={"vault": {"password": "wrong"}}) as run,
        run.step("copy", inputs={"table": table()}, version="1") as step,
    ):
        step.output("copy", table())
    (execution,) = executions(client, "copy")
    (attempt,) = client.steps("churn")

    assert step.outputs["copy"].digest == digest
    assert [one.digest for one in attempt.inputs] == [digest]
    assert PASSWORD not in str(execution)


def test_those_of_the_run_count_where_a_file_has_none(client):
    with (
        client.run("churn", storage_options={"vault": {"password": PASSWORD}}) as run,
        run.step("read", inputs={"table": "vault://table"}, version="1") as step,
    ):
        assert step.fingerprint


def test_other_credentials_are_the_same_step(client):
    fingerprints = set()
    Vault.pipe(Vault(PASSWORD), "/other", b"1 2 3")
    for options in ({"password": PASSWORD}, {"password": PASSWORD, "skip_instance_cache": True}):
        with client.run("churn") as run:
            file = File("vault://table", storage_options=options)
            step = run.step("read", inputs={"table": file}, version="1").begin()
            fingerprints.add(step.fingerprint)
            step.finish()

    assert len(fingerprints) == 1


def test_an_output_that_is_given_its_digest_is_looked_for_with_its_options(client):
    with client.run("churn") as run, run.step("copy", version="1") as step:
        step.output("copy", dataclasses.replace(table(), digest=f"sha256:{'0' * 64}"))

    assert step.outputs["copy"].digest.endswith("000")


def test_credentials_are_not_shown_and_go_along_where_the_file_goes():
    file = table("s3cret")

    assert "s3cret" not in repr(file) + str(file) + repr(dataclasses.asdict(file))
    assert file == File("vault://table")
    assert hash(file) == hash(File("vault://table"))
    assert pickle.loads(pickle.dumps(file)).storage_options == {"password": "s3cret"}
    assert dataclasses.replace(file, type="Model").storage_options == {"password": "s3cret"}


def test_what_a_driver_says_of_them_is_not_shown_either(client, caplog):
    with caplog.at_level(logging.DEBUG, "headwater"), client.run("churn") as run:
        step = run.step("read", inputs={"table": table("s3cret")}, version="1").begin()
        step.output("copy", table("s3cret"))
        step.finish()
    (execution,) = executions(client, "read")

    assert "cannot be read" in caplog.text
    assert "s3cret" not in caplog.text + step.why + str(execution)


def test_an_error_that_is_raised_and_recorded_does_not_tell_them(client):
    wrong = {"password": "s3cret"}  # A traceback has the lines that it is about.
    with (
        pytest.raises(PermissionDenied, match=r"nobody has the password '\.\.\.'"),
        client.run("churn") as run,
        run.step("read", version="1"),
    ):
        digest_of("vault://table", storage_options=wrong)
    (execution,) = executions(client, "read")
    (recorded,) = client.runs("churn")

    assert "nobody has the password" in recorded.error
    assert "s3cret" not in recorded.error + str(execution)


def test_a_file_that_a_function_closes_over_counts_without_them(client):
    fingerprints = set()
    for password in (PASSWORD, "another"):
        file = table(password)

        def read(file: File = file) -> str:
            return str(file.place)

        with client.run("churn") as run:
            run.step("read", code=read).begin().finish()
        (fingerprint,) = {one.fingerprint for one in client.steps("churn")}
        fingerprints.add(fingerprint)

    assert len(fingerprints) == 1
