"""The intended disagreements with MLMD's engine, by the names that docs/mlmd-differences.md gives them.

Q: quirks of the engine, F: of its filters, T: of its types. "order": which of two faults is told.

A predicate is as narrow as it can be made: it looks at what was asked and at both outcomes, and where the
better answer is known to contain the engine's, or the engine can be asked for more, it checks that too.
"""

import copy
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from google.protobuf.message import Message

from headwater.v1 import metadata_store_pb2 as pb

from .compare import ORDERED, Exchange, differences, without_order
from .model import KINDS, UNKNOWN_ID
from .sides import NOT_SENT
from .steps import Listing, Step
from .witness import Witness

Predicate = Callable[[Step, Exchange, Exchange, Witness], bool]
INVALID = "INVALID_ARGUMENT"


@dataclass(frozen=True)
class Intended:
    """``holds`` says whether what the engine and headwater answered to a step is this disagreement.

    After one with ``diverges`` the two stores differ for good; the sequence ends there.
    """

    name: str
    why: str
    holds: Predicate
    diverges: bool = False


# Looking into requests and answers


def filters_of(request: Message) -> list[tuple[str, str]]:
    """The filters of a request, each with the kind of node that it is about."""
    if "lineage_subgraph_query_options" in request.DESCRIPTOR.fields_by_name:
        query = request.lineage_subgraph_query_options
        found = [
            (kind, getattr(query, f"{role}_{kind}s").filter_query)
            for role in ("starting", "ending")
            for kind in ("artifact", "execution")
        ]
    elif request.DESCRIPTOR.name.startswith("Get") and isinstance(
        getattr(request, "options", None), pb.ListOperationOptions
    ):
        kind = re.findall("Artifact|Execution|Context", request.DESCRIPTOR.name)[0].lower()
        found = [(kind, request.options.filter_query)]
    else:
        return []
    return [(kind, text) for kind, text in found if text]


def case_decides(exchange: Exchange) -> bool:
    """Whether a filter compares with a LIKE pattern in upper case; stored names are in lower case."""
    return any(re.search(r"LIKE '[^']*[A-Z]", text) for _, text in filters_of(exchange.request))


def messages(message: Message) -> Iterator[Message]:
    """``message`` and all messages in it."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            if field.message_type.fields_by_name["value"].message_type is not None:
                for key in value:
                    yield from messages(value[key])
        elif isinstance(value, Message):
            yield from messages(value)
        else:
            for member in value:
                yield from messages(member)


def _codes(engine: str, ours: str, said: str = "") -> Predicate:
    """The two codes match patterns, and the engine's message has ``said``, a pattern too."""

    def holds(step: Step, theirs: Exchange, our: Exchange, witness: Witness) -> bool:
        matched = re.fullmatch(engine, theirs.code) and re.fullmatch(ours, our.code)
        return bool(matched and theirs.code != our.code and re.search(said, theirs.text, re.DOTALL))

    return holds


def _both(*predicates: Predicate) -> Predicate:
    return lambda step, engine, ours, witness: all(holds(step, engine, ours, witness) for holds in predicates)


def _filter_has(pattern: str) -> Predicate:
    compiled = re.compile(pattern, re.DOTALL)
    return lambda step, engine, ours, witness: any(
        compiled.search(text) for _, text in filters_of(engine.request)
    )


def _we_say(pattern: str) -> Predicate:
    return lambda step, engine, ours, witness: re.search(pattern, ours.text) is not None


# Predicates

TYPE_LISTS = ("artifact_types", "execution_types", "context_types")
FILLED_IN = ("external_id", "base_type", "input_type", "output_type")


def _types_filled_in(step: Step, engine: Exchange, ours: Exchange, witness: Witness) -> bool:
    """The same types, with fields in ours that the engine leaves out."""
    if (engine.code, ours.code) != ("OK", "OK"):
        return False
    value = copy.deepcopy(ours.value)
    for holder, theirs in (
        (value, engine.value),
        (value.get("lineage_subgraph"), engine.value.get("lineage_subgraph")),
    ):
        for name in TYPE_LISTS:
            if not isinstance(holder, dict) or not isinstance(theirs, dict) or name not in theirs:
                continue
            given = {stored["id"]: stored for stored in theirs[name]}
            for stored in holder.get(name, ()):
                for field in FILLED_IN:
                    if field not in given.get(stored["id"], {field: None}):
                        stored.pop(field, None)
    return not differences(engine.value, value if ORDERED.match(engine.rpc) else without_order(value))


def _listed(exchange: Exchange) -> list[dict]:
    return next(
        exchange.value[name] for name in ("artifacts", "executions", "contexts") if name in exchange.value
    )


def _is_whole(exchange: Exchange) -> bool:
    return exchange.value["in order"] and not exchange.value["repeats"] and not exchange.value["endless"]


def _pages_repeat(step: Step, engine: Exchange, ours: Exchange, witness: Witness) -> bool:
    if not isinstance(step, Listing) or (engine.code, ours.code) != ("OK", "OK"):
        return False
    if not (engine.value["repeats"] or engine.value["endless"]):
        return False
    known = {node["id"]: node for node in _listed(ours)}
    return _is_whole(ours) and all(known.get(node["id"]) == node for node in _listed(engine))


def both_repeat(engine: Exchange, ours: Exchange) -> bool:
    """Q4a on both sides, when the engine plays against itself."""
    return all(isinstance(side.value, dict) and side.value.get("repeats") for side in (engine, ours))


def _page_too_large(step: Step, engine: Exchange, ours: Exchange, witness: Witness) -> bool:
    if not isinstance(step, Listing) or engine.request.options.max_result_size <= 100 or ours.code != "OK":
        return False
    if engine.code == INVALID:
        return engine.request.options.max_result_size == 2**31 - 1 and _is_whole(ours)
    begins = _listed(ours)[:101] == _listed(engine)
    return begins and len(_listed(engine)) == 101 and max(ours.value["sizes"]) <= 100 and _is_whole(ours)


def _cut_by_update_time(step: Step, engine: Exchange, ours: Exchange, witness: Witness) -> bool:
    """A list by update time that is not followed to its end: where it is cut depends on milliseconds."""
    return (
        isinstance(step, Listing)
        and step.later is not None
        and engine.code == ours.code
        and engine.request.options.order_by_field.field
        == pb.ListOperationOptions.OrderByField.LAST_UPDATE_TIME
    )


def _other_listing(step: Step, engine: Exchange, ours: Exchange, witness: Witness) -> bool:
    given = (
        isinstance(step, Listing)
        and engine.request.options.next_page_token
        and engine.request.options.filter_query
    )
    changed = isinstance(step, Listing) and step.later is not None and step.later.HasField("filter_query")
    return (
        bool(given or changed)
        and (engine.code, ours.code) == ("OK", INVALID)
        and "belongs to another" in ours.text
    )


def _ending_filter_at_fault(step: Step, engine: Exchange, ours: Exchange, witness: Witness) -> bool:
    if engine.rpc != "GetLineageSubgraph" or ours.code != INVALID or engine.code not in ("OK", "NOT_FOUND"):
        return False
    query = engine.request.lineage_subgraph_query_options
    ending = (
        ("artifact", query.ending_artifacts.filter_query),
        ("execution", query.ending_executions.filter_query),
    )
    return any(text and witness.refuses_filter(kind, text) for kind, text in ending)


def _other_fault(step: Step, engine: Exchange, ours: Exchange, witness: Witness) -> bool:
    if not engine.rpc.startswith("Put") or "OK" in (engine.code, ours.code):
        return False
    return any(code == ours.code for code in witness.codes_of_less(engine.rpc, engine.request))


def _both_spellings(step: Step, engine: Exchange, ours: Exchange, witness: Witness) -> bool:
    for _, text in filters_of(engine.request):
        for group in ("properties", "custom_properties"):
            bare = set(re.findall(rf"\b{group}\.(\w+)\.", text))
            if bare & set(re.findall(rf"\b{group}\.`(\w+)`\.", text)):
                return engine.code == INVALID and ours.code in ("OK", "NOT_FOUND")
    return False


def _dangling(step: Step, engine: Exchange, ours: Exchange, witness: Witness) -> bool:
    events = [message for message in messages(engine.request) if isinstance(message, pb.Event)]
    unknown = any(UNKNOWN_ID in (event.artifact_id, event.execution_id) for event in events)
    return (
        unknown
        and engine.rpc in ("PutExecution", "PutLineageSubgraph")
        and (engine.code, ours.code) == ("OK", INVALID)
    )


def _strings(request: Message) -> Iterator[str]:
    """All texts in a request, names of properties among them."""
    for message in messages(request):
        for field, value in message.ListFields():
            if isinstance(value, str):
                yield value
            elif field.name in ("properties", "custom_properties"):
                yield from value


def _has_string(pattern: str) -> Predicate:
    return lambda step, engine, ours, witness: any(
        re.search(pattern, text) for text in _strings(engine.request)
    )


def _empty_any(step: Step, engine: Exchange, ours: Exchange, witness: Witness) -> bool:
    values = [m for m in messages(engine.request) if isinstance(m, pb.Value) and m.HasField("proto_value")]
    return any(not value.proto_value.type_url for value in values)


def _rpc(name: str) -> Predicate:
    return lambda step, engine, ours, witness: engine.rpc == name


def _not_finite(step: Step, engine: Exchange, ours: Exchange, witness: Witness) -> bool:
    doubles = [
        m.double_value
        for m in messages(engine.request)
        if isinstance(m, pb.Value) and m.HasField("double_value")
    ]
    return (engine.code, ours.code) == ("INTERNAL", INVALID) and not all(map(math.isfinite, doubles))


def _shares_names(step: Step, engine: Exchange, ours: Exchange, witness: Witness) -> bool:
    """A node has one name among its declared and its custom properties, or had before the engine lost it."""
    if engine.rpc != "GetArtifactsByID" or (engine.code, ours.code) != ("OK", "OK"):
        return False
    theirs, our = _listed(engine)[0], _listed(ours)[0]
    names = [set(our.get(group, ())) for group in ("properties", "custom_properties")]
    rest = {name: value for name, value in our.items() if name not in ("properties", "custom_properties")}
    return (
        bool(names[0] & names[1] or names[0] - set(theirs.get("properties", ())))
        and rest.items() <= theirs.items()
    )


def _one_start_less(step: Step, engine: Exchange, ours: Exchange, witness: Witness) -> bool:
    if engine.rpc != "GetLineageSubgraph" or (engine.code, ours.code) != ("OK", "OK"):
        return False
    theirs, our = (exchange.value["lineage_subgraph"].get("artifacts", []) for exchange in (engine, ours))
    return len(theirs) == 101 and len(our) == 100 and all(node in theirs for node in our)


def _names_of_types(request: Message) -> list[tuple[str, str, str]]:
    return [
        (kind, given.name, given.version) for kind in KINDS for given in getattr(request, f"{kind}_types")
    ]


def _type_twice(step: Step, engine: Exchange, ours: Exchange, witness: Witness) -> bool:
    if engine.rpc != "PutTypes":
        return False
    names = _names_of_types(engine.request)
    return len(names) > len(set(names)) and engine.code != ours.code


def _external_id_lost(step: Step, engine: Exchange, ours: Exchange, witness: Witness) -> bool:
    lines = differences(engine.value, ours.value)
    return len(lines) == 1 and bool(
        re.fullmatch(r"context_type\.external_id: engine '', headwater '.+'", lines[0])
    )


def _reused_context(step: Step, engine: Exchange, ours: Exchange, witness: Witness) -> bool:
    return (
        engine.rpc in ("PutExecution", "PutLineageSubgraph")
        and engine.request.options.reuse_context_if_already_exist
    )


INTENDED: tuple[Intended, ...] = (
    Intended("Q1", "NaN and the infinities are INVALID_ARGUMENT, not INTERNAL.", _not_finite),
    Intended(
        "Q2",
        "A declared and a custom property of one name are two properties, in updates too.",
        _shares_names,
        diverges=True,
    ),
    Intended(
        "Q3",
        "A page of more than 100 is cut to 100 and has a token; the engine gives 101 and loses the rest.",
        _page_too_large,
    ),
    Intended(
        "Q4a",
        "The engine repeats pages when many nodes share one update time; ours gives each node once.",
        _pages_repeat,
    ),
    Intended(
        "Q4c", "A page token goes with its filter; the engine does not notice another one.", _other_listing
    ),
    Intended(
        "Q5",
        "An empty custom value ends the engine's process; ours refuses it.",
        _codes(NOT_SENT, "INVALID_ARGUMENT|NOT_FOUND|ALREADY_EXISTS"),
    ),
    Intended(
        "Q6",
        "The text that the engine stores for NULL is refused: the engine could not read the node.",
        _both(_codes("OK", INVALID), _has_string("^__MLMD_NULL__$")),
        diverges=True,
    ),
    Intended(
        "Q6",
        "A custom text that the engine would read back as a struct is refused.",
        _both(_has_string("^mlmd-struct::"), _codes("OK", INVALID)),
        diverges=True,
    ),
    Intended(
        "Q6b",
        "A proto value without type_url is refused.",
        _both(_codes("OK", INVALID), _empty_any),
        diverges=True,
    ),
    Intended(
        "Q7",
        "Strings with a NUL byte are refused; the engine cuts them.",
        _both(_codes("OK", INVALID), _has_string("\0")),
        diverges=True,
    ),
    Intended("Q8", "Events of nodes that do not exist are refused.", _dangling, diverges=True),
    Intended(
        "Q9",
        "An empty pair attributes nothing; the engine attributes the artifact -1 and then fails.",
        _both(_codes("INTERNAL", "OK", r"Results missing for ids: \{-1\}"), _rpc("GetArtifactsByContext")),
    ),
    Intended(
        "Q12",
        "A unique violation on update is ALREADY_EXISTS.",
        _codes("INTERNAL", "ALREADY_EXISTS", "UNIQUE constraint failed"),
    ),
    Intended(
        "Q20",
        "Types come with external_id, base_type, input and output types in every answer.",
        _types_filled_in,
    ),
    Intended(
        "Q23",
        "An ending filter at fault is refused whether or not a node comes to be tested against it.",
        _ending_filter_at_fault,
    ),
    Intended(
        "Q23", "A subgraph starts from 100 nodes, as its proto says; the engine takes 101.", _one_start_less
    ),
    Intended(
        "Q36",
        "With reuse_context_if_already_exist a new context whose external id is taken is ALREADY_EXISTS; the engine "
        "says ABORTED, which clients retry in vain.",
        _both(_reused_context, _codes("ABORTED", "ALREADY_EXISTS", "Concurrent creation")),
    ),
    Intended(
        "F2",
        "An enum predicate may stand twice.",
        _codes(INVALID, "OK|NOT_FOUND", "cannot be rewritten successfully for matched enum predicate"),
    ),
    Intended(
        "F9",
        "Integers beyond INT64 are refused.",
        _both(_codes("OK|NOT_FOUND", INVALID), _we_say("does not fit in 64 bits")),
    ),
    Intended(
        "F11",
        "What only some database could do is refused with INVALID_ARGUMENT.",
        _codes("INTERNAL", INVALID, "no such function|no such table|syntax error|no such column"),
    ),
    Intended(
        "F11",
        "Functions outside a small set are refused.",
        _both(_codes("OK|NOT_FOUND", INVALID), _we_say("unknown function")),
    ),
    Intended("F13", "One property may be named with and without back quotes.", _both_spellings),
    Intended(
        "F15",
        "All words of the enums are known.",
        _both(
            _codes(INVALID, "OK|NOT_FOUND", "Unsupported enum value specified"),
            _filter_has(r"\b(ABANDONED|REFERENCE|PENDING_OUTPUT|UNKNOWN)\b"),
        ),
    ),
    Intended(
        "F16",
        "``<>`` and IN without blanks do for enums too.",
        _both(
            _codes(INVALID, "OK|NOT_FOUND", "Unrecognized name|Syntax error"),
            _filter_has(r"(state|\.type)\s*(<>|\s(NOT\s+)?IN\()"),
        ),
    ),
    Intended(
        "F16",
        "No blanks around any dot; the engine allows some after the label of a neighbour.",
        _both(_codes("OK|NOT_FOUND", INVALID), _filter_has(r"_\w+\.\s"), _we_say("no blanks are allowed")),
    ),
    Intended(
        "F17",
        "An enum is not compared with numbers, nor with a list of one number.",
        _both(
            _codes("OK|NOT_FOUND", INVALID), _filter_has(r"IN\s*\(\s*\d+\s*\)"), _we_say("expected one of")
        ),
    ),
    Intended(
        "T1",
        "A type that is twice in one request is compared with what the first one made of it.",
        _type_twice,
        diverges=True,
    ),
    Intended(
        "T1", "A type that is twice in one request keeps its external id.", _external_id_lost, diverges=True
    ),
    Intended(
        "clock",
        "Nodes updated by one request share a time; the engine takes it anew for each node.",
        _cut_by_update_time,
    ),
    Intended("order", "Of two faults in one request either may be named.", _other_fault),
)


def find_intended(step: Step, engine: Exchange, ours: Exchange, witness: Witness) -> Intended | None:
    return next((intended for intended in INTENDED if intended.holds(step, engine, ours, witness)), None)
