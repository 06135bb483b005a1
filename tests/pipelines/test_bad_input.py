"""Bad input over gRPC: the right status, a sentence that helps, and a store that is intact afterwards."""

import math
from collections.abc import Callable, Iterator

import grpc
import pytest
from google.protobuf.message import Message
from pipelines.asking import Steps, end, end_as_hit, everything, made, step, used
from support import calls_over

from headwater.client.values import to_value
from headwater.server import Server
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import pipelines_pb2 as pp
from headwater.wire import METHODS

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
# What must never reach a caller: SQL, a driver's words, a traceback.
LEAKS = (
    *("SELECT", "INSERT", "UPDATE ", "sqlite", "psycopg", "pymysql", "MySQL", "MariaDB", "SQLSTATE"),
    *("Traceback", 'File "', "constraint failed", "violates", "Duplicate entry", "Exception", "fault in"),
)
KEY = "the key of a step that was begun"
LARGEST = 2**63 - 1


@pytest.fixture
def served(server: Server) -> Iterator[Steps]:
    """A store with a step that is done, execution 1, and one that runs, with the key ``KEY``."""
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        steps = Steps(calls_over(channel))
        steps.start("closed")
        steps.finish_run("closed", state=pp.COMPLETE)
        steps.computed(lr=7)
        steps.begin(step(lr=8, key=KEY))
        yield steps


def components(**more: str) -> dict[str, str]:
    return {"code": "sha256:c0de", **{name.replace("__", ":"): text for name, text in more.items()}}


def start(**given: object) -> pp.StartRunRequest:
    return pp.StartRunRequest(**{"pipeline": "churn", "run": "tuesday", **given})


def ended(**given: object) -> pp.FinishStepRequest:
    return end(KEY, **given)


def hit(**given: object) -> pp.FinishStepRequest:
    request = step(lr=7)
    finish = end_as_hit(request, pp.BeginStepResponse(execution_id=1))
    finish.MergeFrom(pp.FinishStepRequest(**given))
    return finish


def without(message: Message, *fields: str) -> Message:
    for field in fields:
        message.ClearField(field)
    return message


BEGIN: dict[str, tuple[pp.BeginStepRequest, str]] = {
    "no pipeline": (step(pipeline=""), "the name of a pipeline is empty"),
    "no run": (step(run=""), "the name of a run is empty"),
    "no step": (step(""), "the name of a step is empty"),
    "no key": (step(key=""), "the key of a step, the caller's own id of the attempt, is empty"),
    "a slash in a pipeline": (
        step(pipeline="a/b"),
        "the pipeline 'a/b' has a slash in its name, which parts a pipeline from its runs",
    ),
    "a long pipeline": (
        step(pipeline="p" * 101),
        "the name of a pipeline has 101 bytes, and at most 100: 'ppp",
    ),
    "a long run": (step(run="r" * 141), "the name of a run has 141 bytes, and at most 140: 'rrr"),
    "a long step": (step("é" * 101), "the name of a step has 202 bytes, and at most 200: 'ééé"),
    "a long key": (step(key="k" * 256), "has 256 bytes, and at most 255: 'kkk"),
    "a long worker": (step(worker="w" * 256), "the name of a worker has 256 bytes, and at most 255"),
    "a NUL in a pipeline": (step(pipeline="a\0"), "the name of a pipeline contains a NUL character"),
    "a NUL in a run": (step(run="a\0"), "the name of a run contains a NUL character"),
    "a NUL in a step": (step("a\0"), "the name of a step contains a NUL character"),
    "a NUL in a key": (step(key="a\0"), "own id of the attempt, contains a NUL character"),
    "a NUL in a worker": (step(worker="a\0"), "the name of a worker contains a NUL character"),
    "a NUL in a component": (
        step(components=components(version="1\0")),
        "component 'version' contains a NUL character",
    ),
    "a NUL in the name of an input": (step(inputs=[used("a\0")]), "the name of an input contains a NUL"),
    "a NUL in a uri": (step(inputs=[used("a", uri="file:///\0")]), "uri of input 'a' contains a NUL"),
    "a NUL in a digest": (step(inputs=[used("a", digest="\0")]), "digest of input 'a' contains a NUL"),
    "a NUL in a component of an input": (
        step(inputs=[used("a", component="\0")]),
        "component of input 'a' contains a NUL",
    ),
    "a NUL in the type of an input": (step(inputs=[used("a", type="\0")]), "contains a NUL"),
    "a NUL in a tag": (step(tags={"team": "\0"}), "property 'tag.team' contains a NUL"),
    "a NUL in a description": (step(description="\0"), "property 'description' contains a NUL"),
    "a text that ML Metadata reserves": (step(description="__MLMD_NULL__"), "which ML Metadata reserves"),
    "a negative lease": (step(lease_ms=-1), "lease_ms must be from 0 to 86400000, a day, and is -1"),
    "a long lease": (
        step(lease_ms=86_400_001),
        "86400000, a day, and is 86400001",
    ),
    "a negative age": (step(max_age_ms=-1), "max_age_ms is negative: -1"),
    "an unknown mode": (step(cache=pp.CachePolicy(mode=9)), "there is no cache mode 9"),
    "no code": (
        step(components={"parameter:lr": "1"}),
        "component 'code' is missing; a fingerprint without it would match unrelated steps",
    ),
    "an empty code": (step(components={"code": ""}), "component 'code' is missing"),
    "another step among the components": (
        step(components=components(step="evaluate")),
        "the component 'step' is 'evaluate', and the step 'train'",
    ),
    "an input among the components": (
        step(components=components(input__table="sha256:01")),
        "the component 'input:table' belongs to the input itself; give it as its digest or its component",
    ),
    "a component of no kind": (
        step(components=components(colour="red")),
        "'colour' is not the name of a component; expected one of step, code, version, salt, ",
    ),
    "a component without name": (
        step(components=components(parameter__="1")),
        "component 'parameter:' lacks a name behind the colon",
    ),
    "two inputs of one name": (
        step(inputs=[used("a"), used("a")]),
        "two inputs have the name 'a'; name several of one parameter a[0], a[1]",
    ),
    "an input without name": (step(inputs=[used("")]), "the name of an input is empty"),
    "a long name of an input": (step(inputs=[used("i" * 201)]), "the name of an input has 201 bytes"),
    "an input that is nowhere": (
        step(inputs=[pp.StepInput(name="a", digest="sha256:01")]),
        "input 'a' has neither artifact_id nor uri; give one, so that it can be found",
    ),
    "an unknown artifact": (
        step(inputs=[pp.StepInput(name="a", artifact_id=999, digest="sha256:01")]),
        "input 'a' is artifact 999, which is not stored",
    ),
    "the largest artifact id": (
        step(inputs=[pp.StepInput(name="a", artifact_id=LARGEST, digest="sha256:01")]),
        f"input 'a' is artifact {LARGEST}, which is not stored",
    ),
    "a negative artifact id": (
        step(inputs=[pp.StepInput(name="a", artifact_id=-1, digest="sha256:01")]),
        "input 'a' is artifact -1, which is not stored",
    ),
    "a parameter without value": (
        step(parameters={"lr": pb.Value()}),
        "parameter 'lr' has no value; set one, or leave it out",
    ),
    "a parameter that is no number": (
        step(parameters={"lr": to_value(1.0), "nan": pb.Value(double_value=math.nan)}),
        "property 'parameter.nan' is nan; databases hold finite numbers only",
    ),
    "a parameter without name": (step(parameters={"": to_value(1)}), "the name of a parameter is empty"),
    "a long name of a parameter": (
        step(parameters={"p" * 246: to_value(1)}),
        "the name of a parameter has 246 bytes, and at most 245",
    ),
    "a long name of a tag": (step(tags={"é" * 126: ""}), "the name of a tag has 252 bytes, and at most 251"),
    "a NUL in the reason of a policy": (
        step(cache=pp.CachePolicy(reason="\0")),
        "the reason of a cache policy contains a NUL character",
    ),
    "a reason with a NUL": (
        step(refused=[pp.RefusedHit(execution_id=1, reason="\0")]),
        "the reason of a refused hit contains a NUL character",
    ),
    "a key of another step": (step("evaluate", key=KEY), "is that of another attempt, at step 'train'"),
}
FINISH: dict[str, tuple[pp.FinishStepRequest, str]] = {
    "no key": (end(""), "the key of a step, the caller's own id of the attempt, is empty"),
    "no state": (
        ended(state=0),
        "a step ends as COMPLETE, FAILED, CANCELED or CACHED; set state to one of them",
    ),
    "running": (ended(state=pp.RUNNING), "a step ends as COMPLETE, FAILED, CANCELED or CACHED"),
    "an unknown state": (ended(state=77), "a step ends as COMPLETE, FAILED, CANCELED or CACHED"),
    "a NUL in why it is unfit": (ended(unfit="\0"), "why a step is unfit contains a NUL character"),
    "a NUL in the error": (ended(error="\0"), "the error of a step contains a NUL character"),
    "an output without name": (ended(outputs=[made("")]), "the name of an output is empty"),
    "a long name of an output": (ended(outputs=[made("o" * 201)]), "the name of an output has 201 bytes"),
    "two outputs of one name": (
        ended(outputs=[made("a"), made("a")]),
        "two outputs have the name 'a'; give each its own",
    ),
    "an output that is an artifact": (
        ended(outputs=[made("a", artifact_id=1)]),
        "output 'a' names artifact 1; what a step makes is new, leave artifact_id out",
    ),
    "a preview that is no struct": (
        ended(outputs=[made("a", preview=to_value(1))]),
        "preview of output 'a' is not a struct",
    ),
    "a NUL in a uri": (ended(outputs=[made("a", uri="\0")]), "NUL"),
    "a NUL in a digest": (ended(outputs=[made("a", digest="\0")]), "property 'digest' contains a NUL"),
    "a NUL in a type": (ended(outputs=[made("a", type="\0")]), "the name of a type contains a NUL"),
    "a result that is no number": (
        ended(outputs=[made("a", metrics={"auc": math.nan})]),
        "property 'metrics' is a struct that holds nan",
    ),
    "use that is no number": (ended(usage={"s": math.inf}), "property 'usage' is a struct that holds inf"),
    "a metric without name": (ended(metrics=[pp.Metric(value=1)]), "a metric needs a name"),
    "a metric at a step before the first": (
        ended(metrics=[pp.Metric(name="loss", step=-1)]),
        "metric 'loss' has the step -1",
    ),
    "another key in begin": (
        ended(begin=step(lr=8)),
        "and that of the request 'the key of a step that was begun'; they are the same attempt's",
    ),
    "another begin": (ended(begin=step("evaluate", key=KEY)), "is that of another attempt, at step 'train'"),
    "a bad begin": (end("new", begin=step(key="new", run="")), "the name of a run is empty"),
    "a hit that is not named": (
        without(hit(), "cached_execution_id"),
        "a step that ends as CACHED needs cached_execution_id, that of the hit",
    ),
    "a hit with outputs": (
        hit(outputs=[made()]),
        "a step that ends as CACHED has the outputs of its hit; leave outputs out",
    ),
    "a hit that did not happen": (
        ended(cached_execution_id=1),
        "cached_execution_id belongs to a step that ends as CACHED",
    ),
    "a step that runs as a hit": (
        end(KEY, state=pp.CACHED, cached_execution_id=1),
        "was begun as one that runs, so it cannot end as CACHED",
    ),
}
RUNS: dict[str, tuple[str, Message, str]] = {
    "start without pipeline": ("StartRun", start(pipeline=""), "the name of a pipeline is empty"),
    "start without run": ("StartRun", start(run=""), "the name of a run is empty"),
    "a slash in a pipeline": ("StartRun", start(pipeline="a/b"), "has a slash in its name"),
    "a lease of two days": (
        "StartRun",
        start(lease_ms=2 * 86_400_000),
        "lease_ms must be from 0 to 86400000",
    ),
    "a planned step without name": (
        "StartRun",
        start(steps=[pp.StartRunRequest.PlannedStep()]),
        "the name of a step is empty",
    ),
    "a parent without run": (
        "StartRun",
        start(parent=pp.RunName(pipeline="a")),
        "the name of a run is empty",
    ),
    "its own parent": (
        "StartRun",
        start(parent=pp.RunName(pipeline="churn", run="tuesday")),
        "the run 'tuesday' cannot be its own parent",
    ),
    "a parameter without value": (
        "StartRun",
        start(parameters={"lr": pb.Value()}),
        "parameter 'lr' has no value; set one, or leave it out",
    ),
    "finish without state": (
        "FinishRun",
        pp.FinishRunRequest(pipeline="churn", run="monday"),
        "a run ends as COMPLETE, FAILED or CANCELED; set state to one of them",
    ),
    "finish as a hit": (
        "FinishRun",
        pp.FinishRunRequest(pipeline="churn", run="monday", state=pp.CACHED),
        "a run ends as COMPLETE, FAILED or CANCELED; set state to one of them",
    ),
    "a NUL in the error of a run": (
        "FinishRun",
        pp.FinishRunRequest(pipeline="churn", run="monday", state=pp.FAILED, error="\0"),
        "the error of a run contains a NUL character",
    ),
    "too many tokens": (
        "RenewLeases",
        pp.RenewLeasesRequest(tokens=map(str, range(10_001))),
        "10001 tokens are more than the 10000 that one request can renew",
    ),
    "a bad step among many": (
        "LookUpSteps",
        pp.LookUpStepsRequest(steps=[step(), step("")]),
        "the name of a step is empty",
    ),
    "too many steps": (
        "LookUpSteps",
        pp.LookUpStepsRequest(steps=[pp.BeginStepRequest()] * 1_001),
        "1001 steps are more than the 1000 that one request can look up",
    ),
}
REFUSED: dict[str, tuple[str, Message, grpc.StatusCode, str]] = {
    **{f"begin: {what}": ("BeginStep", request, INVALID, told) for what, (request, told) in BEGIN.items()},
    **{f"finish: {what}": ("FinishStep", request, INVALID, told) for what, (request, told) in FINISH.items()},
    **{f"runs: {what}": (name, request, INVALID, told) for what, (name, request, told) in RUNS.items()},
    "finish: what was never begun": (
        "FinishStep",
        end("nobody's"),
        NOT_FOUND,
        'no step was begun with the key "nobody\'s"; call BeginStep first',
    ),
    "finish: a hit of what is not there": (
        "FinishStep",
        without(hit(cached_execution_id=999)),
        NOT_FOUND,
        "there is no attempt at a step with execution id 999",
    ),
    "finish: a hit of what still runs": (
        "FinishStep",
        hit(cached_execution_id=2),
        grpc.StatusCode.FAILED_PRECONDITION,
        "execution 2 is not one that step 'train' can reuse: it is RUNNING; ask BeginStep again",
    ),
    "runs: one that is closed": (
        "StartRun",
        start(run="closed"),
        grpc.StatusCode.FAILED_PRECONDITION,
        "run 'closed' of pipeline 'churn' is COMPLETE; resume it (reopens), or choose another name",
    ),
    "runs: one that is not there": (
        "FinishRun",
        pp.FinishRunRequest(pipeline="churn", run="nowhere", state=pp.COMPLETE),
        NOT_FOUND,
        "pipeline 'churn' has no run 'nowhere'; call StartRun first",
    ),
}


def refused(call: Callable[[], Message]) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as raised:
        call()
    assert not [leak for leak in LEAKS if leak in raised.value.details()], raised.value.details()
    return raised.value


@pytest.mark.parametrize(("name", "request_", "code", "told"), REFUSED.values(), ids=REFUSED.keys())
def test_bad_input_is_refused_and_changes_nothing(
    served: Steps, name: str, request_: Message, code: grpc.StatusCode, told: str
) -> None:
    before = everything(served.call)

    error = refused(lambda: served.call(name, request_))

    assert (error.code(), told in error.details()) == (code, True), error.details()
    assert everything(served.call) == before


@pytest.mark.backends("sqlite")
@pytest.mark.parametrize("name", ["StartRun", "BeginStep", "FinishStep", "RenewLeases", "LookUpSteps"])
@pytest.mark.parametrize("content", [b"\xff", b"\n\xff\xff\xff\xff\x7f", b"\x0a\x05ab", b"\x0a\x01\xff"])
def test_what_is_no_message_or_no_text_is_refused(server: Server, name: str, content: bytes) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        send = channel.unary_unary(METHODS[name].path)

        assert refused(lambda: send(content)).code() is INVALID


TEXTS = [
    "'; DROP TABLE Execution; --",
    '" OR 1=1 --',
    "%s ? $1 :name {0} \\",
    "日本語 🌊 é\u0301 \u202e",
    " leading and trailing ",
    "line\nbreak\ttab",
]


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_is_only_text(served: Steps, text: str) -> None:
    request = step(
        text,
        run=text,
        pipeline=text,
        key=text,
        worker=text,
        components={"code": text, f"parameter:{text}": text},
        inputs=[used(text, uri=text, digest=text, component=text, type=text)],
        parameters={text: to_value(text)},
        description=text,
        tags={text: text},
    )

    begun = served.begin(request)
    assert served.begin(request).execution_id == begun.execution_id
    output = made(text, uri=text, digest=text, stamp=text, description=text, type=text)
    finish = end(request, outputs=[output], custom_properties={text: to_value(text)})
    finished = served.finish(finish)
    assert served.finish(finish) == finished

    execution = served.execution(begun.execution_id)
    assert execution.external_id == text
    assert execution.properties["worker"].string_value == text
    assert execution.custom_properties[f"parameter.{text}"].string_value == text
    assert execution.custom_properties[f"tag.{text}"].string_value == text
    assert served.ends(begun.execution_id)["INPUT"] == [((text,), begun.input_artifact_ids[0])]
    request.key = "again"
    hit = served.begin(request)
    output.artifact_id = finished.artifact_ids[0]
    assert (hit.decision, list(hit.outputs)) == (pp.HIT, [output])
    request.components["version"] = text
    assert text[:10] in served.begin(request).miss.text
