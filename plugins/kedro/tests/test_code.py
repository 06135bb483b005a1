"""By which code a node ran, as it is recorded."""

import subprocess
from importlib.metadata import version

import pytest

import headwater


def git(project, *arguments: str) -> str:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.com"]
    done = subprocess.run(
        ["git", *identity, *arguments],
        cwd=project.path,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout.strip()


def test_a_run_knows_its_commit_and_whether_something_was_changed_since(project):
    git(project, "init", "--quiet")
    git(project, "add", ".")
    git(project, "commit", "--quiet", "--message=first")
    project.run()
    clean = project.latest().code
    project.write("src/shop/helpers.py", "def doubled(number):\n    return 2 * number\n")
    project.run()

    commit = git(project, "rev-parse", "HEAD")
    assert (clean["commit"], clean["is_dirty"]) == (commit, False)
    changed = project.latest().code
    assert (changed["commit"], changed["is_dirty"]) == (commit, True)
    assert "headwater" not in git(project, "status", "--porcelain")


def test_nodes_have_a_digest_of_their_code_that_changes_with_what_it_uses(project):
    def digests():
        with headwater.connect(f"sqlite:///{project.path}/.headwater/headwater.db") as store:
            return {
                step.step: step.code["source_digest"] for step in store.steps(next(iter(store.runs())).run_id)
            }

    project.run()
    before = digests()
    project.write("src/shop/helpers.py", "def doubled(number):\n    return 2 * number\n")
    project.run()

    after = digests()
    assert {name for name in before if before[name] != after[name]} == {"train"}
    assert len(set(before.values())) == len(before)


def test_a_node_whose_arguments_change_places_runs_again(project):
    registry = project.read("src/shop/pipeline_registry.py")
    project.run()
    project.write(
        "src/shop/pipeline_registry.py",
        registry.replace(
            '["train_rows", "test_rows"], name="split"', '["test_rows", "train_rows"], name="split"'
        ),
    )
    project.run("--runner=headwater_kedro.CachedRunner")

    assert project.states()["clean"] == ["CACHED"]
    assert project.states()["split"] == ["COMPLETE"]
    why = {step.step: step.why for step in project.steps()}
    assert "arguments" in why["split"]


@pytest.mark.skipif(version("kedro") < "1.6", reason="Kedro has validators since 1.6")
def test_the_code_of_a_validator_counts(project):
    catalog = project.read("conf/base/catalog.yml")
    project.write(
        "conf/base/catalog.yml",
        catalog.replace("data/raw.txt", "data/raw.txt, validator: shop.validators.check"),
    )
    project.write("src/shop/validators.py", "def check(data, **options):\n    return data\n")
    project.run()
    project.write("src/shop/validators.py", "def check(data, **options):\n    return data + ' 5'\n")
    project.run("--runner=headwater_kedro.CachedRunner")

    assert project.states()["clean"] == ["COMPLETE"]
    assert project.read("data/rows.json").count("5") == 1


def test_a_node_with_a_very_long_name_is_recorded_under_the_beginning_of_it(project):
    name = "clean" * 60
    registry = project.read("src/shop/pipeline_registry.py")
    project.write("src/shop/pipeline_registry.py", registry.replace('name="clean"', f'name="{name}"'))
    project.run()
    project.run("--runner=headwater_kedro.CachedRunner")

    (first, *_) = project.states()
    assert (len(first), name.startswith(first[:180])) == (200, True)
    assert set(map(tuple, project.states().values())) == {("CACHED",)}


def test_the_code_of_nested_classes_of_datasets_counts(project):
    own = "from kedro_datasets.text import TextDataset\n\nclass Own(TextDataset):\n    def load(self):\n"
    project.write("src/lib/__init__.py", "")
    project.write("src/lib/own.py", own + "        return super().load()\n")
    project.hold(
        "def join(parts):\n    return ''.join(one() for one in parts.values())\n\n"
        "def keep(text):\n    return text\n",
        "node(nodes.join, 'parts', 'joined', name='join'), node(nodes.keep, 'joined', 'end', name='keep')",
        "parts: {type: partitions.PartitionedDataset, path: data/parts, dataset: {type: lib.own.Own}}\n"
        "joined: {type: text.TextDataset, filepath: data/joined.txt}\n"
        "end: {type: lib.own.Own, filepath: data/end.txt}\n",
    )
    project.write("data/parts/one.txt", "1")
    project.run()
    project.write("src/lib/own.py", own + "        return super().load() + '.'\n")
    project.run("--runner=headwater_kedro.CachedRunner")

    assert project.states() == {"join": ["COMPLETE"], "keep": ["COMPLETE"]}
    assert project.read("data/joined.txt") == "1."
