"""Pipelines for tests, recorded with the calls that a program makes."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from support import Call

from headwater.client.values import to_value
from headwater.v1 import pipelines_pb2 as pp

_keys = itertools.count(1)


class Clock:
    """The time of a store, which a test moves on."""

    def __init__(self) -> None:
        self.now_ms = 1_800_000_000_000


class Recorded:
    """One pipeline of an empty store, told through its RPCs."""

    def __init__(self, call: Call, pipeline: str = "churn") -> None:
        self.call = call
        self.pipeline = pipeline

    def start(
        self,
        run: str,
        *,
        parameters: Mapping[str, object] = {},
        steps: Mapping[str, Sequence[str]] = {},
        **more: Any,
    ) -> int:
        """Open a run; its id. ``steps`` are those after which each one comes."""
        request = pp.StartRunRequest(
            pipeline=self.pipeline,
            run=run,
            parameters={name: to_value(value) for name, value in parameters.items()},
            steps=[pp.StartRunRequest.PlannedStep(step=step, after=after) for step, after in steps.items()],
            **more,
        )
        return self.call("StartRun", request).run_id

    def finish_run(self, run: str, state: "pp.State.ValueType" = pp.COMPLETE, error: str = "") -> None:
        """Close a run."""
        request = pp.FinishRunRequest(pipeline=self.pipeline, run=run, state=state, error=error)
        self.call("FinishRun", request)

    def asked(
        self,
        run: str,
        step: str,
        *,
        inputs: Mapping[str, str | int] = {},
        parameters: Mapping[str, object] = {},
        code: str = "1",
        key: str = "",
        **more: Any,
    ) -> pp.BeginStepRequest:
        """What BeginStep is sent. An input is the content of a file of that name, or an artifact id."""
        return pp.BeginStepRequest(
            pipeline=self.pipeline,
            run=run,
            step=step,
            key=key or f"key-{next(_keys)}",
            worker="host:1",
            components={
                "code": f"sha256:{code}",
                **{f"parameter:{name}": repr(value) for name, value in parameters.items()},
            },
            inputs=[
                pp.StepInput(name=name, uri=f"file:///data/{name}", digest=f"sha256:{given}")
                if isinstance(given, str)
                else pp.StepInput(name=name, artifact_id=given, digest=f"sha256:of-{given}")
                for name, given in inputs.items()
            ],
            parameters={name: to_value(value) for name, value in parameters.items()},
            **more,
        )

    def begin(self, run: str, step: str, **more: Any) -> tuple[pp.BeginStepRequest, pp.BeginStepResponse]:
        """Begin a step; the request and its answer."""
        request = self.asked(run, step, **more)
        return request, self.call("BeginStep", request)

    def step(
        self,
        run: str,
        step: str,
        *,
        state: "pp.State.ValueType" = pp.COMPLETE,
        outputs: Sequence[str] = ("out",),
        metrics: Sequence[pp.Metric] = (),
        error: str = "",
        end_ms: int = 0,
        **more: Any,
    ) -> pp.FinishStepResponse:
        """Begin a step and finish it, as a hit if it is one. The first artifact id is that of the output."""
        request, begun = self.begin(run, step, **more)
        finish = pp.FinishStepRequest(
            key=request.key, state=state, error=error, metrics=metrics, end_ms=end_ms
        )
        if begun.decision == pp.HIT:
            finish.state = pp.CACHED
            finish.begin.CopyFrom(request)
            finish.cached_execution_id = begun.execution_id
        elif state == pp.COMPLETE:
            for name in outputs:
                finish.outputs.add(
                    name=name,
                    uri=f"file:///out/{begun.execution_id}/{name}",
                    digest=f"sha256:{begun.execution_id}-{name}",
                    size_bytes=5,
                )
        return self.call("FinishStep", finish)
