"""What stays in memory while a run goes on."""

CACHED = "--runner=headwater_kedro.CachedRunner"
NODES = """
import gc, weakref

class Big(list):
    pass

made = []

def first(raw):
    big = Big([raw])
    made.append(weakref.ref(big))
    return big

def second(big):
    return big[0]

def third(small):
    return small

def last(text):
    gc.collect()
    return f"{sum(one() is not None for one in made)} of {len(made)} left"
"""
PIPELINE = """
node(nodes.first, "raw", "big", name="first"), node(nodes.second, "big", "small", name="second"),
node(nodes.third, "small", "text", name="third"), node(nodes.last, "text", "report", name="last"),
"""
CATALOG = """
raw: {type: text.TextDataset, filepath: data/raw.txt}
big: {type: MemoryDataset, copy_mode: assign}
text: {type: text.TextDataset, filepath: data/text.txt}
report: {type: text.TextDataset, filepath: data/report.txt}
"""


def test_data_that_was_made_again_is_let_go_when_it_was_read(project):
    project.hold(NODES, PIPELINE, CATALOG)
    project.run(CACHED)
    for name in ("text", "report"):
        (project.path / f"data/{name}.txt").unlink()
    project.run(CACHED)

    assert project.states()["first"] == ["CACHED", "COMPLETE"]
    assert project.read("data/report.txt") == "0 of 1 left"


def test_a_long_chain_in_memory_can_be_made_again(project):
    project.write(
        "src/shop/nodes.py",
        "def add(number):\n    return number + 1\n\ndef tell(number):\n    return str(number)\n",
    )
    project.write(
        "src/shop/pipeline_registry.py",
        "from kedro.pipeline import Pipeline, node\n"
        "from shop import nodes\n"
        "def register_pipelines():\n"
        "    chain = [node(nodes.add, f'n{i}', f'n{i + 1}', name=f'add{i}') for i in range(1, 1100)]\n"
        "    start = node(nodes.add, 'params:zero', 'n1', name='start')\n"
        "    end = node(nodes.tell, 'n1100', 'end', name='end')\n"
        "    return {'__default__': Pipeline([start, *chain, end])}\n",
    )
    project.write("conf/base/parameters.yml", "zero: 0\n")
    project.write("conf/base/catalog.yml", "end: {type: text.TextDataset, filepath: data/end.txt}\n")
    project.run(CACHED)
    (project.path / "data/end.txt").unlink()
    project.run(CACHED)

    assert project.read("data/end.txt") == "1100"
