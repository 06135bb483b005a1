"""Where a run of Kedro begins: its record is opened."""

import logging
import multiprocessing
import os
import secrets
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kedro.io import SharedMemoryDataCatalog

from headwater.client import Run
from headwater.errors import FailedPrecondition, InvalidRequest
from headwater.fingerprint import canonical
from headwater_kedro import repeating
from headwater_kedro.config import Settings, own_directory, project_name, target_of
from headwater_kedro.credentials import secrets_in
from headwater_kedro.describing import Terms, dataset_of
from headwater_kedro.names import pipeline_of, step_name
from headwater_kedro.orchestrators import facts, parent_run
from headwater_kedro.parameters import flat, left_over, only_left_out, plain
from headwater_kedro.recording import Recording, key_of, recordings
from headwater_kedro.running import end_killed, mark_running
from headwater_kedro.saying import say_once
from headwater_kedro.shelf import Shelf
from headwater_kedro.stores import store_at
from headwater_kedro.wishes import wishes

logger = logging.getLogger("headwater_kedro")


def open_recording(
    settings: Settings, run_params: Mapping[str, Any], pipeline: Any, catalog: Any
) -> Recording:
    """Begin to record a run.

    Raises:
        HeadwaterError: the store cannot be opened, or worker processes could not ask it.
        OSError: the project's own store cannot be made.
    """
    directory = Path(run_params["project_path"])
    target = target_of(settings, directory)
    if isinstance(catalog, SharedMemoryDataCatalog) and "://" not in target:
        _check_fork()
    project = project_name(settings, directory)
    run_id, _ = key = key_of(run_params, catalog)
    # Two runs of the same millisecond are two.
    name = f"{run_id}-{secrets.token_hex(3)}"
    for recording in list(recordings.values()):
        if recording.is_left_behind:
            recording.close(KeyboardInterrupt())
    own = _own_directory(directory, target)
    if own is not None:
        end_killed(own / "running", target, lambda: store_at(target))
    parameters = plain(dataset_of(catalog, "parameters").load()) if "parameters" in catalog else {}
    steps = {
        step_name(node): sorted(map(step_name, needed)) for node, needed in pipeline.node_dependencies.items()
    }
    run: Run = store_at(target).run(
        pipeline_of(project, run_params),
        name=name,
        params=_shown(left_over(parameters, "", settings)),
        parent=parent_run(project),
        steps={} if run_params.get("only_missing_outputs") else steps,
        source=directory,
        # Measuring memory takes a thread for each node, which costs more than many nodes do.
        usage=False,
        properties={
            "kedro_run_id": run_id,
            "kedro_env": run_params.get("env") or "",
            "kedro_project": project,
            repeating.PROPERTY: repeating.repeatable(settings, run_params, parameters),
            **({"resumes": wishes.resumes} if wishes.resumes else {}),
            **facts(),
        },
        strict=settings.strict,
        timeout_s=settings.timeout_s,
    )
    shelf = Shelf()
    if isinstance(catalog, SharedMemoryDataCatalog):
        shelf = Shelf(Path(tempfile.mkdtemp(prefix="headwater-kedro-")))
    say_once(shelf)
    terms = Terms(project, settings, name, own)
    recording = Recording(target, run.start(), shelf, terms, pipeline.nodes)
    if own is not None:
        try:
            recording.running = mark_running(own / "running", target, run.pipeline, name)
        except OSError as error:
            logger.debug("nothing marks that this run is going on: %s", error)
    recording.secrets = secrets_in(only_left_out(parameters, "", settings))
    recording.nodes = [node.name for node in pipeline.nodes]
    recordings[key] = recording
    return recording


def _check_fork() -> None:
    method = os.environ.get("KEDRO_MP_CONTEXT")
    if method not in ("fork", "spawn", "forkserver"):
        method = multiprocessing.get_start_method()
    supports = os.environ.get("GRPC_ENABLE_FORK_SUPPORT", "1").strip().lower()
    if method == "fork" and supports in ("0", "false", "no", "off"):
        raise FailedPrecondition(
            f"GRPC_ENABLE_FORK_SUPPORT={supports} is set, with which worker processes that are forked hang "
            "for ever when they ask a server; unset it, or set KEDRO_MP_CONTEXT=spawn"
        )


def _own_directory(project: Path, target: str) -> "Path | None":
    """The project's directory for what is headwater's; ``None`` where it is neither possible nor needed."""
    try:
        return own_directory(project)
    except OSError:
        if target.startswith("sqlite:"):
            raise
        return None


def _shown(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as they can be recorded with a run; what cannot is shown as text."""
    shown: dict[str, Any] = {}
    for name, value in flat(parameters, "").items() if parameters else ():
        try:
            canonical(value, what=f"parameter {name!r}")
            shown[str(name)] = value
        except InvalidRequest:
            shown[str(name)] = str(value)
    return shown
