"""What tests of pipelines send, and what they look at past the services that they test."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf import json_format, struct_pb2
from google.protobuf.message import Message
from support import Call

from headwater.client.values import to_value
from headwater.storage.values import packed
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc
from headwater.v1 import pipelines_pb2 as pp

_keys = itertools.count(1)

NOTHING: Mapping[str, Any] = {}


class Clock:
    """A clock for a store, which stands still until it is set."""

    def __init__(self) -> None:
        self.now_ms = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now_ms


def new_key() -> str:
    """One that no other attempt has."""
    return f"key {next(_keys)}"


def used(name: str = "table", digest: str = "sha256:01", **more: Any) -> pp.StepInput:
    """An input: a file of that name."""
    if "artifact_id" not in more:
        more.setdefault("uri", f"file:///data/{name}")
    return pp.StepInput(name=name, digest=digest, **more)


def made(name: str = "model", digest: str = "sha256:02", **more: Any) -> pp.StepOutput:
    """An output: a file of that name."""
    return pp.StepOutput(**{"name": name, "uri": f"file:///out/{name}", "digest": digest, **more})


def packed_struct(plain: dict[str, Any]) -> pb.Value:
    """The property that holds what may be long."""
    return packed(json_format.ParseDict(plain, struct_pb2.Struct()))


def step(
    name: str = "train",
    *,
    run: str = "monday",
    key: str | None = None,
    lr: float = 0.1,
    inputs: Sequence[pp.StepInput] | None = None,
    mode: "pp.CachePolicy.Mode" = pp.CachePolicy.READ_AND_WRITE,
    max_age_ms: int = 0,
    never_waits: bool = False,
    **more: Any,
) -> pp.BeginStepRequest:
    """What BeginStep is sent for a step with one parameter and one input, under a new key."""
    request = {
        "pipeline": "churn",
        "run": run,
        "step": name,
        "key": new_key() if key is None else key,
        "worker": "host:1",
        "components": {"code": "sha256:c0de", "parameter:lr": repr(lr)},
        "inputs": [used()] if inputs is None else inputs,
        "parameters": {"lr": to_value(lr)},
        "cache": pp.CachePolicy(mode=mode, max_age_ms=max_age_ms, never_waits=never_waits),
    }
    return pp.BeginStepRequest(**{**request, **more})


def end(
    begun: pp.BeginStepRequest | str,
    *,
    state: "pp.State" = pp.COMPLETE,
    outputs: Sequence[pp.StepOutput] | None = None,
    **more: Any,
) -> pp.FinishStepRequest:
    """What FinishStep is sent for a step that was begun with this request or key: one output, if complete."""
    if outputs is None:
        outputs = [made()] if state == pp.COMPLETE else []
    key = begun if isinstance(begun, str) else begun.key
    return pp.FinishStepRequest(key=key, state=state, outputs=outputs, **more)


def end_as_hit(begun: pp.BeginStepRequest, hit: pp.BeginStepResponse) -> pp.FinishStepRequest:
    """What FinishStep is sent for a hit that is taken."""
    return pp.FinishStepRequest(
        key=begun.key, state=pp.CACHED, begin=begun, cached_execution_id=hit.execution_id
    )


class Steps:
    """A store's RPCs in the words of these tests."""

    def __init__(self, call: Call) -> None:
        self.call = call

    def begin(self, request: pp.BeginStepRequest) -> pp.BeginStepResponse:
        return self.call("BeginStep", request)

    def finish(self, request: pp.FinishStepRequest) -> pp.FinishStepResponse:
        return self.call("FinishStep", request)

    def start(self, run: str = "monday", **more: Any) -> pp.StartRunResponse:
        return self.call("StartRun", pp.StartRunRequest(pipeline="churn", run=run, **more))

    def finish_run(self, run: str = "monday", **more: Any) -> pp.FinishRunResponse:
        return self.call("FinishRun", pp.FinishRunRequest(pipeline="churn", run=run, **more))

    def renew(self, *tokens: str) -> pp.RenewLeasesResponse:
        return self.call("RenewLeases", pp.RenewLeasesRequest(tokens=tokens))

    def end_expired(self) -> pp.EndExpiredLeasesResponse:
        return self.call("EndExpiredLeases", pp.EndExpiredLeasesRequest())

    def look_up(self, *steps: pp.BeginStepRequest) -> list[pp.BeginStepResponse]:
        return list(self.call("LookUpSteps", pp.LookUpStepsRequest(steps=steps)).steps)

    def computed(self, *given: Any, outputs: Sequence[pp.StepOutput] | None = None, **more: Any) -> int:
        """Begin a step that has to run and finish it; its execution's id."""
        request = step(*given, **more)
        begun = self.begin(request)
        assert begun.decision == pp.RUN, begun
        return self.finish(end(request, outputs=outputs)).execution_id

    # What is stored

    def execution(self, execution_id: int) -> pb.Execution:
        request = rpc.GetExecutionsByIDRequest(execution_ids=[execution_id])
        (found,) = self.call("GetExecutionsByID", request).executions
        return found

    def artifact(self, artifact_id: int) -> pb.Artifact:
        (found,) = self.call(
            "GetArtifactsByID", rpc.GetArtifactsByIDRequest(artifact_ids=[artifact_id])
        ).artifacts
        return found

    def context(self, context_id: int) -> pb.Context:
        (found,) = self.call("GetContextsByID", rpc.GetContextsByIDRequest(context_ids=[context_id])).contexts
        return found

    def executions(self) -> list[pb.Execution]:
        return list(self.call("GetExecutions", rpc.GetExecutionsRequest()).executions)

    def state(self, execution_id: int) -> str:
        return pb.Execution.State.Name(self.execution(execution_id).last_known_state)

    def run_state(self, run_id: int) -> str:
        return self.context(run_id).properties["state"].string_value

    def ends(self, execution_id: int) -> dict[str, list[tuple[tuple[str, ...], int]]]:
        """(names, artifact id) by type of event, in the order of names."""
        found: dict[str, list[tuple[tuple[str, ...], int]]] = {}
        request = rpc.GetEventsByExecutionIDsRequest(execution_ids=[execution_id])
        for event in self.call("GetEventsByExecutionIDs", request).events:
            names = tuple(one.key for one in event.path.steps)
            found.setdefault(pb.Event.Type.Name(event.type), []).append((names, event.artifact_id))
        return {type_: sorted(ends) for type_, ends in found.items()}


def everything(call: Call) -> list[Message]:
    """All that a client of ML Metadata finds in a store."""
    nodes = [
        call("GetArtifacts", rpc.GetArtifactsRequest()),
        call("GetExecutions", rpc.GetExecutionsRequest()),
        call("GetContexts", rpc.GetContextsRequest()),
    ]
    ids = [execution.id for execution in nodes[1].executions]
    return [
        *nodes,
        call("GetArtifactTypes", rpc.GetArtifactTypesRequest()),
        call("GetExecutionTypes", rpc.GetExecutionTypesRequest()),
        call("GetContextTypes", rpc.GetContextTypesRequest()),
        call("GetEventsByExecutionIDs", rpc.GetEventsByExecutionIDsRequest(execution_ids=ids)),
        *(
            call("GetArtifactsByContext", rpc.GetArtifactsByContextRequest(context_id=context.id))
            for context in nodes[2].contexts
        ),
        *(
            call("GetExecutionsByContext", rpc.GetExecutionsByContextRequest(context_id=context.id))
            for context in nodes[2].contexts
        ),
        *(
            call(
                "GetParentContextsByContext",
                rpc.GetParentContextsByContextRequest(context_id=context.id),
            )
            for context in nodes[2].contexts
        ),
    ]
