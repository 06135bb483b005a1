"""Two runs of a project at the same time."""

import os
import subprocess
import sys
from pathlib import Path

CACHED = "--runner=headwater_kedro.CachedRunner"
SLOW = """
import os
from pathlib import Path

from kedro_datasets.text import TextDataset

class Slow(TextDataset):
    # Its bytes are there before the save is over, as with an upload.
    def save(self, data):
        super().save(data)
        if "WAITS" in os.environ:
            open(os.environ["WAITS"] + ".saved", "w").close()
            open(os.environ["WAITS"] + ".goes-on").close()
"""


def test_neither_of_two_that_write_one_file_counts_what_is_there_as_its_own(project):
    project.write("src/shop/slow.py", SLOW)
    project.hold(
        "def tell(raw, rate):\n    return f'rate {rate}'\n",
        "node(nodes.tell, ['raw', 'params:rate'], 'report', name='tell')",
        "raw: {type: text.TextDataset, filepath: data/raw.txt}\n"
        "report: {type: shop.slow.Slow, filepath: data/report.txt}\n",
        "rate: 1\n",
    )
    waits = project.path / "first"
    for what in ("saved", "goes-on"):
        os.mkfifo(f"{waits}.{what}")
    first = subprocess.Popen(
        [sys.executable, "-m", "kedro", "run", CACHED],
        cwd=project.path,
        env={**os.environ, "DO_NOT_TRACK": "1", "WAITS": str(waits)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with Path(f"{waits}.saved").open():
        project.run(CACHED, "--params=rate=2")
    with Path(f"{waits}.goes-on").open("w"):
        pass
    assert first.wait(timeout=60) == 0
    project.run(CACHED)

    assert project.read("data/report.txt") == "rate 1"
    assert project.states() == {"tell": ["COMPLETE"]}
    why = {step.step: step.why for step in project.steps()}
    assert "another run wrote report at the same time" in why["tell"]
    assert list((project.path / ".headwater/writing").glob("*/*")) == []


def test_a_directory_that_changes_while_a_node_reads_it_is_not_reused(project):
    project.hold(
        "import os\n"
        "from pathlib import Path\n"
        "def join(parts):\n"
        "    if 'WRITES' in os.environ:\n"
        "        Path('data/parts/one.txt').write_text('other')\n"
        "    return ''.join(part() for part in parts.values())\n",
        "node(nodes.join, 'parts', 'joined', name='join')",
        "parts: {type: partitions.PartitionedDataset, path: data/parts, dataset: text.TextDataset}\n"
        "joined: {type: text.TextDataset, filepath: data/joined.txt}\n",
    )
    project.write("data/parts/one.txt", "first")
    project.run(CACHED, WRITES="1")
    project.write("data/parts/one.txt", "first")
    project.run(CACHED)

    assert project.read("data/joined.txt") == "first"
    assert project.states() == {"join": ["COMPLETE"]}
