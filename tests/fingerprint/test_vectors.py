"""The vectors, met by the code, by JavaScript written from the page, and shown alike on the page."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from random import Random
from typing import Any

import pytest
from fingerprint.values import Notation, bits, python, random_double, random_text, random_value

from headwater.fingerprint import VERSION, canonical, fingerprint

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "fingerprint.md"
VECTORS = json.loads((HERE / "vectors.json").read_text(encoding="utf-8"))
VALUES = {vector["name"]: vector for vector in VECTORS["values"]}
FINGERPRINTS = {vector["name"]: vector for vector in VECTORS["fingerprints"]}
NEEDS_NUMPY = {"numpy", "array"}


def in_javascript(values: list[Notation], components: list[dict[str, str]]) -> dict[str, list[str]]:
    """What the JavaScript makes of ``values`` and ``components``."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node on the PATH")
    asked = json.dumps({"values": values, "components": components})
    done = subprocess.run(
        [node, str(HERE / "canonical.mjs")],
        input=asked.encode(),
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode()
    answers: dict[str, list[str]] = json.loads(done.stdout)
    return answers


def test_the_vectors_are_of_this_version():
    assert VECTORS["version"] == VERSION


@pytest.mark.parametrize("vector", VALUES.values(), ids=VALUES)
def test_a_value_has_the_text_of_its_vector(vector: dict[str, Any]):
    if vector["value"][0] in NEEDS_NUMPY:
        pytest.importorskip("numpy")

    assert canonical(python(vector["value"]), what="vector") == vector["canonical"]


@pytest.mark.parametrize("vector", FINGERPRINTS.values(), ids=FINGERPRINTS)
def test_components_have_the_fingerprint_of_their_vector(vector: dict[str, Any]):
    assert fingerprint(vector["components"]) == vector["fingerprint"]


def test_javascript_meets_the_vectors_too():
    answers = in_javascript(
        [vector["value"] for vector in VALUES.values()],
        [vector["components"] for vector in FINGERPRINTS.values()],
    )

    assert answers == {
        "values": [vector["canonical"] for vector in VALUES.values()],
        "components": [vector["fingerprint"] for vector in FINGERPRINTS.values()],
    }


def test_javascript_agrees_on_random_values():
    random = Random(4)
    values = [random_value(random) for _ in range(2000)]

    texts = in_javascript(values, [])["values"]

    assert texts == [canonical(python(value), what="value") for value in values]


def test_javascript_agrees_on_random_doubles():
    random = Random(5)
    numbers = [random_double(random) for _ in range(20_000)]

    texts = in_javascript([["float", bits(value)] for value in numbers], [])["values"]

    assert texts == [canonical(value, what="number") for value in numbers]


def test_javascript_agrees_on_random_components():
    random = Random(6)
    components = [
        {"step": "s", "code": "c"}
        | {f"parameter:x{random_text(random)}": random_text(random) * n for n in range(9)}
        for _ in range(200)
    ]

    assert in_javascript([], components)["components"] == [fingerprint(each) for each in components]


def test_every_vector_on_the_page_is_in_the_file():
    page = PAGE.read_text(encoding="utf-8")
    block = re.search(r"```text vectors\n(.*?)```", page, re.DOTALL)
    assert block is not None

    shown = dict(line.split(": ", 1) for line in block[1].splitlines())

    in_the_file = {name: vector["canonical"] for name, vector in VALUES.items()}
    in_the_file |= {name: vector["fingerprint"] for name, vector in FINGERPRINTS.items()}
    assert len(shown) > 10
    assert shown == {name: in_the_file[name] for name in shown}


def test_the_worked_example_on_the_page_is_what_the_code_gives():
    page = PAGE.read_text(encoding="utf-8")
    block = re.search(r"```text fingerprint\n(.*)\n(.*)\n```", page)
    assert block is not None

    assert block[2] == fingerprint(json.loads(block[1])["components"])


def test_every_tag_in_the_table_of_the_page_is_met_by_a_vector():
    page = PAGE.read_text(encoding="utf-8")

    tags = set(re.findall(r'`\{"(\$[a-z]+)"', page))

    met = set(re.findall(r'"(\$[a-z]+)"', " ".join(vector["canonical"] for vector in VALUES.values())))
    assert len(tags) > 15
    assert tags == met
