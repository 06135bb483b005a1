"""Runs as they are answered."""

from collections.abc import Sequence

from headwater.service.pipelines.facts import code_of, environment_of, error_of, named_by
from headwater.storage.kinds import CONTEXT
from headwater.storage.metrics import last_values, question_of_last_values
from headwater.storage.model import PARAMETER, TAG
from headwater.storage.nodes import questions_of_messages, read_messages
from headwater.storage.runs import (
    ContextTypes,
    parents_with_types,
    question_of_parents,
    question_of_step_states,
    step_states,
)
from headwater.storage.transactions import Transaction
from headwater.storage.values import struct_in
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import pipelines_pb2 as pp

_STATES = {
    "NEW": pp.NEW,
    "RUNNING": pp.RUNNING,
    "COMPLETE": pp.COMPLETE,
    "FAILED": pp.FAILED,
    "CANCELED": pp.CANCELED,
}


def run_infos(tx: Transaction, types: ContextTypes, run_ids: Sequence[int]) -> list[pp.RunInfo]:
    """The runs of these ids, in their order; contexts that are no runs are left out.

    The number of statements does not depend on how many there are.
    """
    if not run_ids or types.run is None:
        return []
    tx.ask_ahead(
        [
            *questions_of_messages(tx, CONTEXT, run_ids, locks=False),
            question_of_parents(run_ids),
            question_of_step_states(run_ids),
            question_of_last_values(run_ids, of_runs=True),
        ]
    )
    contexts = read_messages(tx, CONTEXT, run_ids)
    parents = parents_with_types(tx, run_ids)
    states = step_states(tx, run_ids)
    metrics = last_values(tx, run_ids, of_runs=True)
    infos = []
    for run_id in run_ids:
        context = contexts.get(run_id)
        if context is None or context.type_id != types.run:
            continue
        info = _info(context)  # type: ignore[arg-type]  # a context, as was asked for
        info.metrics.update(metrics[run_id])
        for parent_id, type_id in parents.get(run_id, ()):
            if type_id == types.run:
                info.parent_run_ids.append(parent_id)
            elif type_id == types.pipeline:
                info.pipeline_id = parent_id
        for state, count in states.get(run_id, {}).items():
            info.steps[state_name(state)] += count
        infos.append(info)
    return infos


def _info(context: pb.Context) -> pp.RunInfo:
    """What the run's own Context says."""
    properties = context.properties

    def text(name: str) -> str:
        return properties[name].string_value if name in properties else ""

    def number(name: str) -> int:
        return properties[name].int_value if name in properties else 0

    return pp.RunInfo(
        run_id=context.id,
        pipeline=text("pipeline"),
        run=text("run"),
        state=_STATES.get(text("state"), pp.STATE_UNSPECIFIED),
        start_ms=number("start_ms"),
        end_ms=number("end_ms"),
        error=error_of(context),
        parameters=named_by(PARAMETER, context),
        tags={name: value.string_value for name, value in named_by(TAG, context).items()},
        owner=text("owner"),
        trigger=text("trigger"),
        description=text("description"),
        code=code_of(context),
        environment=environment_of(context),
        planned_steps=planned_steps(context),
    )


def planned_steps(context: pb.Context) -> list[pp.StartRunRequest.PlannedStep]:
    """The steps that a run was said to be going to have."""
    if "steps" not in context.properties:
        return []
    listed = struct_in(context.properties["steps"]).fields["steps"].list_value.values
    return [
        pp.StartRunRequest.PlannedStep(
            step=one.struct_value.fields["step"].string_value,
            after=[name.string_value for name in one.struct_value.fields["after"].list_value.values],
        )
        for one in listed
    ]


def state_name(state: int) -> str:
    """The name of an attempt's state, whatever a client of ML Metadata has made of it."""
    return pp.State.Name(state if state in pp.State.values() else pp.STATE_UNSPECIFIED)
