import hashlib
import os

import pytest

from headwater.client.capture.model_files import Manifest, manifest


def sha256(data):
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@pytest.fixture
def package(tmp_path):
    root = tmp_path / "model"
    (root / "weights").mkdir(parents=True)
    (root / "weights" / "b.bin").write_bytes(b"bb")
    (root / "weights" / "a.bin").write_bytes(b"a" * 3_000_000)
    (root / "MLmodel").write_bytes(b"")
    return root


def test_a_directory_lists_its_files_by_path(package):
    assert manifest(package) == Manifest(
        [
            {"path": "MLmodel", "size_bytes": 0, "digest": sha256(b"")},
            {"path": "weights/a.bin", "size_bytes": 3_000_000, "digest": sha256(b"a" * 3_000_000)},
            {"path": "weights/b.bin", "size_bytes": 2, "digest": sha256(b"bb")},
        ],
        left_out=0,
    )


def test_a_single_file_is_a_package_too(package):
    assert manifest(package / "weights" / "b.bin") == Manifest(
        [{"path": "b.bin", "size_bytes": 2, "digest": sha256(b"bb")}], left_out=0
    )


def test_the_number_of_files_is_bounded_and_the_rest_counted(package):
    found = manifest(package, max_files=1)

    assert [file["path"] for file in found.files] == ["MLmodel"]
    assert found.left_out == 2


def test_what_takes_too_long_to_read_has_no_digest(package):
    found = manifest(package, max_bytes=1_000)

    assert [(file["path"], file["digest"] is None) for file in found.files] == [
        ("MLmodel", False),
        ("weights/a.bin", True),
        ("weights/b.bin", False),
    ]


def test_links_and_pipes_hold_nobody_up(package):
    if os.name == "nt":
        pytest.skip("links and pipes are different on Windows")
    (package / "loop").symlink_to(package)
    (package / "broken").symlink_to(package / "nowhere")
    (package / "z-link").symlink_to(package / "weights" / "b.bin")
    os.mkfifo(package / "pipe")

    found = manifest(package)

    assert [file["path"] for file in found.files] == ["MLmodel", "weights/a.bin", "weights/b.bin", "z-link"]


@pytest.mark.parametrize("name", ["missing", "\0", "pipe"])
def test_what_is_not_there_is_empty(tmp_path, name):
    if name == "pipe" and os.name != "nt":
        os.mkfifo(tmp_path / name)

    assert manifest(tmp_path / name) == Manifest([], 0)
