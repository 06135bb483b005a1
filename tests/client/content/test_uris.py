"""One URI for one place."""

import os
from pathlib import Path, PurePosixPath
from random import Random

import pytest

from headwater.client.content import canonical_uri, local_path
from headwater.client.content.uris import without_secrets
from headwater.errors import InvalidRequest

posix = pytest.mark.skipif(os.name == "nt", reason="paths of POSIX")
LETTERS = "ab/.~% :?#&=@+\\é\U0001f30aC"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A directory that is both home and working directory, as a URI."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    return Path.cwd().as_uri()


@pytest.mark.parametrize(
    ("spelled", "rest"),
    [
        ("a.csv", "/a.csv"),
        ("./b//../a.csv", "/a.csv"),
        ("~/a.csv", "/a.csv"),
        (Path("a.csv"), "/a.csv"),
        (Path("~/a.csv"), "/a.csv"),
        ("file:a.csv", "/a.csv"),
        ("data/", "/data"),
        (".", ""),
        ("a b%20é.csv", "/a%20b%2520%C3%A9.csv"),
        ("day=1/a+b,c;d@e:f!$&'().csv", "/day=1/a+b,c;d@e:f!$&'().csv"),
        ("a#1", "/a%231"),
        ("x::y", "/x::y"),
    ],
    ids=str,
)
def test_a_path_is_absolute_and_encoded_one_way(home: str, spelled: str | Path, rest: str):
    if os.name == "nt" and ":" in str(spelled) and not str(spelled).startswith("file:"):
        pytest.skip("no such name on Windows")

    assert canonical_uri(spelled) == f"{home}{rest}"


@posix
@pytest.mark.parametrize(
    ("spelled", "expected"),
    [
        ("/data/a.csv", "file:///data/a.csv"),
        ("//data///a.csv/", "file:///data/a.csv"),
        ("/", "file:///"),
        ("file:///data/a.csv", "file:///data/a.csv"),
        ("FILE:///data/./x/../a.csv", "file:///data/a.csv"),
        ("file:/data/a.csv", "file:///data/a.csv"),
        ("file://localhost/data/a.csv", "file:///data/a.csv"),
        ("file://LOCALHOST/data/a%2ecsv", "file:///data/a.csv"),
        ("file://user:pw@Box/data/a.csv", "file://box/data/a.csv"),
        ("file:///data/a%20b%c3%a9", "file:///data/a%20b%C3%A9"),
        ("file:///data/%2E%2e/etc", "file:///etc"),
        ("file:///data/a b#c?d", "file:///data/a%20b%23c%3Fd"),
        ("file:///~/a", "file:///~/a"),
        ("/c:/a", "file:///c%3A/a"),
        ("file:///c%3a/a", "file:///c%3A/a"),
        (PurePosixPath("/data/s3://x"), "file:///data/s3:/x"),
        (os.fsdecode(b"/data/\xff"), "file:///data/%FF"),
    ],
    ids=ascii,
)
def test_paths_and_file_uris_of_posix(spelled: str, expected: str):
    assert canonical_uri(spelled) == expected


@pytest.mark.parametrize(
    ("spelled", "expected"),
    [
        ("C:\\data\\x\\..\\a b.csv", "file:///C:/data/a%20b.csv"),
        ("c:/data/a.csv", "file:///C:/data/a.csv"),
        ("c:\\", "file:///C:"),
        ("file:///c:/data/a.csv", "file:///C:/data/a.csv"),
        ("file:///C:/data/%2e%2E/a.csv", "file:///C:/a.csv"),
        ("file://C:/data/a.csv", "file:///C:/data/a.csv"),
    ],
)
def test_drives_of_windows_on_any_platform(spelled: str, expected: str):
    assert canonical_uri(spelled) == expected


@pytest.mark.parametrize(
    ("spelled", "expected"),
    [
        ("S3://Bucket/Key", "s3://Bucket/Key"),
        ("s3a://b/k", "s3://b/k"),
        ("gcs://b/k", "gs://b/k"),
        ("s3://b/k/", "s3://b/k"),
        ("s3://b/", "s3://b"),
        ("s3://b/a//b/../c%20d", "s3://b/a//b/../c%20d"),
        ("s3://key:secret@b/k", "s3://b/k"),
        ("s3://b/k?versionId=7&X-Amz-Signature=abc", "s3://b/k?versionId=7"),
        ("abfss://Container@Account.dfs.core.windows.net/p", "abfss://Container@account.dfs.core.windows.net/p"),
        ("abfs://c:pw@account.dfs.core.windows.net/p", "abfs://c@account.dfs.core.windows.net/p"),
        ("hdfs://me@NameNode:8020/p", "hdfs://namenode:8020/p"),
        ("hdfs:/p", "hdfs:///p"),
        ("sftp://me:pw@Host:22/p", "sftp://host/p"),
        ("memory://a/b", "memory://a/b"),
        ("memory:///a/b/", "memory://a/b"),
        ("s3://b/k?a&&b&", "s3://b/k?a&&b&"),
        ("s3://b/k?sig=x/", "s3://b/k"),
        ("HTTP://Me:pw@Example.COM:80/a%2fb/%7Euser/./x/../é?b=2&a=1#part", "http://example.com/a%2Fb/~user/%C3%A9?b=2&a=1"),
        ("https://example.com:443/", "https://example.com"),
        ("https://example.com?a=1", "https://example.com?a=1"),
        ("https://example.com/a//b/", "https://example.com/a//b/"),
        ("https://example.com:8443/100%", "https://example.com:8443/100%25"),
        ("https://h/a?token=x&n=1&API_KEY=y&client_secret=z&tokenizer=bert", "https://h/a?n=1&tokenizer=bert"),
        (
            "https://a.blob.core.windows.net/c/b?sv=2021&se=2026&sr=b&sp=r&sig=abc%3D&snapshot=1",
            "https://a.blob.core.windows.net/c/b?snapshot=1",
        ),
        (
            "https://b.s3.amazonaws.com/k?X-Amz-Algorithm=A&X-Amz-Credential=C&x-amz-signature=S&versionId=1",
            "https://b.s3.amazonaws.com/k?versionId=1",
        ),
        ("https://b/k?AWSAccessKeyId=A&Expires=1&Signature=S", "https://b/k"),
        ("https://b/k?expires=1", "https://b/k?expires=1"),
    ],
)  # fmt: skip
def test_uris_of_other_stores(spelled: str, expected: str):
    assert canonical_uri(spelled) == expected


@pytest.mark.parametrize(
    ("spelled", "sentence"),
    [
        ("", "'' is not a path or a URI; pass one that is not empty and without NUL"),
        ("a\0b", "'a\\x00b' is not a path or a URI; pass one that is not empty and without NUL"),
        ("file:///a%00b", "'file:/a%00b' is not the URI of a file; pass one with a path and without NUL"),
        (
            "zip://a.csv::s3://key:secret@b/x.zip",
            "'zip://a.csv::s3://b/x.zip' names a file within another one ('::'); record the outer file",
        ),
        (
            "simplecache::s3://b/k",
            "'simplecache::s3://b/k' names a file within another one ('::'); record the outer file",
        ),
        ("s3://b/\ud800", "URI 's3://b/\\ud800' holds a lone surrogate; pass Unicode"),
    ],
    ids=ascii,
)
def test_what_names_no_place_is_refused(spelled: str, sentence: str):
    with pytest.raises(InvalidRequest) as refused:
        canonical_uri(spelled)

    assert str(refused.value) == sentence


def test_a_canonical_uri_is_its_own():
    random = Random(7)
    starts = ["", "/", "file:///", "s3://", "https://", "abfs://c@", "memory://", "C:\\", "~/", "hdfs:/"]
    for _ in range(5000):
        spelled = random.choice(starts) + "".join(random.choices(LETTERS, k=random.randrange(1, 12)))
        try:
            uri = canonical_uri(spelled)
        except InvalidRequest:
            continue

        assert canonical_uri(uri) == uri, spelled


def test_a_local_path_comes_back_from_its_uri(tmp_path: Path):
    random = Random(8)
    letters = "ab .%#é\U0001f30a+="
    for _ in range(1000):
        path = tmp_path / f"x{''.join(random.choices(letters, k=5))}x"

        assert local_path(canonical_uri(path)) == path


@pytest.mark.parametrize("uri", ["s3://b/k", "memory://a", "https://h/a"])
def test_what_is_elsewhere_has_no_local_path(uri: str):
    assert local_path(uri) is None


@posix
def test_a_file_of_another_host_has_no_local_path():
    assert local_path("file://box/data/a.csv") is None
    assert local_path("file:///C:/data/a.csv") is None
    assert local_path("/C:/data/a.csv") == Path("/C:/data/a.csv")
    assert local_path("file://localhost/data/a.csv") == Path("/data/a.csv")


def test_links_are_not_resolved(tmp_path: Path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "link"
    link.symlink_to("real")

    assert canonical_uri(link / "a") == f"{canonical_uri(tmp_path)}/link/a"


def test_text_for_people_holds_no_secrets():
    said = (
        "s3://k:s@b abfs://c@a https://t0ken@h GET https://me:pw@h/k?a=1&X-Amz-Signature=abc&token=t failed: "
        "password=hunter2 tokenizer=x"
    )

    assert without_secrets(said) == (
        "s3://b abfs://c@a https://h GET https://h/k?a=1&X-Amz-Signature=...&token=... failed: "
        "password=... tokenizer=x"
    )
