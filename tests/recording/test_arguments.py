"""What a step is given: where files and outputs are found in it, and how odd values are recorded."""

import functools
from collections import OrderedDict, namedtuple
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from recording.seeing import ends, executions

from headwater.client.recording import File, Output
from headwater.errors import InvalidRequest

Pair = namedtuple("Pair", ["table", "rate"])


@dataclass(frozen=True)
class Settings:
    """Settings that name a file."""

    table: object
    rate: float = 0.5


def text_of(given) -> str:
    while not isinstance(given, File | Output):
        given = given.table if hasattr(given, "table") else given[0]
    return Path(given).read_text()


def inputs(client, step: str) -> list[str]:
    return sorted(ends(client, executions(client, step)[-1].id)["INPUT"])


class Frames(Sequence):
    """A sequence that loads what is asked of it."""

    def __init__(self) -> None:
        self.loaded = 0

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index):
        if index >= 3:
            raise IndexError(index)
        self.loaded += 1
        return index


def test_what_is_left_out_is_not_looked_into(client):
    frames = Frames()

    with client.run("churn") as run:
        got = run.step("use", exclude="given")(lambda given: given is frames)(frames)

    assert (got, frames.loaded) == (True, 0)


@pytest.mark.parametrize(
    ("around", "name"),
    [
        (Settings, "given.table"),
        (lambda file: Pair(file, 1), "given.table"),
        (lambda file: [[[[[[[[file]]]]]]]], "given[0][0][0][0][0][0][0][0]"),
        (lambda file: [{0: Settings((file,))}], "given[0]{0}.table[0]"),
    ],
    ids=["dataclass", "named tuple", "deep", "mixed"],
)
def test_a_file_is_an_input_wherever_it_is(client, raw, around, name):
    found = []
    for text in ("a", "a", "b"):
        raw.write_text(text)
        with client.run("churn") as run:
            found.append((run.step(text_of)(around(File(raw))), inputs(client, "text_of")))

    assert found == [("a", [name]), ("a", [name]), ("b", [name])]
    assert len({one.properties["fingerprint"].string_value for one in executions(client, "text_of")}) == 2


@pytest.mark.parametrize(
    "around",
    [
        lambda file: {file},
        lambda file: OrderedDict(a=file),
        lambda file: [{file: 1}],
        lambda file: Settings({(file,): 1}),
    ],
    ids=["set", "ordered", "key", "key within"],
)
def test_a_file_where_it_cannot_be_an_input_is_refused(client, raw, around):
    with client.run("churn") as run:
        for cache in (True, False):
            with pytest.raises(InvalidRequest, match=r"argument 'given.*give it as an argument of its own"):
                run.step("use", cache=cache)(lambda given: 1)(around(File(raw)))


def test_an_object_in_a_dataclass_reaches_the_function(client):
    def make():
        return object()

    with client.run("churn") as run:
        made = run.step(make)()
        settings = Settings(made)
        got = run.step("use", code="1")(lambda given: given.table is made.value and given.rate)(settings)

    assert got == 0.5
    assert settings.table is made


def test_inputs_have_names_of_their_own(client, raw, tmp_path):
    other = tmp_path / "other.csv"
    other.write_text("other")
    given = {1: File(raw), "1": File(other), "a": File(raw), "a][b": File(raw)}
    with client.run("churn") as run:
        run.step("use", code="1")(lambda given: 1)(given)
        run.step("use_list", code="1")(lambda given: 1)([File(raw)])
        run.step("use_dict", code="1")(lambda given: 1)({0: File(raw)})
        with pytest.raises(InvalidRequest, match="two inputs are named"):
            run.step("twice", code="1", inputs={"given[0]": raw})(lambda given: 1)([File(raw)])

    assert inputs(client, "use") == ["given[a]", 'given{"1"}', 'given{"a][b"}', "given{1}"]
    assert (inputs(client, "use_list"), inputs(client, "use_dict")) == (["given[0]"], ["given{0}"])


def test_a_keyword_named_like_a_positional_parameter_counts_for_itself(client):
    def add(a, /, **more):
        return a + more["a"]

    with client.run("churn") as run:
        found = [run.step(add)(first, a=second) for first, second in ((1, 2), (5, 2), (2, 1))]

    assert found == [3, 7, 3]
    parameters = [dict(one.custom_properties) for one in executions(client, "add")]
    assert len({str(one) for one in parameters}) == 3


def test_what_a_partial_binds_is_an_input(client, raw):
    def read(table, times):
        return Path(table).read_text() * times

    found = []
    for text in ("a", "a", "b"):
        raw.write_text(text)
        with client.run("churn") as run:
            found.append(run.step("read")(functools.partial(read, File(raw)))(2))

    assert found == ["aa", "aa", "bb"]
    assert inputs(client, "read") == ["table"]


def test_an_output_that_is_closed_over_counts(client, tmp_path):
    def make(text):
        path = tmp_path / f"{text}.csv"
        path.write_text(text)
        return path

    found = []
    for text in ("a", "b"):
        with client.run("churn") as run:
            table = run.step(make)(text)

            def use(table=table):
                return Path(table).read_text()

            def read():
                return Path(table).read_text()  # noqa: B023  # it is called in this round

            found.append((run.step(read)(), run.step("bound")(functools.partial(use, table))()))

    assert found == [("a", "a"), ("b", "b")]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({2: 3}, '{"$map":[[2,3]]}'),
        ({"a": 1, 2: 3}, '{"$map":[["a",1],[2,3]]}'),
        (float("inf"), '{"$float":"Infinity"}'),
        ({"k": float("nan")}, '{"k":{"$float":"NaN"}}'),
        ("a\0b", '"a\\u0000b"'),
        ({"k": ["a\0b"]}, '{"k":["a\\u0000b"]}'),
        (10**5000, f"1{'0' * 5000}"),
        ({"k": 10**400}, f'{{"k":1{"0" * 400}}}'),
    ],
    ids=range(8),
)
def test_a_parameter_that_no_property_holds_is_recorded_in_its_canonical_form(client, value, text):
    calls = []

    def use(given):
        calls.append(given)
        return 1

    for _ in range(2):
        with client.run("churn") as run:
            run.step("use", code="1")(use)(value)

    recorded = executions(client, "use")[0].custom_properties["parameter.given"].string_value
    assert recorded == text
    assert len(calls) == 1


def test_pickled_outputs_of_similar_names_are_kept_apart(client, tmp_path):
    def make():
        return {"a/b": {1}, "a b": {2}, "A_B": {3}, "a_b": {4}}

    for _ in range(2):
        with client.run("churn", directory=tmp_path / "kept") as run:
            found = run.step("make", persist=True)(make)()
            assert {name: one.value for name, one in found.items()} == make()

    assert len(list((tmp_path / "kept").rglob("*.pickle"))) == 4


@pytest.mark.parametrize(
    "uri",
    ["s3://AKIA:s3cret@bucket/key", "https://me:s3cret@h/x?sig=s3cret", "zip://a::https://me:s3cret@h/x"],
)
def test_credentials_of_a_place_are_not_shown(uri):
    file = File(uri, version="7")

    assert "s3cret" not in repr(file)
    assert repr(file).endswith(", version='7')")
    with pytest.raises(Exception, match=r".") as refused:
        file.path  # noqa: B018  # the asking is what is tested
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("place", ["missing.csv", "memory://nowhere/missing.csv"])
def test_an_output_of_a_given_digest_has_to_be_there(client, tmp_path, place):
    def ghost():
        return File(place if ":" in place else tmp_path / place, digest=f"sha256:{'0' * 64}")

    with client.run("churn") as run, pytest.raises(InvalidRequest, match="is not there"):
        run.step(ghost)()
