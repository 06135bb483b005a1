"""ListRuns, GetRun and ListSteps."""

import base64
import binascii
import hashlib
import json
import math
from collections.abc import Sequence

from headwater.errors import InvalidRequest, NotFound
from headwater.service.pipelines.naming import check_pipeline, check_run, run_name
from headwater.service.pipelines.run_messages import run_infos
from headwater.service.pipelines.step_messages import step_infos
from headwater.storage.attempts import attempts_by_id
from headwater.storage.model import PARAMETER, TAG
from headwater.storage.run_listing import Condition, Family, Listing, Position, Source, Subject, list_runs
from headwater.storage.runs import attempt_ids_of_run, context_types, find_pipeline, find_pipeline_and_run
from headwater.storage.transactions import Transaction
from headwater.storage.values import checked_text
from headwater.v1 import pipelines_pb2 as pp

_LARGEST_PAGE = 1_000
_DEFAULT_PAGE = 100
_MOST_CONDITIONS = 20
# A transaction's time is taken when it begins, and others see what it wrote when it has ended.
_WRITING_MS = 10_000
# Infinities are listed as the largest numbers there are.
_LARGEST = 1.7976931348623157e308

_Field = pp.RunCondition.Field
_Operator = pp.RunCondition.Operator
_PROPERTIES = {
    _Field.STATE: "state",
    _Field.OWNER: "owner",
    _Field.TRIGGER: "trigger",
    _Field.NAME: "run",
    _Field.START_MS: "start_ms",
    _Field.COMMIT: "commit",
}
_OPERATORS = {
    _Operator.EQUAL: "=",
    _Operator.NOT_EQUAL: "!=",
    _Operator.LESS: "<",
    _Operator.LESS_OR_EQUAL: "<=",
    _Operator.GREATER: ">",
    _Operator.GREATER_OR_EQUAL: ">=",
    _Operator.LIKE: "LIKE",
}
_FAMILIES = {
    "int_value": Family.INT,
    "double_value": Family.DOUBLE,
    "string_value": Family.TEXT,
    "bool_value": Family.BOOL,
}
_RUN_STATES = ("RUNNING", "COMPLETE", "FAILED", "CANCELED")


def list_run_infos(tx: Transaction, request: pp.ListRunsRequest) -> pp.ListRunsResponse:
    """A page of runs. See ``ListRunsRequest``."""
    limit = _page_size(request.page_size)
    if len(request.where) > _MOST_CONDITIONS:
        raise InvalidRequest(f"{len(request.where)} conditions are more than {_MOST_CONDITIONS}")
    where = tuple(_condition(one) for one in request.where)
    order = _subject(request.order_by or _Field.START_MS, request.order_name, "order_by")
    digest = _digest(request)
    after = _position(request.page_token, digest) if request.page_token else None
    types = context_types(tx)
    pipeline_id = None
    if request.pipeline:
        pipeline_id = find_pipeline(tx, types, checked_text(request.pipeline, "the name of a pipeline"))
        if pipeline_id is None:
            raise NotFound(f"there is no pipeline {request.pipeline!r}")
    if types.run is None:
        return pp.ListRunsResponse()
    listing = Listing(types.run, pipeline_id, where, order, request.ascending)
    rows = list_runs(tx, listing, after=after, limit=limit + 1)
    page = rows[:limit]
    answer = pp.ListRunsResponse(runs=run_infos(tx, types, [position.run_id for position in page]))
    if len(rows) > limit:
        answer.next_page_token = _run_token(page[-1], digest)
    return answer


def get_run(tx: Transaction, request: pp.GetRunRequest) -> pp.GetRunResponse:
    """One run, by its names or its id."""
    types = context_types(tx)
    run_id = request.run_id or None
    if run_id is None:
        check_pipeline(request.pipeline)
        check_run(request.run)
        pipeline_id, run_id = find_pipeline_and_run(
            tx, types, request.pipeline, run_name(request.pipeline, request.run)
        )
        if pipeline_id is None:
            raise NotFound(f"there is no pipeline {request.pipeline!r}")
        if run_id is None:
            raise NotFound(f"pipeline {request.pipeline!r} has no run {request.run!r}")
    elif request.pipeline or request.run:
        raise InvalidRequest("GetRun takes the names of a run or its run_id, not both")
    infos = run_infos(tx, types, [run_id])
    if not infos:
        raise NotFound(f"there is no run with id {run_id}")
    return pp.GetRunResponse(run=infos[0])


def list_steps(tx: Transaction, request: pp.ListStepsRequest) -> pp.ListStepsResponse:
    """A page of attempts: of a run, or given by id. See ``ListStepsRequest``."""
    limit = _page_size(request.page_size)
    if bool(request.run_id) == bool(request.execution_ids):
        raise InvalidRequest("ListSteps needs run_id or execution_ids, one of the two")
    digest = hashlib.sha256(
        repr((request.run_id, request.changed_since_ms, list(request.execution_ids))).encode()
    ).hexdigest()[:16]
    after = _step_position(request.page_token, digest) if request.page_token else 0
    if request.run_id:
        since_ms = max(0, request.changed_since_ms - _WRITING_MS)
        ids = attempt_ids_of_run(tx, request.run_id, after=after, limit=limit + 1, changed_since_ms=since_ms)
        if not ids and not after and not run_infos(tx, context_types(tx), [request.run_id]):
            raise NotFound(f"there is no run with id {request.run_id}")
    else:
        ids = [one for one in sorted(set(request.execution_ids)) if one > after]
        _check_attempts(tx, ids[: limit + 1])
    page = ids[:limit]
    answer = pp.ListStepsResponse(steps=step_infos(tx, page), now_ms=tx.now_ms)
    if len(ids) > limit:
        answer.next_page_token = _token([digest, page[-1]])
    return answer


def _check_attempts(tx: Transaction, ids: Sequence[int]) -> None:
    known = attempts_by_id(tx, ids)
    for execution_id in ids:
        if execution_id not in known:
            raise NotFound(f"there is no attempt at a step with execution id {execution_id}")


def _page_size(given: int) -> int:
    if not 0 <= given <= _LARGEST_PAGE:
        raise InvalidRequest(
            f"page_size must be from 1 to {_LARGEST_PAGE}, and is {given}; 0 means {_DEFAULT_PAGE}"
        )
    return given or _DEFAULT_PAGE


# Conditions


def _subject(field: pp.RunCondition.Field, name: str, what: str) -> Subject:
    if field in _PROPERTIES:
        if name:
            raise InvalidRequest(f"{_Field.Name(field)} takes no name, and is given {name!r}")
        return Subject(Source.PROPERTY, _PROPERTIES[field])
    if field not in (_Field.PARAMETER, _Field.METRIC, _Field.TAG):
        raise InvalidRequest(f"{what} has no field that is known, and is {field}")
    if not name:
        raise InvalidRequest(f"{_Field.Name(field)} in {what} needs a name")
    checked_text(name, f"the name of a {_Field.Name(field).lower()}")
    if field == _Field.METRIC:
        return Subject(Source.METRIC, name)
    prefix = PARAMETER if field == _Field.PARAMETER else TAG
    return Subject(Source.CUSTOM_PROPERTY, prefix + name)


def _condition(given: pp.RunCondition) -> Condition:
    subject = _subject(given.field, given.name, "a condition")
    shown = f"{_Field.Name(given.field)} {given.name}".strip()
    operator = _OPERATORS.get(given.operator)
    if operator is None:
        raise InvalidRequest(f"the condition on {shown} has no operator that is known")
    family = _FAMILIES.get(given.value.WhichOneof("value") or "")
    if family is None:
        raise InvalidRequest(
            f"the condition on {shown} needs a value that is a number, a text or a truth value"
        )
    value = getattr(given.value, str(given.value.WhichOneof("value")))
    numbers = (Family.INT, Family.DOUBLE)
    if given.field in (_Field.METRIC, _Field.START_MS) and family not in numbers:
        raise InvalidRequest(f"{shown} is a number; compare it with one, not with {value!r}")
    if given.field not in (_Field.METRIC, _Field.START_MS, _Field.PARAMETER) and family is not Family.TEXT:
        raise InvalidRequest(f"{shown} is a text; compare it with one, not with {value!r}")
    if given.field == _Field.STATE and operator in ("=", "!=") and value not in _RUN_STATES:
        raise InvalidRequest(f"a run is never {value!r}; its state is one of {', '.join(_RUN_STATES)}")
    if family is Family.BOOL and operator not in ("=", "!="):
        raise InvalidRequest(
            f"{shown} {operator} {str(value).lower()}: truth values are equal or not, no more"
        )
    if operator == "LIKE":
        if family is not Family.TEXT:
            raise InvalidRequest(f"{shown} LIKE needs a text, not {value!r}")
        if (len(value) - len(value.rstrip("\\"))) % 2:
            raise InvalidRequest(f"the pattern {value!r} ends with a single backslash; write two for one")
    if family is Family.TEXT:
        checked_text(value, f"the value of the condition on {shown}")
    if family is Family.DOUBLE and not math.isfinite(value):
        return _not_finite(subject, shown, operator, value)
    return Condition(subject, operator, family, value)


def _not_finite(subject: Subject, shown: str, operator: str, value: float) -> Condition:
    if subject.source is not Source.METRIC:
        raise InvalidRequest(f"{shown} is never {value}, which cannot be stored")
    if math.isnan(value):
        if operator not in ("=", "!="):
            raise InvalidRequest(f"{shown} {operator} nan is never true; only = and != make sense")
        return Condition(subject, operator, Family.NAN, 0)
    return Condition(subject, operator, Family.DOUBLE, math.copysign(_LARGEST, value))


# Tokens


def _digest(request: pp.ListRunsRequest) -> str:
    """What a token of this listing is known by."""
    listing = pp.ListRunsRequest()
    listing.CopyFrom(request)
    listing.ClearField("page_token")
    listing.ClearField("page_size")
    return hashlib.sha256(listing.SerializeToString(deterministic=True)).hexdigest()[:16]


def _run_token(position: Position, digest: str) -> str:
    return _token([digest, position.rank, position.number, position.text, position.run_id])


def _token(content: list[object]) -> str:
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode("ascii").rstrip("=")


def _position(token: str, digest: str) -> Position:
    match _parsed(token, digest):
        case [int(rank), int() | float() as number, str(text), int(run_id)] if math.isfinite(number):
            return Position(_int64(rank), number, text, _int64(run_id))
    raise _damaged()


def _step_position(token: str, digest: str) -> int:
    match _parsed(token, digest):
        case [int(execution_id)]:
            return _int64(execution_id)
    raise _damaged()


def _int64(number: int) -> int:
    if isinstance(number, bool) or abs(number) >= 2**63:
        raise _damaged()
    return number


def _parsed(token: str, digest: str) -> list[object]:
    try:
        raw = token.encode("ascii")
        content = json.loads(base64.b64decode(raw + b"=" * (-len(raw) % 4), altchars=b"-_", validate=True))
    except (UnicodeError, binascii.Error, ValueError, RecursionError):
        raise _damaged() from None
    if not isinstance(content, list) or not content:
        raise _damaged()
    if content[0] != digest:
        raise InvalidRequest(
            "page_token belongs to another listing: all but page_size must stay the same from page to page; "
            "start again without a token"
        )
    return content[1:]


def _damaged() -> InvalidRequest:
    return InvalidRequest("page_token is not one that this service gave; start again without a token")
