"""What the environment asks of a program that records its runs."""

import headwater


def test_a_run_is_resumed_where_the_environment_names_it(monkeypatch, tmp_path):
    with headwater.connect(f"sqlite:///{tmp_path}/a.db") as client:
        with client.run("churn", name="nightly/1"):
            pass
        monkeypatch.setenv("HEADWATER_RESUME", "churn/nightly/1")

        with client.run("churn") as resumed, client.run("scoring") as other:
            pass
        with client.run("churn", name="nightly/2") as named:
            pass

        assert (resumed.name, named.name) == ("nightly/1", "nightly/2")
        assert other.name != "nightly/1"
        assert sorted(run.run for run in client.runs("churn")) == ["nightly/1", "nightly/2"]
