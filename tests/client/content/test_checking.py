"""Whether recorded outputs are still there and unaltered, and URIs that ask for what is nobody's business."""

import os
from pathlib import Path
from typing import Any

import fsspec
import pytest
from client.content.conftest import sha256
from client.content.test_remote import web as web  # noqa: PLC0414  # the fixture

from headwater.client.content import (
    Content,
    Expected,
    Memo,
    Problem,
    canonical_uri,
    check_all,
    digest_of,
    digest_of_bytes,
    problem_with,
)

posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX")


def recorded(place: str | Path) -> Expected:
    """What is recorded about ``place`` as it is now."""
    content = digest_of(place)
    return Expected(canonical_uri(place), content.digest, content.size_bytes, content.stamp)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    path = tmp_path / "out.csv"
    path.write_bytes(b"result")
    return path


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "out"
    (path / "part").mkdir(parents=True)
    (path / "part" / "1").write_bytes(b"one")
    (path / "part" / "2").write_bytes(b"two")
    return path


def test_what_is_unaltered_has_no_problem(output: Path, directory: Path, memory: fsspec.AbstractFileSystem):
    memory.pipe("/b/k", b"x")
    memory.pipe("/b/d/1", b"y")

    for place in (output, directory, "memory://b/k", "memory://b/d"):
        assert problem_with(recorded(place)) is None


def test_a_missing_output(output: Path, directory: Path, memory: fsspec.AbstractFileSystem):
    memory.pipe("/b/k", b"x")
    for place, remove in (
        (output, output.unlink),
        (directory, lambda: directory.rename(directory.with_name("away"))),
        ("memory://b/k", lambda: memory.rm("/b/k")),
    ):
        expected = recorded(place)
        remove()

        assert problem_with(expected) == Problem("missing", f"{expected.uri} is not there")


def test_another_size_is_seen_without_reading(output: Path, directory: Path, opened: list[str]):
    expected = [recorded(output), recorded(directory)]
    output.write_bytes(b"result, and more")
    (directory / "part" / "3").write_bytes(b"three")
    opened.clear()

    problems = check_all(expected)

    assert problems == [
        Problem("size", f"{expected[0].uri} has 16 bytes; 6 were recorded", 16),
        Problem("size", f"{expected[1].uri} has 11 bytes; 6 were recorded", 11),
    ]
    assert [path for path in opened if path.startswith(str(output.parent))] == []


def test_another_content_of_the_same_size(output: Path, directory: Path, memory: fsspec.AbstractFileSystem):
    memory.pipe("/b/k", b"x")
    for place, alter in (
        (output, lambda: output.write_bytes(b"RESULT")),
        (directory, lambda: (directory / "part" / "1").rename(directory / "part" / "0")),
        ("memory://b/k", lambda: memory.pipe("/b/k", b"y")),
    ):
        expected = recorded(place)
        alter()
        found = digest_of(place)

        assert problem_with(expected) == Problem(
            "digest",
            f"{expected.uri} has another digest than {expected.digest}, which was recorded",
            found.size_bytes,
            found.digest,
        )


def test_a_file_for_a_directory_and_a_directory_for_a_file(output: Path, directory: Path):
    file, tree = recorded(output), recorded(directory)

    assert problem_with(Expected(tree.uri, file.digest, None)) == Problem(
        "digest", f"{tree.uri} is a directory; a file was recorded", 6
    )
    assert problem_with(Expected(file.uri, tree.digest, None)) == Problem(
        "digest", f"{file.uri} is a file; a directory was recorded", 6
    )


def test_what_was_recorded_without_a_digest_cannot_be_proved(output: Path):
    uri = canonical_uri(output)

    assert problem_with(Expected(uri, None, 6)) == Problem(
        "no_digest", f"{uri} was recorded without a digest, so nobody can say if it is the same", 6
    )
    assert problem_with(Expected(uri, None, 7)) == Problem("size", f"{uri} has 6 bytes; 7 were recorded", 6)
    for digest in ("md5:00", "nonsense", "sha256:"):
        problem = problem_with(Expected(uri, digest, 6))
        assert problem is not None
        assert problem.reason == "no_digest"


def test_the_size_need_not_be_recorded(output: Path):
    assert problem_with(Expected(canonical_uri(output), sha256(b"result"), None)) is None


def test_an_output_of_no_bytes(tmp_path: Path):
    (tmp_path / "empty").touch()
    expected = recorded(tmp_path / "empty")
    assert expected.size_bytes == 0

    assert problem_with(expected) is None
    (tmp_path / "empty").write_bytes(b"x")
    assert problem_with(expected) == Problem("size", f"{expected.uri} has 1 bytes; 0 were recorded", 1)


def test_a_memo_makes_repeats_free(settled: Path, opened: list[str]):
    memo = Memo()
    expected = recorded(settled)
    opened.clear()

    assert check_all([expected] * 5, memo=memo, max_threads=1) == [None] * 5
    assert opened.count(str(settled)) == 1


def test_an_equal_stamp_and_size_are_enough(web: str):
    wrong_digest = Expected(f"{web}/tagged", sha256(b"other"), 6000, "etag:v1")
    http = {"http"}

    assert problem_with(wrong_digest, allowed=http) is None
    assert problem_with(Expected(f"{web}/tagged", None, 6000, "etag:v1"), allowed=http) is None
    for stamp in ("etag:v0", None):
        problem = problem_with(Expected(f"{web}/tagged", sha256(b"other"), 6000, stamp), allowed=http)
        assert problem is not None
        assert problem.reason == "digest"
    # The tag is new and the bytes are the same: written again, not altered.
    assert (
        problem_with(Expected(f"{web}/tagged", sha256(b"tagged" * 1000), 6000, "etag:v0"), allowed=http)
        is None
    )


def test_what_cannot_be_read_says_why(web: str):
    http = {"http"}

    found = check_all(
        [Expected(f"{web}/{path}", sha256(b""), 0) for path in ("closed", "failing")], allowed=http
    )

    assert [problem and problem.reason for problem in found] == ["unreadable", "unreadable"]
    assert problem_with(Expected(f"{web}/missing", sha256(b""), 0), allowed=http) == Problem(
        "missing", f"{web}/missing is not there"
    )


NOT_ALLOWED = "{!r} is not read: the scheme {!r} is not among those allowed"
NO_URI = "{!r} is not a URI; outputs are recorded with one"
WITHIN = "{!r} names a file within another one ('::'); record the outer file"
DOTS = "{!r} is not read: stores differ in what '.' and '..' mean"


@pytest.mark.parametrize(
    ("uri", "text"),
    [
        ("http://127.0.0.1:1/a", NOT_ALLOWED.format("http://127.0.0.1:1/a", "http")),
        ("https://h/a?sig=x", NOT_ALLOWED.format("https://h/a?sig=...", "https")),
        ("local:///etc/passwd", NOT_ALLOWED.format("local:///etc/passwd", "local")),
        ("ftp://h/a", NOT_ALLOWED.format("ftp://h/a", "ftp")),
        ("python:/x", NOT_ALLOWED.format("python:/x", "python")),
        ("/etc/passwd", NO_URI.format("/etc/passwd")),
        ("~/secret", NO_URI.format("~/secret")),
        ("file:relative", NO_URI.format("file:relative")),
        ("C:/data", NO_URI.format("C:/data")),
        ("", NO_URI.format("")),
        ("simplecache::file:///etc/passwd", NO_URI.format("simplecache::file:///etc/passwd")),
        ("s3://b/k::file:///etc/passwd", WITHIN.format("s3://b/k::file:///etc/passwd")),
        ("hdfs:/k::file:///etc/passwd", WITHIN.format("hdfs:/k::file:///etc/passwd")),
        ("zip://a::file:///x.zip", WITHIN.format("zip://a::file:///x.zip")),
        ("s3://b/a/../../other/k", DOTS.format("s3://b/a/../../other/k")),
        ("memory://a/./b", DOTS.format("memory://a/./b")),
        (
            "hdfs://127.0.0.1:9/x",
            "'hdfs://127.0.0.1:9/x' is not read: hdfs is read beneath an allowed root alone",
        ),
        (
            "file://evil/share/x",
            "'file://evil/share/x' is not read: it is on another host and not beneath an allowed root",
        ),
        (
            "file:///a%00b",
            "'file:/a%00b' is not the URI of a file; pass one with a path and without NUL",
        ),
    ],
)
def test_uris_that_are_not_read(uri: str, text: str, opened: list[str]):
    assert problem_with(Expected(uri, sha256(b""), 0)) == Problem("not_allowed", text)
    assert opened == []


@posix
def test_devices_and_fifos_are_not_opened(tmp_path: Path, opened: list[str]):
    (tmp_path / "d").mkdir()
    os.mkfifo(tmp_path / "fifo")
    os.mkfifo(tmp_path / "d" / "fifo")

    found = [
        problem_with(Expected(path.as_uri(), sha256(b""), None))
        for path in (tmp_path / "fifo", tmp_path / "d", Path("/dev/zero"))
    ]

    assert [problem and problem.reason for problem in found] == ["not_allowed"] * 3
    assert opened == []


@pytest.fixture
def rooted(tmp_path: Path) -> dict[str, Any]:
    """A root with a file, and a file outside that looks the same."""
    for place in ("root/in", "root2", "outside"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "f").write_bytes(b"same")
    return {"roots": [tmp_path / "root"]}


def test_what_is_beneath_a_root_is_read(rooted: dict[str, Any], tmp_path: Path):
    same = digest_of_bytes(b"same")
    link = tmp_path / "root" / "link"
    link.symlink_to(tmp_path / "root" / "in" / "f")

    for uri in (canonical_uri(tmp_path / "root" / "in" / "f"), canonical_uri(link)):
        assert problem_with(Expected(uri, same.digest, 4), **rooted) is None
    assert problem_with(recorded(tmp_path / "root" / "in"), **rooted) is None


def test_a_root_may_itself_be_reached_by_a_link(tmp_path: Path, rooted: dict[str, Any]):
    (tmp_path / "alias").symlink_to(tmp_path / "root")
    expected = recorded(tmp_path / "alias" / "in" / "f")

    assert problem_with(expected, roots=[tmp_path / "alias"]) is None


@pytest.mark.parametrize(
    "path",
    ["outside/f", "root2/f", "root/../outside/f", "root/%2e%2e/outside/f", "root/in/..%2f..%2foutside/f"],
)
def test_what_is_beside_the_roots_is_not_read(
    rooted: dict[str, Any], tmp_path: Path, path: str, opened: list[str]
):
    uri = f"{canonical_uri(tmp_path)}/{path}"

    problem = problem_with(Expected(uri, sha256(b"same"), 4), **rooted)

    assert problem == Problem(
        "not_allowed", f"{uri!r} is not read: it is not beneath one of the roots that are allowed"
    )
    assert opened == []


def test_no_link_leads_out_of_a_root(rooted: dict[str, Any], tmp_path: Path, opened: list[str]):
    outside = tmp_path / "outside"
    root = tmp_path / "root"
    (root / "file").symlink_to(outside / "f")
    (root / "directory").symlink_to(outside)
    (root / "in" / "far").symlink_to(outside)
    (root / "in" / "nothing").symlink_to(outside / "missing")

    for place in (
        root / "file",
        root / "directory" / "f",
        root / "directory",
        root / "in",
        root / "in" / "nothing",
    ):
        expected = Expected(canonical_uri(place), sha256(b"same"), None)

        assert problem_with(expected, **rooted) == Problem(
            "not_allowed",
            f"{expected.uri} is not read: a symbolic link leads out of the roots that are allowed",
        )
    assert [path for path in opened if Path(path).name == "f"] == []


def test_roots_in_other_stores(memory: fsspec.AbstractFileSystem):
    for path in ("/b/k", "/b2/k"):
        memory.pipe(path, b"x")
    roots = ["memory://b/", "s3://bucket/prefix"]

    assert problem_with(recorded("memory://b/k"), roots=roots) is None
    for uri in ("memory://b2/k", "s3://bucket/prefix2/k", "s3://bucket", "file:///etc/passwd"):
        problem = problem_with(Expected(uri, sha256(b"x"), 1), roots=roots)
        assert problem is not None
        assert problem.reason == "not_allowed"


def test_the_caller_says_which_schemes_are_read(output: Path):
    expected = recorded(output)

    assert problem_with(expected, allowed={"file"}) is None
    problem = problem_with(expected, allowed={"s3"})
    assert problem == Problem(
        "not_allowed", f"{expected.uri!r} is not read: the scheme 'file' is not among those allowed"
    )


def test_many_are_checked_at_a_time_and_answered_in_order(tmp_path: Path):
    expected = []
    for number in range(50):
        path = tmp_path / f"{number}"
        path.write_bytes(bytes([number]) * number)
        expected.append(recorded(path))
        if number % 3 == 0:
            path.unlink()

    found = check_all(expected, max_threads=4)

    assert [problem and problem.reason for problem in found] == [
        "missing" if number % 3 == 0 else None for number in range(50)
    ]


def test_nothing_to_check():
    assert check_all([]) == []


def test_content_is_a_value():
    assert digest_of_bytes(b"") == Content(sha256(b""), 0, False, None)
