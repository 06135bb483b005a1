import os

import pytest

from headwater.client.capture.trigger import owner, trigger

SERVICES = [
    ({}, "manual"),
    ({"AIRFLOW_CTX_DAG_ID": "churn"}, "airflow"),
    ({"AIRFLOW_CTX_DAG_ID": "churn", "GITHUB_ACTIONS": "true"}, "airflow"),
    ({"GITHUB_ACTIONS": "true", "CI": "true"}, "github-actions"),
    ({"GITLAB_CI": "true", "CI": "true"}, "gitlab-ci"),
    ({"JENKINS_URL": "https://ci.example.com"}, "jenkins"),
    ({"PREFECT__FLOW_RUN_ID": "1"}, "prefect"),
    ({"SLURM_JOB_ID": "7"}, "slurm"),
    ({"CI": "true"}, "ci"),
    ({"CI": "false"}, "manual"),
    ({"HEADWATER_TRIGGER": "nightly", "GITHUB_ACTIONS": "true"}, "nightly"),
]


@pytest.fixture
def bare(monkeypatch):
    """An environment that says nothing."""
    for name in list(os.environ):
        if name not in ("PATH", "HOME", "USERPROFILE", "SYSTEMROOT", "TMPDIR", "PYTEST_CURRENT_TEST"):
            monkeypatch.delenv(name)
    return monkeypatch


@pytest.mark.parametrize(("variables", "expected"), SERVICES, ids=[f"{v or 'none'}" for v, _ in SERVICES])
def test_what_started_the_program_is_told_by_its_variables(bare, variables, expected):
    for name, value in variables.items():
        bare.setenv(name, value)

    assert trigger() == expected


def test_a_kedro_session_is_told_by_what_is_loaded(python, bare):
    program = """
        import sys, types
        sys.argv = ["/venv/bin/kedro", "run"]
        from headwater.client.capture.trigger import trigger
        print(trigger())
    """

    assert python(program) == "kedro"


def test_the_owner_is_who_a_service_acts_for(bare):
    bare.setenv("GITHUB_ACTOR", "ada")
    assert owner() == "ada"

    bare.setenv("HEADWATER_OWNER", "team-churn")
    assert owner() == "team-churn"


def test_the_owner_is_the_user_otherwise(bare):
    bare.setenv("LOGNAME", "grace")
    bare.setenv("USERNAME", "grace")

    assert owner() == "grace"


def test_a_user_without_a_name_is_a_number(bare, python):
    if os.name == "nt" or os.geteuid() != 0:
        pytest.skip("only root can become a user without a name")
    program = """
        import os
        from headwater.client.capture.trigger import owner
        os.setuid(4_000_000)
        print(owner())
    """

    assert python(program) == "uid-4000000"
