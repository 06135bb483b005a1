"""Digests of files and directories of this machine."""

import hashlib
import os
import socket
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import pytest
from client.content.conftest import sha256

from headwater.client.content import Content, canonical_uri, digest_of, digest_of_bytes
from headwater.client.content.local import BLOCK_BYTES, NotAFile
from headwater.errors import Aborted, FailedPrecondition, InvalidRequest, NotFound, PermissionDenied

posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX")


@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES + 7])
def test_a_file_has_the_digest_of_its_bytes(tmp_path: Path, size: int):
    data = os.urandom(size)
    path = tmp_path / "f"
    path.write_bytes(data)

    assert digest_of(path) == Content(sha256(data), size, False, None)
    assert digest_of_bytes(data) == Content(sha256(data), size, False, None)


def test_any_spelling_of_the_path_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "Größe 🌊 100% #1.csv"
    path.write_bytes(b"x")
    monkeypatch.chdir(tmp_path)

    for spelled in (path, str(path), path.name, f"./{path.name}", path.as_uri(), canonical_uri(path)):
        assert digest_of(spelled) == Content(sha256(b"x"), 1, False, None)


@posix
def test_a_name_that_is_not_unicode_can_be_read(tmp_path: Path):
    path = os.fsencode(tmp_path) + b"/\xff\xfe"
    try:
        Path(os.fsdecode(path)).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system takes Unicode names only")

    assert digest_of(os.fsdecode(path)).digest == sha256(b"x")
    assert digest_of(tmp_path).digest == tree({"%FF%FE": b"x"})


@pytest.mark.parametrize(
    ("algorithm", "digest"),
    [
        ("sha256", "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ("blake2b-256", "blake2b-256:bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319"),
        ("blake3", "blake3:6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"),
        ("xxh3_128", "xxh3_128:06b05ab6733a618578af5f94892f3950"),
    ],
)
def test_algorithms(tmp_path: Path, algorithm: str, digest: str):
    package = {"blake3": "blake3", "xxh3_128": "xxhash"}.get(algorithm)
    if package:
        pytest.importorskip(package)
    path = tmp_path / "abc"
    path.write_bytes(b"abc")

    assert digest_of(path, algorithm=algorithm).digest == digest
    assert digest_of_bytes(b"abc", algorithm=algorithm).digest == digest


def test_an_unknown_algorithm_is_refused_before_anything_is_read(tmp_path: Path):
    with pytest.raises(InvalidRequest) as refused:
        digest_of(tmp_path / "missing", algorithm="md5")

    assert str(refused.value) == (
        "'md5' is not a digest algorithm that is known here; use one of sha256, blake2b-256, blake3, xxh3_128"
    )


def tree(files: dict[str, bytes]) -> str:
    """The digest of a directory, computed as ``tree_digest`` says."""
    lines = [
        f"{hashlib.sha256(data).hexdigest()} {len(data)} {path}\n" for path, data in sorted(files.items())
    ]
    return f"sha256-tree:{hashlib.sha256(''.join(lines).encode()).hexdigest()}"


FILES = {"b.txt": b"b", "a/2.txt": b"two", "a/1.txt": b"", "a-b": b"x", "é ü": b"y", "A": b"z"}
QUOTED = {path.replace("é ü", "%C3%A9%20%C3%BC"): data for path, data in FILES.items()}


def fill(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def test_a_directory_has_the_digest_of_its_sorted_listing(tmp_path: Path):
    root = fill(tmp_path / "d", FILES)

    assert digest_of(root) == Content(tree(QUOTED), 7, True, None)
    assert digest_of(f"{root}{os.sep}") == digest_of(root)


def test_directories_without_files_do_not_count(tmp_path: Path):
    root = fill(tmp_path / "d", FILES)
    (root / "empty" / "emptier").mkdir(parents=True)
    (tmp_path / "e").mkdir()

    assert digest_of(root).digest == tree(QUOTED)
    assert digest_of(tmp_path / "e") == Content(tree({}), 0, True, None)


@pytest.mark.parametrize(
    "changed",
    [
        {**FILES, "b.txt": b"c"},
        {**FILES, "c.txt": b""},
        {path: data for path, data in FILES.items() if path != "A"},
        {**{path: data for path, data in FILES.items() if path != "A"}, "A2": b"z"},
        {**FILES, "a/1.txt": b"two", "a/2.txt": b""},
    ],
    ids=["content", "more", "less", "renamed", "swapped"],
)
def test_a_change_in_a_directory_changes_its_digest(tmp_path: Path, changed: dict[str, bytes]):
    one = digest_of(fill(tmp_path / "one", FILES))
    other = digest_of(fill(tmp_path / "other", changed))

    assert one.digest != other.digest


def test_links_are_followed_as_a_reader_follows_them(tmp_path: Path):
    blobs = fill(tmp_path / "blobs", {"1": b"model", "more/2": b"x"})
    root = fill(tmp_path / "d", {"readme": b"r"})
    (root / "model.bin").symlink_to(blobs / "1")
    (root / "more").symlink_to(blobs / "more")
    link = tmp_path / "link"
    link.symlink_to(root)

    expected = Content(tree({"readme": b"r", "model.bin": b"model", "more/2": b"x"}), 7, True, None)
    assert digest_of(root) == expected
    assert digest_of(link) == expected
    assert digest_of(root / "model.bin") == Content(sha256(b"model"), 5, False, None)


def test_a_circle_of_links_is_an_error(tmp_path: Path):
    root = fill(tmp_path / "d", {"a/x": b""})
    (root / "a" / "up").symlink_to(root)

    with pytest.raises(InvalidRequest) as refused:
        digest_of(root)

    up = canonical_uri(root / "a" / "up")
    assert str(refused.value) == f"the symbolic links of {up} lead in a circle; remove one of them"


def test_a_link_that_leads_nowhere_is_named(tmp_path: Path):
    root = fill(tmp_path / "d", {"x": b""})
    (root / "dangling").symlink_to("gone")

    with pytest.raises(NotFound) as missing:
        digest_of(root)
    with pytest.raises(NotFound, match="is not there"):
        digest_of(root / "dangling")

    dangling = canonical_uri(root / "dangling")
    assert str(missing.value) == f"{dangling} is a symbolic link that leads nowhere"


def test_what_is_not_there_is_not_found(tmp_path: Path):
    (tmp_path / "f").write_bytes(b"")
    for path in (tmp_path / "missing", tmp_path / "f" / "below"):
        with pytest.raises(NotFound) as missing:
            digest_of(path)

        assert str(missing.value) == f"{canonical_uri(path)} is not there"


@posix
def test_what_may_not_be_read_is_denied(tmp_path: Path):
    path = tmp_path / "f"
    path.write_bytes(b"x")
    path.chmod(0)

    assert _raised_without_rights(path) == "PermissionDenied"


def _raised_without_rights(path: Path) -> str:
    """What digesting raises in a process that is not root, who may read everything."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setuid(65534)
            digest_of(path)
            raised = "nothing"
        except BaseException as error:
            raised = type(error).__name__
        os.write(writing, raised.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        raised = pipe.read()
    os.waitpid(child, 0)
    return raised


@posix
def test_a_file_of_another_host_is_not_looked_for():
    with pytest.raises(FailedPrecondition) as refused:
        digest_of("file://box/data/a.csv")

    assert str(refused.value) == (
        "file://box/data/a.csv is a file of another host; mount it and name it by its local path"
    )


@posix
def test_devices_fifos_and_sockets_are_never_opened(tmp_path: Path, opened: list[str]):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        try:
            listener.bind(str(tmp_path / "socket"))
        except OSError:
            pytest.skip("the temporary path is too long for a socket")
        for path in (tmp_path / "fifo", tmp_path / "link", tmp_path / "socket", Path("/dev/zero"), tmp_path):
            with pytest.raises(NotAFile, match="is a device, a FIFO or a socket, which are not opened"):
                digest_of(path)

    assert [path for path in opened if path.startswith((str(tmp_path), "/dev/zero"))] == []


def test_a_file_that_grows_all_the_time_is_given_up(tmp_path: Path):
    path = tmp_path / "log"
    with path.open("wb") as log:
        log.truncate(64 * BLOCK_BYTES)
    grow = "import sys; log = open(sys.argv[1], 'ab', 0); [log.write(b'more') for _ in iter(int, 1)]"
    # A process of its own, which no lock of this one keeps from writing.
    with subprocess.Popen([sys.executable, "-c", grow, str(path)]) as writer:
        try:
            while path.stat().st_size == 64 * BLOCK_BYTES:
                assert writer.poll() is None
            with pytest.raises(Aborted) as restless:
                digest_of(path)
        finally:
            writer.kill()

    assert str(restless.value) == (
        f"{canonical_uri(path)} was written to while it was read; take its digest when the writer is done"
    )
    assert digest_of(path).digest == sha256(path.read_bytes())


def test_a_file_that_is_replaced_is_read_as_one_of_the_two(tmp_path: Path):
    path = tmp_path / "f"
    contents = [bytes([n]) * BLOCK_BYTES for n in range(2)]
    path.write_bytes(contents[0])
    done = threading.Event()

    def replace() -> None:
        number = 0
        while not done.is_set():
            number += 1
            other = tmp_path / "other"
            other.write_bytes(contents[number % 2])
            other.replace(path)

    writer = threading.Thread(target=replace)
    writer.start()
    found = set()
    try:
        for _ in range(50):
            try:
                found.add(digest_of(path).digest)
            except (Aborted, PermissionDenied):
                # Windows forbids to open a file while it takes the place of another.
                continue
    finally:
        done.set()
        writer.join()

    assert found <= {sha256(content) for content in contents}


def test_a_large_file_is_read_in_little_memory(tmp_path: Path):
    path = tmp_path / "large"
    size = 256 * BLOCK_BYTES
    with path.open("wb") as file:
        file.truncate(size)

    tracemalloc.start()
    try:
        content = digest_of(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert content.size_bytes == size
    assert peak < 4 * BLOCK_BYTES
