"""``run`` and ``plan``: Kedro's own ``run``, with what is done skipped, and earlier runs repeated.

Their options are those of the ``run`` that the project has, whichever Kedro, plugin or ``cli.py`` it is of.
"""

from __future__ import annotations

import copy
import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from headwater_kedro.commands.answering import answer_in, answer_options
from headwater_kedro.commands.project import Project, log_to_stderr

if TYPE_CHECKING:
    from pathlib import Path

    from headwater.client import Store
    from headwater.client.run_info import RunInfo

_LATEST = "\n"
"""Stands for --resume without a RUN, which no run can be called."""
_HOOKS = "headwater-kedro"

_OPTIONS = {
    "env": "env",
    "tags": "tags",
    "from_nodes": "from_nodes",
    "to_nodes": "to_nodes",
    "node_names": "node_names",
    "from_inputs": "from_inputs",
    "to_outputs": "to_outputs",
    "load_versions": "load_versions",
    "namespaces": "namespaces",
    "runtime_params": "params",
    "only_missing_outputs": "only_missing_outputs",
    "conf_source": "conf_source",
}
"""What is stored of a run, and the option of Kedro's that asks for it again."""


def run_command(ctx: click.Context) -> click.Command:
    """``kedro headwater run``."""
    own = _kedros_run(ctx)
    return _command(
        own,
        name="run",
        options=[
            _resume_option(),
            click.Option(["--plan"], is_flag=True, help="Only show what would run, and why."),
        ],
        help_text="""Run the pipeline, and skip nodes that are proven done.

        All options of 'kedro run' are here too. With --resume an earlier run is repeated: with its
        parameters, environment, pipelines and choice of nodes. What it had done stays done.
        """,
        epilog="""\b
Examples:
  kedro headwater run
  kedro headwater run --resume
  kedro headwater run --resume 2026-11-23T09.12.44.107Z --plan
""",
    )


def plan_command(ctx: click.Context) -> click.Command:
    """``kedro headwater plan``."""
    return _command(
        _kedros_run(ctx),
        name="plan",
        options=[_resume_option(), *_options_of(answer_options)],
        help_text="""Show what 'kedro headwater run' would do with each node, and why.

        It has the same options. No node is run, and nothing is recorded.
        """,
        epilog="""\b
Examples:
  kedro headwater plan --params rate=0.1
  kedro headwater plan --resume --json
""",
    )


def _kedros_run(ctx: click.Context) -> click.Command:
    """What ``kedro run`` is in this project."""
    root = ctx.find_root()
    # What walks through the commands, as Kedro's telemetry does, may begin with ours.
    look_up = None if root is ctx else getattr(root.command, "get_command", None)
    found = None if look_up is None else look_up(root, "run")
    if found is None or hasattr(found, "get_command"):
        from kedro.framework.cli.project import run

        found = run
    command: click.Command = found
    return command


def _resume_option() -> click.Option:
    return click.Option(
        ["--resume"],
        is_flag=False,
        flag_value=_LATEST,
        metavar="[RUN]",
        help="Repeat this run; without RUN the latest one that is not complete.",
    )


def _options_of(decorator: Callable[[Callable[..., None]], Callable[..., None]]) -> list[click.Parameter]:
    @decorator
    def command() -> None: ...

    return list(getattr(command, "__click_params__", []))


def _command(
    own: click.Command, *, name: str, options: list[click.Parameter], help_text: str, epilog: str
) -> click.Command:
    @click.pass_context
    def carry_out(
        ctx: click.Context,
        /,
        *,
        resume: str | None,
        plan: bool = name == "plan",
        as_json: bool = False,
        output: Path | None = None,
        **given: Any,
    ) -> Any:
        from headwater_kedro.wishes import wishes

        wishes.skips = True
        if resume is not None:
            given = _repeated(ctx, resume, given, only_plans=plan)
        if plan:
            log_to_stderr()
            _show_plan(_project(ctx, given), given, as_json=as_json, output=output)
            return None
        _say_if_disabled()
        return ctx.invoke(own, **given)

    return click.Command(
        name,
        params=[*map(_as_of_run, own.params), *options],
        callback=carry_out,
        help=help_text,
        epilog=epilog,
        context_settings=own.context_settings,
    )


def _as_of_run(param: click.Parameter) -> click.Parameter:
    """The same option, also where it asks for its command's name: --config reads the section ``run``."""
    callback = param.callback
    if param.name != "config" or callback is None:
        return param

    def with_name_of_run(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
        name, ctx.info_name = ctx.info_name, "run"
        try:
            return callback(ctx, param, value)
        finally:
            ctx.info_name = name

    changed = copy.copy(param)
    changed.callback = with_name_of_run
    return changed


def _project(ctx: click.Context, options: Mapping[str, Any]) -> Project:
    return Project(ctx.obj.project_path, options.get("env"), options.get("conf_source"))


def _say_if_disabled() -> None:
    from kedro.framework.project import settings

    if _HOOKS in settings.DISABLE_HOOKS_FOR_PLUGINS:
        click.echo(f"nothing is recorded or skipped: settings.py disables the hooks of {_HOOKS}", err=True)


def _never_skips(project: Project) -> str:
    """Why runs of this project skip nothing; empty if they may."""
    from kedro.framework.project import settings

    if _HOOKS in settings.DISABLE_HOOKS_FOR_PLUGINS:
        return f"settings.py disables the hooks of {_HOOKS}"
    return "" if project.settings.record else "headwater.yml says record: false"


# Resuming


def _repeated(ctx: click.Context, resume: str, given: dict[str, Any], *, only_plans: bool) -> dict[str, Any]:
    """The options of Kedro's ``run`` for the run that is repeated; what else it needs is wished for.

    Raises:
        click.ClickException: there is no such run, or an option says something else than it had.
    """
    from headwater_kedro.parameters import merged
    from headwater_kedro.wishes import wishes

    project = _project(ctx, given)
    with project.store() as store:
        run = _interrupted(project, store) if resume == _LATEST else project.find_run(store, resume)
        told = _told(store, run)
    name = f"{run.pipeline}/{run.run}"
    given, left_out = _without_left_out(project, told, given, run.run, only_plans=only_plans)
    options = _with_choice(ctx, told, given, run.run)
    if left_out:
        options["params"] = merged(options.get("params") or {}, left_out)
    options = _with_runner(ctx, told, options)
    wishes.parameters, wishes.not_kept = told["parameters"], told["parameters_not_kept"]
    wishes.resumes = name
    click.echo(f"repeats {name}, which is {run.state}", err=True)
    if run.state == "RUNNING":
        click.echo("it has not ended; if a process is at work on it, wait for that", err=True)
    return options


def _interrupted(project: Project, store: Store) -> RunInfo:
    """The latest run that is not complete, unless a later one of its pipeline completed all of its nodes."""
    for run in project.runs(store, where=["state != COMPLETE"]):
        if not _is_made_up_for(store, run):
            return run
    raise click.ClickException("no run of this project is left incomplete; name one to repeat: --resume RUN")


def _is_made_up_for(store: Store, run: RunInfo) -> bool:
    nodes = {one.step for one in run.planned_steps}
    for later in store.runs(run.pipeline, where=["state = COMPLETE"]):
        if (later.start_ms, later.run_id) <= (run.start_ms, run.run_id):
            return False
        if nodes <= {one.step for one in later.planned_steps}:
            return True
    return False


def _told(store: Store, run: RunInfo) -> Mapping[str, Any]:
    """What Kedro was told when it made the run."""
    from headwater.client.values import plain_properties
    from headwater_kedro.repeating import kept_parameters

    text = plain_properties(store.get_context(run.run_id).custom_properties).get("kedro")
    try:
        told: dict[str, Any] = json.loads(str(text))
        told["parameters"] = kept_parameters(told)
    except (ValueError, TypeError, AttributeError):
        raise click.ClickException(
            f"run {run.run} cannot be repeated: it was recorded by an older version of headwater-kedro, "
            "which did not keep its options; give them again: kedro headwater run ..."
        ) from None
    if told["parameters_not_kept"]:
        names = ", ".join(told["parameters_not_kept"])
        click.echo(f"these parameters are taken from conf, for no text stands for them: {names}", err=True)
    return told


def _without_left_out(
    project: Project, told: Mapping[str, Any], given: dict[str, Any], run: str, *, only_plans: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options without parameters that are not recorded, which may differ and are not shown; and these.

    Raises:
        click.UsageError: the run was given some that are not given now.
    """
    from headwater_kedro.parameters import only_left_out
    from headwater_kedro.repeating import kept_runtime_params, left_out_names

    params = given.get("params") or {}
    missing = sorted({*told.get("runtime_params_left_out", [])} - {*left_out_names(project.settings, params)})
    if missing and only_plans:
        # They decide nothing.
        click.echo(f"to be given again, since headwater.yml excludes them: {', '.join(missing)}", err=True)
    elif missing:
        again = ",".join(f"{name}=..." for name in missing)
        raise click.UsageError(
            f"run {run} was given parameters that headwater.yml excludes, so their values were not kept; "
            f"give them again: --resume {run} --params {again}"
        )
    if not params:
        return given, {}
    left_out: dict[str, Any] = only_left_out(params, "", project.settings)
    return {**given, "params": kept_runtime_params(project.settings, params)}, left_out


def _with_choice(
    ctx: click.Context, told: Mapping[str, Any], given: dict[str, Any], run: str
) -> dict[str, Any]:
    """The options, with environment, pipelines, nodes and parameters of the run in their places."""
    wanted = {option: told.get(stored) or None for stored, option in _OPTIONS.items()}
    default_env = _default_environment()
    if os.environ.get("KEDRO_ENV"):
        # It would stand for the option where that is not given.
        wanted["env"] = wanted["env"] or default_env or None
    options = dict(given)
    for option, value in {**wanted, **_pipelines(told, given, run)}.items():
        is_given = _is_given(ctx, option)
        if option == "params":
            # What is left out may be all that is.
            is_given = bool(given.get("params"))
        if is_given:
            instead = default_env if option == "env" else None
            if _comparable(given[option]) != _comparable(value) and given[option] != (value or instead):
                raise click.UsageError(
                    f"--resume repeats run {run}, which had {_spelled(option, value)}, but "
                    f"{_spelled(option, given[option])} is given; leave that out, or --resume"
                )
        elif value and option not in given:
            raise click.ClickException(
                f"run {run} had {_spelled(option, value)}, and 'kedro run' has no such option here"
            )
        elif value:
            options[option] = value
    return options


def _pipelines(told: Mapping[str, Any], given: Mapping[str, Any], run: str) -> dict[str, Any]:
    """The option that chooses the pipelines of the run: newer Kedros have one for several."""
    names = [name for name in told.get("pipelines") or [] if name != "__default__"]
    if "pipelines" in given:
        # Who gave the older option meant this one.
        if given.get("pipeline"):
            return {"pipeline": names[0] if len(names) == 1 else ", ".join(names)}
        return {"pipelines": names}
    if len(names) > 1:
        raise click.ClickException(
            f"run {run} had the pipelines {', '.join(names)}, and this Kedro runs one at a time"
        )
    return {"pipeline": names[0] if names else None}


def _with_runner(ctx: click.Context, told: Mapping[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The options, with the runner of the run, unless another is asked for: results do not depend on it."""
    from kedro.utils import load_obj

    options = dict(given)
    if any(_is_given(ctx, option) for option in ("runner", "runner_params", "is_async")):
        # Arguments of one runner may be none of another.
        return options
    runner = told.get("runner")
    if runner and "runner" in given:
        try:
            load_obj(runner, "kedro.runner")
        except Exception as error:
            # Whatever a module does that cannot be imported any more.
            click.echo(f"its runner {runner} is not there ({error}); the usual one is taken", err=True)
            return options
        options["runner"] = runner
    if "runner_params" in given:
        is_async = {"is_async": True} if told.get("is_async") else {}
        options["runner_params"] = {**(told.get("runner_params") or {}), **is_async}
    elif "is_async" in given:
        options["is_async"] = bool(told.get("is_async"))
    return options


def _is_given(ctx: click.Context, option: str) -> bool:
    """Whether the user says something about it, here or in the file of --config."""
    return ctx.get_parameter_source(option) not in (None, ParameterSource.DEFAULT)


def _comparable(value: Any) -> Any:
    """The same for what asks for the same: the order of nodes and tags says nothing."""
    if isinstance(value, list | tuple | set):
        return sorted(map(str, value)) or None
    return value or None


def _spelled(option: str, value: Any) -> str:
    flag = {"node_names": "nodes"}.get(option, option).replace("_", "-")
    if not value:
        return f"no --{flag}"
    if option == "params":
        from headwater_kedro.parameters import flat

        value = flat(value, "")
    if isinstance(value, Mapping):
        return f"--{flag} {','.join(f'{key}={one}' for key, one in value.items())}"
    if isinstance(value, list | tuple | set):
        return f"--{flag} {','.join(map(str, value))}"
    return f"--{flag}" if value is True else f"--{flag} {value}"


def _default_environment() -> str:
    from kedro.framework.project import settings

    return str(settings.CONFIG_LOADER_ARGS.get("default_run_env") or "")


# Planning


def _show_plan(project: Project, options: Mapping[str, Any], *, as_json: bool, output: Path | None) -> None:
    from headwater.cli import tables
    from headwater.cli.run_words import counted
    from headwater_kedro.planning import DEPENDS, HIT, REMADE, RUN, PlannedNode, plan_run

    _say_if_disabled()
    # What the project's own code prints is no part of the answer.
    with redirect_stdout(sys.stderr):
        pipeline, catalog, run_params = _what_would_run(project, options)
    never = _never_skips(project)
    if never:
        nodes = [PlannedNode(node.name, RUN, never) for node in pipeline.nodes]
    elif project.is_recorded:
        with project.store() as store:
            nodes = plan_run(store, project.settings, project.path, pipeline, catalog, run_params=run_params)
    else:
        nodes = [PlannedNode(node.name, RUN, "nothing was recorded yet") for node in pipeline.nodes]
    with answer_in(output):
        if as_json:
            tables.print_json([{"node": one.node, "decision": one.decision, "why": one.why} for one in nodes])
            return
        rows = [(one.node, one.decision, one.why) for one in nodes]
        tables.print_table(("node", "plan", "why"), rows, folded=("node", "why"))
        click.echo()
        decisions = [one.decision for one in nodes]
        told = [f"{decisions.count(one):,} {one}" for one in (HIT, REMADE, RUN, DEPENDS) if one in decisions]
        click.echo(f"{counted(len(nodes), 'node')}: {', '.join(told)}" if nodes else "no nodes")


def _is_of_project(error: Exception) -> bool:
    """Whether code of the project is at fault, and not the name of the pipeline: Kedro says both alike."""
    return isinstance(error, ImportError) and (error.name is not None or error.__cause__ is not None)


def _what_would_run(project: Project, options: Mapping[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """Pipeline, catalog and ``run_params`` as a session of Kedro makes them, but without a run.

    Raises:
        click.ClickException: there is no such pipeline.
    """
    from kedro import __version__ as kedro_version
    from kedro.framework.project import pipelines, settings
    from kedro.framework.session import KedroSession
    from kedro.io.core import generate_timestamp
    from kedro.pipeline import Pipeline
    from kedro.runner import SequentialRunner

    runtime_params = options.get("params") or {}
    # Kedro 1.0 has no other class of sessions.
    session_class: Any = getattr(settings, "SESSION_CLASS", KedroSession)
    is_of_one_run = issubclass(session_class, KedroSession)
    if is_of_one_run:
        session = session_class.create(
            project_path=project.path,
            save_on_close=False,
            env=project.env,
            runtime_params=runtime_params,
            conf_source=project.conf_source,
        )
    else:
        session = session_class.create(
            project_path=project.path, env=project.env, conf_source=project.conf_source
        )
    asked_for = list(options.get("pipelines") or filter(None, [options.get("pipeline")]))
    names = asked_for or ["__default__"]
    if hasattr(pipelines, "set_requested"):
        # Newer Kedros load no other pipelines.
        pipelines.set_requested(asked_for or None)
    with session:
        context = session.load_context() if is_of_one_run else session.load_context(runtime_params)
        combined = Pipeline([])
        for name in names:
            try:
                combined += pipelines[name]
            except (KeyError, ImportError) as error:
                if _is_of_project(error):
                    raise
                raise click.ClickException(f"there is no pipeline {name!r}") from error
        chosen = {
            name: options.get(name) or None
            for name in ("tags", "from_nodes", "to_nodes", "node_names", "from_inputs", "to_outputs")
        }
        try:
            pipeline = combined.filter(**chosen, node_namespaces=options.get("namespaces") or None)
        except ValueError as error:
            raise click.ClickException(str(error)) from error
        if asked_for and hasattr(context, "_pipelines_to_validate"):
            context._pipelines_to_validate = names
        run_id = generate_timestamp()
        catalog = context._get_catalog(
            catalog_class=settings.DATA_CATALOG_CLASS,
            save_version=run_id,
            load_versions=options.get("load_versions") or None,
        )
    if options.get("only_missing_outputs"):
        # As every runner of Kedro does before it begins.
        pipeline = SequentialRunner()._filter_pipeline_for_missing_outputs(pipeline, catalog)
    run_params = {
        "run_id": run_id,
        "project_path": project.path.as_posix(),
        "env": context.env,
        "kedro_version": kedro_version,
        **chosen,
        "load_versions": options.get("load_versions"),
        "runtime_params": runtime_params,
        "pipeline_names": names,
        "namespaces": options.get("namespaces"),
        "runner": options.get("runner") or "SequentialRunner",
        "only_missing_outputs": options.get("only_missing_outputs", False),
    }
    return pipeline, catalog, run_params
