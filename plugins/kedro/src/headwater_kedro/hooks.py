"""What Kedro calls: a run opens and closes with its pipeline. Nodes are ``tasks``'."""

import logging
import sys
from typing import Any

from kedro.framework.hooks import hook_impl

from headwater_kedro.credentials import secrets_in
from headwater_kedro.wishes import wishes

logger = logging.getLogger("headwater_kedro")


class Hooks:
    """One object for all sessions of a process. Nothing of it is needed in worker processes."""

    def __init__(self) -> None:
        # By project and environment, since sessions of several may be open.
        self._loaders: dict[tuple[str, str], Any] = {}
        # They are compared with what errors say, and are never recorded.
        self._secrets: frozenset[str] = frozenset()

    @hook_impl
    def after_context_created(self, context: Any) -> None:
        # Nothing is connected to here: it is called for `kedro catalog` and notebooks too.
        try:
            from headwater_kedro.config import register
        except ImportError as error:
            logger.warning("headwater cannot be loaded, so nothing is recorded: %s", error)
            return
        register(context.config_loader)
        self._loaders[str(context.project_path), context.env or ""] = context.config_loader
        if wishes.parameters is not None:
            _put_parameters(context.config_loader)

    @hook_impl
    def after_catalog_created(self, conf_creds: dict[str, Any]) -> None:
        # Without imports of weight: it is called for `kedro catalog` and notebooks too.
        self._secrets |= secrets_in(conf_creds)

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Any, catalog: Any) -> None:
        is_strict = False
        try:
            # Loaded when something is run: Kedro imports its hooks for `kedro --help` too.
            from headwater_kedro.config import parse_settings, read_file

            loader = self._loaders.get((str(run_params["project_path"]), run_params.get("env") or ""))
            given = {} if loader is None else read_file(loader)
            # Also where the rest is not understood.
            is_strict = given.get("strict") is True
            settings = parse_settings(given)
            if not settings.record:
                if wishes.skips:
                    logger.warning("nothing is skipped: headwater.yml says record: false")
                return
            from headwater_kedro.opening import open_recording
            from headwater_kedro.tasks import install

            recording = open_recording(settings, run_params, pipeline, catalog)
            recording.secrets |= self._secrets
            install()
        except Exception as error:
            if is_strict:
                raise
            # Recording is no reason for a run to fail.
            logger.warning("headwater does not record this run: %s", error)
            logger.debug("the recording could not be opened", exc_info=True)

    # First, so that what hooks of others raise does not keep the run open.
    @hook_impl(tryfirst=True)
    def after_pipeline_run(self, run_params: dict[str, Any], catalog: Any) -> None:
        _close(run_params, catalog, None)

    @hook_impl(tryfirst=True)
    def on_pipeline_error(self, error: Exception, run_params: dict[str, Any], catalog: Any) -> None:
        _close(run_params, catalog, error)


def _close(run_params: dict[str, Any], catalog: Any, error: Exception | None) -> None:
    # Nothing is open where it could not be loaded.
    module = sys.modules.get("headwater_kedro.recording")
    recording = module and module.recordings.pop(module.key_of(run_params, catalog), None)
    if not recording:
        return
    try:
        recording.close(error)
    except Exception as problem:
        if recording.project.settings.strict and error is None:
            raise
        logger.warning("headwater could not close the record of this run: %s", problem)


def _put_parameters(config_loader: Any) -> None:
    """Let the run have the parameters of the one that it repeats; what those leave out stays as it is."""
    from headwater_kedro.config import read_settings
    from headwater_kedro.parameters import merged, only_left_out

    conf = config_loader["parameters"]
    own = only_left_out(conf, "", read_settings(config_loader))
    own.update({name: conf[name] for name in wishes.not_kept if name in conf})
    config_loader["parameters"] = merged(own, wishes.parameters or {})


hooks = Hooks()
