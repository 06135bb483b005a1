import os
import shutil
import subprocess

import pytest

from headwater.client.capture.git import Repository, from_variables, repository_state, without_credentials

if shutil.which("git") is None:
    pytest.skip("git is not installed", allow_module_level=True)


@pytest.fixture(autouse=True)
def _no_service(monkeypatch):
    for name in ("GITHUB_SHA", "CI_COMMIT_SHA", "GIT_COMMIT", "HEADWATER_GIT_COMMIT"):
        monkeypatch.delenv(name, raising=False)


def git(directory, *arguments):
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=directory, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


def make_repository(directory):
    directory.mkdir(parents=True, exist_ok=True)
    git(directory, "init", "-q", "-b", "main")
    (directory / "steps.py").write_text("x = 1\n")
    git(directory, "add", ".")
    git(directory, "commit", "-q", "-m", "One")
    git(directory, "remote", "add", "upstream", "https://example.com/other.git")
    git(directory, "remote", "add", "origin", "https://me:s3cret@example.com/team/churn.git")
    return directory


@pytest.fixture
def repository(tmp_path):
    return make_repository(tmp_path / "repository")


def test_commit_address_and_root_are_found_from_a_file_within(repository):
    (repository / "src").mkdir()
    (repository / "src" / "new.py").write_text("not added\n")

    assert repository_state(repository / "src" / "new.py") == Repository(
        url="https://example.com/team/churn.git",
        commit=git(repository, "rev-parse", "HEAD"),
        is_dirty=False,
        root=str(repository),
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "steps.py").write_text("x = 2\n"),
        lambda root: (root / "steps.py").unlink(),
        lambda root: git(root, "mv", "steps.py", "stages.py"),
        lambda root: (root / "new.py").write_text("") or git(root, "add", "new.py"),
    ],
    ids=["edited", "removed", "renamed", "added"],
)
def test_a_change_of_tracked_files_is_dirty(repository, change):
    change(repository)

    assert repository_state(repository).is_dirty is True


def test_before_the_first_commit_there_is_none(tmp_path):
    git(tmp_path, "init", "-q")

    assert repository_state(tmp_path) == Repository(None, None, False, str(tmp_path))


def test_outside_of_repositories_there_is_nothing(tmp_path):
    assert repository_state(tmp_path) is None
    assert repository_state(tmp_path / "not" / "there") is None


def test_the_state_is_looked_up_once(repository):
    before = repository_state(repository)
    (repository / "steps.py").write_text("x = 2\n")

    assert repository_state(repository / "steps.py") is before


def test_variables_for_hooks_of_git_do_not_mislead(repository, tmp_path, monkeypatch):
    other = make_repository(tmp_path / "other")
    (other / "steps.py").write_text("x = 2\n")
    git(other, "commit", "-q", "-a", "-m", "Two")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))

    assert repository_state(repository).root == str(repository)
    monkeypatch.delenv("GIT_DIR")
    assert repository_state(repository).commit == git(repository, "rev-parse", "HEAD")


def test_no_lock_is_taken(repository):
    (repository / ".git" / "index.lock").write_text("")

    assert repository_state(repository).commit is not None


def fake_git(directory, text):
    if os.name == "nt":
        pytest.skip("the stand-in for git is a shell script")
    directory.mkdir()
    program = directory / "git"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    return str(directory)


@pytest.mark.parametrize(
    ("how", "layout"),
    [("none", "loose"), ("none", "packed"), ("none", "detached"), ("none", "work tree"), ("hanging", "loose"),
     ("refusing", "loose")],
)  # fmt: skip
def test_without_a_usable_git_the_files_are_read(repository, tmp_path, monkeypatch, how, layout):
    commit = git(repository, "rev-parse", "HEAD")
    root = repository
    if layout == "packed":
        git(repository, "pack-refs", "--all")
    elif layout == "detached":
        git(repository, "checkout", "-q", "--detach")
    elif layout == "work tree":
        root = tmp_path / "linked"
        git(repository, "worktree", "add", "-q", str(root))
    texts = {"none": None, "hanging": "sleep 60 & sleep 60", "refusing": "exit 128"}
    path = str(tmp_path) if how == "none" else fake_git(tmp_path / "bin", texts[how])
    monkeypatch.setenv("PATH", path if how != "hanging" else os.pathsep.join([path, os.environ["PATH"]]))

    assert repository_state(root) == Repository("https://example.com/team/churn.git", commit, None, str(root))


@pytest.mark.parametrize(
    ("url", "cleaned"),
    [
        ("https://example.com/a.git", "https://example.com/a.git"),
        ("https://user:pass@example.com/a.git", "https://example.com/a.git"),
        ("https://ghp_token@example.com:8443/a.git", "https://example.com:8443/a.git"),
        ("https://user:p@ss@example.com/a.git", "https://example.com/a.git"),
        ("https://user:pa/ss@example.com/a.git", "https://example.com/a.git"),
        ("https://user:pa#ss@example.com/a.git", "https://example.com/a.git"),
        ("https://example.com/a.git?access_token=x#y", "https://example.com/a.git"),
        ("https://user:pass", "https://"),
        ("https://example.com/a@v1", "https://example.com/a@v1"),
        ("https://u:p@[::1]:80/a", "https://[::1]:80/a"),
        ("ssh://git@example.com:22/a.git", "ssh://git@example.com:22/a.git"),
        ("ssh://git:pass@example.com/a.git", "ssh://git@example.com/a.git"),
        ("git@example.com:team/a.git", "git@example.com:team/a.git"),
        ("git:pass@example.com:team/a.git", "git@example.com:team/a.git"),
        ("ext::ssh -i key user:pass@host", "ext::"),
        ("/srv/git/a.git", "/srv/git/a.git"),
        ("file:///srv/git/a.git", "file:///srv/git/a.git"),
        ("C:\\git\\a.git", "C:\\git\\a.git"),
    ],
)
def test_credentials_leave_an_address(url, cleaned):
    assert without_credentials(url) == cleaned


SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        (
            {"GITHUB_SHA": SHA, "GITHUB_REPOSITORY": "team/churn", "GITHUB_WORKSPACE": "/w"},
            Repository("https://github.com/team/churn", SHA, None, "/w"),
        ),
        (
            {"CI_COMMIT_SHA": SHA, "CI_PROJECT_URL": "https://x:y@gitlab.example.com/a"},
            Repository("https://gitlab.example.com/a", SHA, None, None),
        ),
        (
            {"GIT_COMMIT": SHA, "GIT_URL": "git@example.com:a.git", "WORKSPACE": "/w"},
            Repository("git@example.com:a.git", SHA, None, "/w"),
        ),
        ({"HEADWATER_GIT_COMMIT": SHA, "GIT_COMMIT": "1" * 40}, Repository(None, SHA, None, None)),
        ({"BUILDKITE_COMMIT": "HEAD"}, None),
        ({}, None),
    ],
    ids=["github", "gitlab", "jenkins", "own", "no commit", "none"],
)
def test_services_say_what_they_checked_out(variables, expected):
    assert from_variables(variables) == expected


def test_a_checkout_without_repository_is_known_by_its_service(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_COMMIT", SHA)

    assert repository_state(tmp_path / "elsewhere") == Repository(
        None, SHA, None, os.environ.get("WORKSPACE")
    )
