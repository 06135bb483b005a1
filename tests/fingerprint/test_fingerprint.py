"""Components, the fingerprint over them, and how two sets of them differ."""

from random import Random

import pytest

from headwater.errors import InvalidRequest
from headwater.fingerprint import Difference, component, differences, fingerprint, made_by

TRAIN = {
    "step": "train",
    "code": "sha256:00",
    "parameter:rate": "0.1",
    "input:rows": "sha256:11",
    "environment:lock": "sha256:22",
}


def test_the_order_of_components_does_not_matter():
    random = Random(3)
    pairs = list(TRAIN.items())

    found = set()
    for _ in range(20):
        random.shuffle(pairs)
        found.add(fingerprint(dict(pairs)))

    assert found == {fingerprint(TRAIN)}


def test_every_component_decides():
    changed = [{**TRAIN, name: "another"} for name in TRAIN]
    without = [
        {k: v for k, v in TRAIN.items() if k != name} for name in TRAIN if name not in ("step", "code")
    ]
    more = [{**TRAIN, name: ""} for name in ("salt", "version", "output:model", "input:x")]
    swapped = {**TRAIN, "input:rows": "sha256:22", "environment:lock": "sha256:11"}

    every = [TRAIN, *changed, *without, *more, swapped]

    assert len({fingerprint(each) for each in every}) == len(every)


def test_what_looks_like_the_encoding_cannot_stand_for_two_components():
    smuggled = {"step": 's","version":"2', "code": "c"}

    assert fingerprint(smuggled) != fingerprint({"step": "s", "code": "c", "version": "2"})


def test_a_long_text_counts_as_its_digest():
    long = "x" * 300

    assert fingerprint({**TRAIN, "salt": long}) == fingerprint({**TRAIN, "salt": component(long)})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("x" * 256, "x" * 256),
        ("x" * 257, "sha256:15eb95a462ee20bd91a415ae2d4aed341288186ddaa2b37908f7d592f0c3f85f"),
        ("\u00e9" * 128, "\u00e9" * 128),
        ("\u00e9" * 129, "sha256:a62bf20794e9afb2766a5305affe539386952b597ef3107ff06b810cf3edc29d"),
    ],
    ids=["empty", "256 bytes", "257 bytes", "256 bytes of two", "258 bytes of two"],
)
def test_a_component_is_its_text_or_the_digest_of_it(text: str, expected: str):
    assert component(text) == expected


@pytest.mark.parametrize(
    ("components", "sentence"),
    [
        ({}, "component 'step' is missing; a fingerprint without it would match unrelated steps"),
        ({"step": "s"}, "component 'code' is missing; a fingerprint without it would match unrelated steps"),
        (
            {"step": "s", "code": ""},
            "component 'code' is missing; a fingerprint without it would match unrelated steps",
        ),
        (
            {**TRAIN, "params:rate": "1"},
            "'params:rate' is not the name of a component; expected one of step, code, version, salt, "
            "parameter:<name>, input:<name>, environment:<name>, output:<name>",
        ),
        (
            {**TRAIN, "input": "1"},
            "'input' is not the name of a component; expected one of step, code, version, salt, "
            "parameter:<name>, input:<name>, environment:<name>, output:<name>",
        ),
        ({**TRAIN, "input:": "1"}, "component 'input:' lacks a name behind the colon"),
        (
            {**TRAIN, "parameter:rate": 0.1},
            "component 'parameter:rate' must be text, not 0.1; use canonical() to get it",
        ),
        ({**TRAIN, 3: "x"}, "a component's name must be text, not 3"),
        (
            {**TRAIN, "salt": "\ud800"},
            "component 'salt' holds a lone surrogate: '\\ud800'; pass text that is Unicode",
        ),
        (
            {**TRAIN, "input:\ud800": "1"},
            "the name of component 'input:\\ud800' holds a lone surrogate: 'input:\\ud800'; "
            "pass text that is Unicode",
        ),
    ],
    ids=[
        "none",
        "no code",
        "empty code",
        "unknown",
        "no colon",
        "no name",
        "number",
        "number as name",
        "surrogate",
        "surrogate in a name",
    ],
)
def test_components_that_cannot_be_are_refused(components: dict[str, str], sentence: str):
    with pytest.raises(InvalidRequest) as refused:
        fingerprint(components)

    assert str(refused.value) == sentence


def test_an_input_in_memory_is_named_by_what_made_it():
    made = fingerprint(TRAIN)

    assert made_by(made, "model") == f"made:{made}#model"


@pytest.mark.parametrize(
    ("made", "output", "sentence"),
    [
        ("sha256:00", "model", "'sha256:00' is not a fingerprint; expected 'hw1:' and 64 digits"),
        (f"hw1:{'0' * 64}", "", f"the output of 'hw1:{'0' * 64}' needs a name"),
    ],
    ids=["no fingerprint", "no name"],
)
def test_an_input_that_nothing_made_is_refused(made: str, output: str, sentence: str):
    with pytest.raises(InvalidRequest) as refused:
        made_by(made, output)

    assert str(refused.value) == sentence


def test_equal_components_do_not_differ():
    assert differences(TRAIN, dict(reversed(TRAIN.items()))) == []


def test_differences_come_in_the_order_in_which_people_look_for_a_cause():
    new = {
        "step": "train2",
        "output:model": "onnx",
        "input:rows": "sha256:12",
        "parameter:z": "1",
        "parameter:a": "1",
        "environment:lock": "sha256:23",
        "salt": "s",
        "version": "2",
        "code": "sha256:01",
        "weather:here": "rain",
    }

    assert differences(TRAIN, new) == [
        Difference("code", "sha256:00", "sha256:01"),
        Difference("version", None, "2"),
        Difference("salt", None, "s"),
        Difference("environment:lock", "sha256:22", "sha256:23"),
        Difference("parameter:a", None, "1"),
        Difference("parameter:rate", "0.1", None),
        Difference("parameter:z", None, "1"),
        Difference("input:rows", "sha256:11", "sha256:12"),
        Difference("output:model", None, "onnx"),
        Difference("step", "train", "train2"),
        Difference("weather:here", None, "rain"),
    ]
