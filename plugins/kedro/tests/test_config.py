"""What `conf/<env>/headwater.yml` and the catalog say, as runs obey it."""

import json
from pathlib import Path

import pytest
import yaml
from headwater_kedro.config import parse_settings, target_of

import headwater
from headwater.errors import InvalidRequest

CACHED = "--runner=headwater_kedro.CachedRunner"
HIT, RUN = ["CACHED"], ["COMPLETE"]


def test_every_run_skips_where_the_file_says_so(project):
    project.write("conf/base/headwater.yml", "skip: true\n")
    project.run()
    said = project.run("--runner=ThreadRunner")

    assert set(map(tuple, project.states().values())) == {("CACHED",)}
    assert "4 hit in run" in said


def test_the_file_of_an_environment_counts_there_and_the_variable_counts_before_both(project, tmp_path):
    base, there, told = (f"sqlite:///{tmp_path}/{name}.db" for name in ("base", "there", "told"))
    project.write("conf/base/headwater.yml", f"address: {base}\nproject: corner shop\n")
    project.write("conf/there/headwater.yml", f"address: {there}\n")
    project.run()
    project.run("--env=there")
    project.run(HEADWATER_ADDRESS=told)

    for target, env in ((base, ""), (there, "there"), (told, "")):
        with headwater.connect(target) as store:
            (run,) = store.runs()
            assert run.pipeline == "corner shop:__default__"
            assert store.get_context(run.run_id).custom_properties["kedro_env"].string_value == env


def test_nothing_is_recorded_where_the_file_says_so(project):
    project.write("conf/base/headwater.yml", "record: false\n")
    project.run()

    assert not (project.path / ".headwater").exists()


def test_a_key_that_there_is_not_is_named_and_the_run_goes_on(project):
    project.write("conf/base/headwater.yml", "adress: localhost:1\n")
    said = " ".join(project.run().split())

    assert "there is no key 'adress'" in said
    assert project.read("data/report.txt") == "18 of 2"


def test_a_strict_project_fails_where_its_store_is_away_before_anything_runs(project):
    project.write("conf/base/headwater.yml", "address: localhost:1\nstrict: true\ntimeout_s: 1\n")
    project.run(fails=True)

    assert not (project.path / "data/rows.json").exists()


def test_parameters_that_are_left_out_are_nowhere_and_decide_nothing(project):
    project.write("conf/base/headwater.yml", "parameters: {exclude: ['*.password', verbosity]}\n")
    project.hold(
        "def greet(raw, whole, nested, verbosity):\n    return raw + str(whole['times'])\n",
        "node(nodes.greet, ['raw', 'parameters', 'params:db', 'params:verbosity'], 'report', name='greet')",
        "raw: {type: text.TextDataset, filepath: data/raw.txt}\n"
        "report: {type: text.TextDataset, filepath: data/report.txt}\n",
        "times: 2\nverbosity: 1\ndb: {host: here, password: opensesame}\n",
    )
    project.run(CACHED)
    project.run(CACHED, "--params=verbosity=9,db.password=changed-word")
    unchanged = project.states()
    project.run(CACHED, "--params=db.host=there")

    assert (unchanged, project.states()) == ({"greet": HIT}, {"greet": RUN})
    (step,) = project.steps()
    assert step.parameters == {"db.host": "there", "times": 2}
    everything = b"".join(path.read_bytes() for path in (project.path / ".headwater").glob("headwater.db*"))
    assert b"opensesame" not in everything
    assert b"changed-word" not in everything


def test_policies_of_nodes_by_name(project):
    project.write(
        "conf/base/headwater.yml",
        "cache:\n  nodes:\n    'spl*': {policy: off}\n    clean: {salt: first}\n",
    )
    project.run(CACHED)
    text = project.read("conf/base/headwater.yml")
    project.write("conf/base/headwater.yml", text.replace("first", "second"))
    project.run(CACHED)

    assert set(map(tuple, project.states().values())) == {("COMPLETE",)}
    why = {step.step: step.why for step in project.steps()}
    assert "salt" in why["clean"]
    assert why["split"] == "headwater.yml says not to cache it"
    assert why["train"] == "'train_rows' is in memory, and the node that makes it runs always"
    assert why["judge"] == "'test_rows' is in memory, and the node that makes it runs always"


def test_an_age_above_which_nothing_is_reused(project):
    project.write("conf/base/headwater.yml", "cache: {max_age_s: 0.001}\n")
    project.run(CACHED)
    project.run(CACHED)

    assert set(map(tuple, project.states().values())) == {("COMPLETE",)}


def test_what_the_catalog_says_of_a_dataset(project):
    catalog = project.read("conf/base/catalog.yml").replace(
        "rows: {", "rows: {metadata: {headwater: {cache: false}, other: {}}, "
    )
    project.write("conf/base/catalog.yml", catalog)
    project.run(CACHED)
    project.run(CACHED)

    why = {step.step: step.why for step in project.steps()}
    assert why["clean"] == why["split"] == "the catalog says not to cache 'rows'"


def test_a_version_in_the_catalog_counts_for_content_that_cannot_be_looked_at(project):
    project.write(
        "src/shop/tables.py",
        "from pathlib import Path\n"
        "from kedro.io import AbstractDataset\n"
        "class Table(AbstractDataset):\n"
        "    def __init__(self, name, metadata=None):\n"
        "        self.metadata, self.name = metadata, name\n"
        "    def _load(self): return Path(self.name).read_text()\n"
        "    def _save(self, data): Path(self.name).write_text(data)\n"
        "    def _exists(self): return Path(self.name).exists()\n"
        "    def _describe(self): return {'name': self.name}\n",
    )
    catalog = (
        "raw: {type: shop.tables.Table, name: data/raw.txt, metadata: {headwater: {version: VERSION}}}\n"
        "kept: {type: shop.tables.Table, name: data/kept.txt, metadata: {headwater: {version: '1'}}}\n"
        "report: {type: text.TextDataset, filepath: data/report.txt}\n"
    )
    project.hold(
        "def keep(text):\n    return text\n",
        "node(nodes.keep, 'raw', 'kept', name='keep'), node(nodes.keep, 'kept', 'report', name='report')",
        catalog.replace("VERSION", "may"),
    )
    project.run(CACHED)
    project.run(CACHED)
    same = project.states()
    (project.path / "data/kept.txt").unlink()
    project.run(CACHED)
    gone = project.states()
    project.write("conf/base/catalog.yml", catalog.replace("VERSION", "june"))
    project.run(CACHED)

    assert same == {"keep": HIT, "report": HIT}
    assert gone == {"keep": RUN, "report": HIT}
    assert project.states() == {"keep": RUN, "report": HIT}


def test_a_run_has_what_it_takes_to_repeat_it(project):
    project.run("--params=rate=5", "--tags=", "--to-nodes=train")

    with headwater.connect(f"sqlite:///{project.path}/.headwater/headwater.db") as store:
        run = next(iter(store.runs()))
        kept = store.get_context(run.run_id).custom_properties["kedro"]
    text = kept.string_value or json.loads(json.dumps(headwater.client.values.from_value(kept)))
    told = json.loads(text)
    assert told["pipelines"] == ["__default__"]
    assert told["runtime_params"] == {"rate": 5}
    assert told["parameters"] == "size: 2\nrate: 5\n"
    assert told["to_nodes"] == ["train"]
    assert told["runner"].endswith("SequentialRunner")
    assert run.parameters == {"rate": 5, "size": 2}


def test_what_is_left_out_takes_along_all_that_is_in_it_also_from_errors(project):
    project.write("conf/base/headwater.yml", "parameters: {exclude: [api]}\n")
    project.hold(
        "def fetch(raw, token):\n    raise ValueError(f'refused: {token}')\n",
        "node(nodes.fetch, ['raw', 'params:api.token'], 'report', name='fetch')",
        "raw: {type: text.TextDataset, filepath: data/raw.txt}\n",
        "api: {token: opensesame, host: here}\n",
    )
    project.run(fails=True)

    (step,) = project.steps()
    assert step.state == "FAILED"
    assert "refused: ***" in step.error
    everything = b"".join(path.read_bytes() for path in (project.path / ".headwater").rglob("*.db*"))
    assert b"opensesame" not in everything


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("load_args: {version: 1}", "load_args: {version: 2}"),
        ("load_args: {header: null}", "load_args: {}"),
        ("load_args: {names: {0: a}}", "load_args: {names: {'0': a}}"),
    ],
)
def test_each_option_of_a_load_decides(project, before, after):
    project.write(
        "src/shop/tables.py",
        "from pathlib import Path\n"
        "from kedro.io import AbstractDataset\n"
        "class Table(AbstractDataset):\n"
        "    def __init__(self, filepath, load_args=None):\n"
        "        self._filepath, self.load_args = filepath, load_args\n"
        "    def _load(self): return repr(self.load_args)\n"
        "    def _save(self, data): pass\n"
        "    def _describe(self): return {}\n",
    )
    catalog = "raw: {type: shop.tables.Table, filepath: data/raw.txt, ARGS}\n"
    catalog += "report: {type: text.TextDataset, filepath: data/report.txt}\n"
    project.hold(
        "def keep(text):\n    return text\n",
        "node(nodes.keep, 'raw', 'report', name='keep')",
        catalog.replace("ARGS", before),
    )
    project.run(CACHED)
    project.write("conf/base/catalog.yml", catalog.replace("ARGS", after))
    project.run(CACHED)

    assert project.states() == {"keep": RUN}


def test_the_order_of_keys_within_a_parameter_decides(project):
    project.hold(
        "def tell(raw, names, everything):\n    return ' '.join(names)\n",
        "node(nodes.tell, ['raw', 'params:names', 'parameters'], 'report', name='tell')",
        "raw: {type: text.TextDataset, filepath: data/raw.txt}\n"
        "report: {type: text.TextDataset, filepath: data/report.txt}\n",
        "names: {b: 1, a: 2}\nother: 3\n",
    )
    project.run(CACHED)
    project.write("conf/base/parameters.yml", "other: 3\nnames: {b: 1, a: 2}\n")
    project.run(CACHED)
    same = project.states()
    project.write("conf/base/parameters.yml", "names: {a: 2, b: 1}\nother: 3\n")
    project.run(CACHED)

    assert (same, project.states()) == ({"tell": HIT}, {"tell": RUN})
    assert project.read("data/report.txt") == "a b"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("timeout_s: -1", "timeout_s is a number of seconds above 0, and not -1"),
        ("address: somewhere", "headwater.yml: address is HOST:PORT or the URL of a database"),
        ("cache: {nodes: {a: {polcy: off}}}", "there is no key 'polcy' in cache.nodes.a"),
        ("skip: maybe", "skip is true or false, and not 'maybe'"),
        ("parameters: [a]", "parameters holds keys and values, and not ['a']"),
    ],
)
def test_what_cannot_be_is_said_with_brackets_and_all(text, says):
    with pytest.raises(InvalidRequest) as refused:
        target_of(parse_settings(yaml.safe_load(text)), Path("nowhere"))

    assert says in str(refused.value)


def test_brackets_stand_in_what_is_logged(project):
    project.write("conf/base/headwater.yml", "parameters: [a]\n")

    assert "and not ['a']" in " ".join(project.run().split())


def test_a_strict_project_fails_also_where_another_setting_is_wrong(project):
    project.write("conf/base/headwater.yml", "strict: true\nskpi: true\n")
    said = project.run(fails=True)

    assert "there is no key 'skpi'" in said
