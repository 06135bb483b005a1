"""What started this program, and for whom, as far as its surroundings tell."""

import getpass
import os
import sys
from pathlib import Path

# The outermost first: an Airflow task may run on a machine of continuous integration, and not the reverse.
_VARIABLES = (
    ("AIRFLOW_CTX_DAG_ID", "airflow"),
    ("PREFECT__FLOW_RUN_ID", "prefect"),
    ("FLYTE_INTERNAL_EXECUTION_ID", "flyte"),
    ("GITHUB_ACTIONS", "github-actions"),
    ("GITLAB_CI", "gitlab-ci"),
    ("JENKINS_URL", "jenkins"),
    ("BUILDKITE", "buildkite"),
    ("CIRCLECI", "circleci"),
    ("TRAVIS", "travis"),
    ("DRONE", "drone"),
    ("TF_BUILD", "azure-pipelines"),
    ("BITBUCKET_BUILD_NUMBER", "bitbucket-pipelines"),
    ("CODEBUILD_BUILD_ID", "codebuild"),
    ("TEAMCITY_VERSION", "teamcity"),
    ("DATABRICKS_RUNTIME_VERSION", "databricks"),
)

# Who, in the words of the services that run things for others.
_OWNERS = ("HEADWATER_OWNER", "GITHUB_ACTOR", "GITLAB_USER_LOGIN", "BUILD_USER_ID", "AIRFLOW_CTX_DAG_OWNER")

_MOST_CHARACTERS = 255


def trigger() -> str:
    """What started this program: ``airflow``, ``kedro``, ``github-actions``, ``notebook``, ``manual`` ...

    ``HEADWATER_TRIGGER`` overrides what is found; ``ci`` stands for a service that only says that it is one.
    """
    given = os.environ.get("HEADWATER_TRIGGER")
    if given:
        return given[:_MOST_CHARACTERS]
    for variable, name in _VARIABLES:
        if os.environ.get(variable):
            return name
    if _is_kedro():
        return "kedro"
    if _is_notebook():
        return "notebook"
    if os.environ.get("SLURM_JOB_ID"):
        return "slurm"
    return "ci" if os.environ.get("CI", "").lower() in ("true", "1", "yes") else "manual"


def owner() -> str:
    """The user in whose name this runs; ``unknown`` if nothing says."""
    for variable in _OWNERS:
        name = os.environ.get(variable, "").strip()
        if name:
            return name[:_MOST_CHARACTERS]
    try:
        return getpass.getuser()[:_MOST_CHARACTERS]
    except Exception:  # OSError, KeyError or ImportError, by version and system.
        # A container may run under a number that has no name.
        return f"uid-{os.getuid()}" if hasattr(os, "getuid") else "unknown"


def _is_kedro() -> bool:
    program = Path(sys.argv[0]).stem if sys.argv else ""
    return program == "kedro" or "kedro.framework.session.session" in sys.modules


def _is_notebook() -> bool:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is None or "ipykernel" not in sys.modules:
        return False
    # In a terminal IPython is a way to type, and what is typed is manual.
    return type(shell).__name__ != "TerminalInteractiveShell"
