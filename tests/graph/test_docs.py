"""The Python of docs/lineage.md runs, in its order."""

import re
import textwrap
from datetime import datetime, timezone
from pathlib import Path

import pytest
from support import Call

from headwater.client import Store
from headwater.client.graph import LineageQuestions
from headwater.embedded import EmbeddedTransport
from headwater.storage.database import Database
from headwater.v1 import pipelines_pb2 as pipelines

DOCS = Path(__file__).parents[2] / "docs" / "lineage.md"
BLOCKS = re.findall(r"^ *```python\n(.*?)^ *```", DOCS.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def record(call: Call, run: str, rate: str) -> None:
    raw = pipelines.StepInput(name="raw", uri="s3://b/raw", digest="sha256:d")
    begin = pipelines.BeginStepRequest(
        pipeline="churn", run=run, step="train", key=run, components={"code": "v1", "parameter:rate": rate}
    )
    begin.inputs.append(raw)
    call("BeginStep", begin)
    finish = pipelines.FinishStepRequest(key=run, state=pipelines.COMPLETE)
    finish.outputs.add(name="out", type="Model", uri=f"s3://b/{run}", digest=f"sha256:{run}", size_bytes=5)
    call("FinishStep", finish)


@pytest.mark.backends("sqlite")
def test_the_python_of_the_document_runs(
    call: Call, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("networkx")
    pytest.importorskip("graphviz")
    record(call, "monday", "0.1")
    record(call, "tuesday", "0.2")
    store = Store(EmbeddedTransport(database))
    assert isinstance(store, LineageQuestions)
    names = {"store": store, "datetime": datetime, "timezone": timezone}

    for block in BLOCKS:
        exec(textwrap.dedent(block), names)

    assert capsys.readouterr().out.splitlines() == [
        "sha256:tuesday 5",
        "Artifact churn/tuesday/train/out",
        "Execution churn/tuesday/train",
        "Artifact ",
        "3",
        "digraph lineage {",
        "max_nodes is 2, and there are more; raise it, or lower max_hops",
        "s3://b/raw -> churn/tuesday/train -> churn/tuesday/train/out",
        "2 [('churn', 4), ('churn/monday', 2), ('churn/tuesday', 2)]",
        "train parameter:rate 0.2 0.1",
    ]
    assert len(BLOCKS) == 8
