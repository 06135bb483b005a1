import hashlib
import os
import sys

import pytest

from headwater.client.capture.environment import as_components, environment
from headwater.errors import InvalidRequest


@pytest.fixture(autouse=True)
def _no_image(monkeypatch):
    for name in ("HEADWATER_CONTAINER_IMAGE", "CI_JOB_IMAGE", "FLYTE_INTERNAL_IMAGE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def checkout(tmp_path):
    (tmp_path / ".git").mkdir()
    return tmp_path


def sha256(data):
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def test_python_and_the_system_are_named(checkout):
    found = environment(checkout)

    assert found.python == ".".join(map(str, sys.version_info[:3]))
    assert found.implementation == sys.implementation.name
    assert found.platform.partition(" ")[0] in ("Linux", "Darwin", "Windows")
    assert found.machine
    assert (found.lock_file, found.lock_digest, found.container_image) == (None, None, None)


@pytest.mark.parametrize(
    "name",
    [
        "uv.lock",
        "poetry.lock",
        "pdm.lock",
        "Pipfile.lock",
        "requirements.lock",
        "conda-lock.yml",
        "pylock.toml",
    ],
)
def test_a_lock_file_is_found_upwards(checkout, name):
    (checkout / "src" / "churn").mkdir(parents=True)
    (checkout / name).write_bytes(b"a==1\r\nb==2\n")

    found = environment(checkout / "src" / "churn")

    assert (found.lock_file, found.lock_digest) == (name, sha256(b"a==1\nb==2\n"))


def test_the_nearest_lock_file_counts_and_none_outside_the_repository(checkout):
    (checkout / "uv.lock").write_text("outer")
    (checkout / "a" / "b").mkdir(parents=True)
    (checkout / "a" / "poetry.lock").write_text("inner")
    (checkout / "c" / ".git").mkdir(parents=True)

    assert environment(checkout / "a" / "b").lock_digest == sha256(b"inner")
    assert environment(checkout / "c").lock_file is None


def test_the_container_image_is_what_a_variable_says(checkout, monkeypatch):
    monkeypatch.setenv("CI_JOB_IMAGE", "python:3.12")
    assert environment(checkout).container_image == "python:3.12"

    monkeypatch.setenv("HEADWATER_CONTAINER_IMAGE", "churn@sha256:12")
    assert environment(checkout).container_image == "churn@sha256:12"


def test_components_are_texts_by_name(checkout):
    (checkout / "uv.lock").write_text("locked")

    found = as_components(["python", "lock_file", "container_image", "platform"], checkout)

    assert found == {
        "python": f"{sys.version_info[0]}.{sys.version_info[1]}",
        "lock_file": sha256(b"locked"),
        "container_image": "none",
        "platform": environment(checkout).platform.partition(" ")[0],
    }


def test_an_unknown_component_is_refused(checkout):
    with pytest.raises(
        InvalidRequest, match="'pythn' is no part of an environment; expected some of python, "
    ):
        as_components(["pythn"], checkout)


def test_distributions_count_by_name_and_version(tmp_path, python):
    def digest(*names):
        root = tmp_path / "-".join(names)
        for name in names:
            directory = root / f"{name}.dist-info"
            directory.mkdir(parents=True)
            title, _, version = name.partition("-")
            (directory / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {title}\nVersion: {version}\n")
        return python(
            f"""
            import sys; sys.path.insert(0, {str(root)!r})
            from headwater.client.capture.environment import environment
            print(environment().distributions_digest)
            """
        )

    first = digest("Churn_lib-1.0", "other-2.0")

    assert first == digest("other-2.0", "churn.LIB-1.0")
    assert first != digest("churn.lib-1.1", "other-2.0")
    assert len(first) == 7 + 64


def test_a_working_directory_that_is_gone_is_no_reason_to_fail(tmp_path, python):
    if os.name == "nt":
        pytest.skip("Windows does not remove a working directory")
    program = """
        import os
        os.mkdir("gone"); os.chdir("gone"); os.rmdir(os.getcwd())
        from headwater.client.capture.environment import environment
        print(environment().lock_file)
    """

    assert python(program) == "None"
