"""``--where``, ``--sort``, ``--columns`` and ages: what is wrong usage; and how numbers are told in words."""

import click
import pytest

from headwater.cli import run_options
from headwater.cli.run_words import duration, number, percent, states


@pytest.mark.parametrize(
    ("option", "text", "sentence"),
    [
        ("--where", "loss < 1", "condition, column 1: there is no field 'loss'; there are params.NAME, "),
        ("--where", "metrics.auc > 1 2", "condition, column 17: expected AND or the end, found '2'"),
        ("--where", "started > yesterday", "expected a time, 2026-01-31 or 2026-01-31T12:30, an age"),
        ("--sort", "metrics", "field, column 8: expected a name after 'metrics', for example metrics.auc"),
        ("--sort", "started desc", "field, column 9: expected nothing more, found 'desc'"),
        ("--columns", "run,loss", "there is no column 'loss'; there are id, pipeline, run, state, started, "),
    ],
)
def test_what_is_no_condition_field_or_column_is_wrong_usage(run, url, option, text, sentence):
    result = run("run", "list", option, text, "--target", url)

    assert (result.exit_code, result.stdout) == (2, "")
    assert f"Invalid value for '{option}': " in result.stderr
    assert sentence in result.stderr


OPTION = click.Option(["--option"])


def test_columns_are_names_with_commas_between_them():
    found = run_options.columns(None, OPTION, "run, param.lr,metric.auc,,tags.`the team`")

    assert found == ["run", "params.lr", "metrics.auc", "tags.the team"]
    with pytest.raises(click.BadParameter, match="name at least one column"):
        run_options.columns(None, OPTION, " , ")


@pytest.mark.parametrize(
    ("text", "expected_ms"),
    [("90s", 90_000), ("15m", 900_000), ("1.5h", 5_400_000), ("30d", 2_592_000_000), ("2 w", 1_209_600_000)],
)
def test_an_age_is_a_number_and_a_unit(text, expected_ms):
    assert run_options.age_ms(None, OPTION, text) == expected_ms


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "30 days", "1y"])
def test_what_is_no_age_is_refused(text):
    with pytest.raises(click.BadParameter, match="is not a length of time; write a number and"):
        run_options.age_ms(None, OPTION, text)


@pytest.mark.parametrize(
    ("duration_ms", "expected"),
    [
        (-5, "0 ms"),
        (0, "0 ms"),
        (999, "999 ms"),
        (1_000, "1.0 s"),
        (59_999, "59.9 s"),
        (60_000, "1 min 0 s"),
        (200_500, "3 min 20 s"),
        (7_500_000, "2 h 5 min"),
        (273_600_000, "3 d 4 h"),
    ],
)
def test_a_duration_has_the_units_that_suit_it(duration_ms, expected):
    assert duration(duration_ms) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(3.0, "3"), (0.1, "0.1"), (1 / 3, "0.333333"), (1e-9, "1e-09"), (1e20, "1e+20"), (float("nan"), "nan")],
)
def test_a_metric_has_six_digits(value, expected):
    assert number(value) == expected


def test_counts_and_shares_are_told_in_words():
    assert states({"FAILED": 1, "COMPLETE": 1200, "NEW": 0, "STATE_UNSPECIFIED": 2}) == (
        "1,200 complete, 1 failed, 2 state_unspecified"
    )
    assert (percent(1, 3), percent(0, 3), percent(0, 0)) == ("33%", "0%", "")
