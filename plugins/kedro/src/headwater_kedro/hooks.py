"""What Kedro calls: a run opens and closes with its pipeline. Nodes are ``tasks``'."""

import logging
import os
from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl

logger = logging.getLogger(__name__)


class Hooks:
    """One object for all sessions of a process. Nothing of it is needed in worker processes."""

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Any, catalog: Any) -> None:
        # Loaded when something is run: Kedro imports its hooks for `kedro --help` too.
        from headwater_kedro.recording import open_recording
        from headwater_kedro.tasks import install

        target = os.environ.get("HEADWATER_ADDRESS") or _own_store(Path(run_params["project_path"]))
        try:
            open_recording(target, run_params, pipeline, catalog)
        except Exception as error:
            # Recording is no reason for a run to fail.
            logger.warning("headwater does not record this run: %s", error)
            logger.debug("the recording could not be opened", exc_info=True)
            return
        install()

    @hook_impl
    def after_pipeline_run(self, run_params: dict[str, Any], catalog: Any) -> None:
        _close(run_params, catalog, None)

    @hook_impl
    def on_pipeline_error(self, error: Exception, run_params: dict[str, Any], catalog: Any) -> None:
        _close(run_params, catalog, error)


def _close(run_params: dict[str, Any], catalog: Any, error: Exception | None) -> None:
    from headwater_kedro.recording import key_of, recordings

    recording = recordings.pop(key_of(run_params, catalog), None)
    if recording is None:
        return
    try:
        recording.close(error)
    except Exception as problem:
        logger.warning("headwater could not close the record of this run: %s", problem)


def _own_store(project: Path) -> str:
    """The URL of the project's own store, in a directory that git leaves alone."""
    directory = project.absolute() / ".headwater"
    directory.mkdir(exist_ok=True)
    ignored = directory / ".gitignore"
    if not ignored.exists():
        ignored.write_text("*\n")
    return f"sqlite:///{directory.as_posix()}/headwater.db"


hooks = Hooks()
