"""When two answers are the same.

Compared exactly: status codes, ids, which fields are set, every value. Taken out of the comparison, because
the two sides cannot agree on it or the contract does not promise it:

* Times. A time that a server took itself becomes the number of the step during which it was taken, on
  either side, so a time that moved on one side only is a difference. For that, steps are kept apart by two
  milliseconds (``Clock``). Times that a request gave stay as they are.
* Order, in answers for which none is promised: these lists are sorted before they are compared. Nodes
  listed by update time that were updated by one request may differ in order, as the engine reads the clock for
  each; that each side's own order fits its own times is compared instead.
* Page tokens: only whether there is one. They are followed.
* Doubles beyond six decimals (Q1) and beyond the 15 significant digits with which the engine reads them from
  SQLite, and the texts of errors.
"""

import bisect
import json
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from .sides import Answer
from .steps import MAX_PAGES, Listing, Step, listed_in

TIMES = {"create_time_since_epoch", "last_update_time_since_epoch", "milliseconds_since_epoch"}
ORDERED = re.compile(r"Put|Get\w+TypesByID$")
"""RPCs whose lists are aligned with the request. In all other answers lists are sorted, pages apart."""
LEAKS = re.compile(r"SELECT\b|INSERT\b|Traceback|sqlite|sqlalchemy|psycopg|pymysql", re.IGNORECASE)
"""What the text of an error must not show to a client (Q26)."""


class Clock:
    """The moments at which steps began, in milliseconds, and which step a time belongs to.

    ``start`` waits, busily, until no earlier request can have seen the present millisecond or the one
    before it; so the times that two steps lead to never meet.
    """

    def __init__(self) -> None:
        self._starts_ms: list[int] = []
        self._numbers: list[int] = []

    def start(self, number: int) -> None:
        """Begin step ``number`` at the next moment that is free."""
        earliest_ns = (time.time_ns() // 1_000_000 + 2) * 1_000_000
        while time.time_ns() < earliest_ns:
            pass
        self._starts_ms.append(earliest_ns // 1_000_000)
        self._numbers.append(number)

    def name(self, time_ms: int) -> int | str:
        position = bisect.bisect_right(self._starts_ms, time_ms) - 1
        return f"step {self._numbers[position]}" if position >= 0 else time_ms

    def fill_times(self, text: str) -> str:
        """``text`` with each mark ``@T12@`` replaced by the start of step 12 or of the next one played."""

        def start_ms(mark: re.Match[str]) -> str:
            position = bisect.bisect_left(self._numbers, int(mark[1]))
            return str(self._starts_ms[min(position, len(self._starts_ms) - 1)])

        return re.sub(r"@T(\d+)@", start_ms, text)


@dataclass(frozen=True)
class Exchange:
    """One request and what came of it, ready to be compared. ``value`` is plain data."""

    rpc: str
    request: Message
    code: str
    value: Any
    text: str = ""


def plain(message: Message, clock: Clock) -> dict[str, Any]:
    """The fields that are set, as plain data. Fields unknown to the message are left out."""
    found: dict[str, Any] = {}
    for field, value in message.ListFields():
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            of = field.message_type.fields_by_name["value"]
            found[field.name] = {str(key): _plain_value(of, value[key], clock) for key in value}
        elif isinstance(value, Sequence) and not isinstance(value, str | bytes | Message):
            found[field.name] = [_plain_value(field, member, clock) for member in value]
        else:
            found[field.name] = _plain_value(field, value, clock)
    return found


def _plain_value(field: FieldDescriptor, value: Any, clock: Clock) -> Any:
    if field.message_type is not None:
        return plain(value, clock)
    if field.name in TIMES:
        return clock.name(value)
    if field.name == "next_page_token":
        return "token" if value else ""
    if field.name == "double_value":
        # The engine reads -0 from SQLite as 0.
        return f"{round(value, 6) + 0.0:.15g}"
    if isinstance(value, float | bytes):
        return repr(value)
    return value


def key(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def without_order(value: dict[str, Any]) -> dict[str, Any]:
    """``value`` with its lists sorted, and those one message further down."""
    return {
        name: sorted(member, key=key)
        if isinstance(member, list)
        else {below: sorted(m, key=key) if isinstance(m, list) else m for below, m in member.items()}
        if isinstance(member, dict)
        else member
        for name, member in value.items()
    }


def exchanges(step: Step, answers: Sequence[Answer], clock: Clock) -> list[Exchange]:
    if isinstance(step, Listing):
        return [_listing(answers, clock)]
    return [_exchange(answer, clock) for answer in answers]


def _exchange(answer: Answer, clock: Clock) -> Exchange:
    value = plain(answer.response, clock) if answer.response is not None else None
    if value is not None and not ORDERED.match(answer.rpc):
        value = without_order(value)
        if "contexts" in value and isinstance(value["contexts"], dict):
            value["contexts"] = {name: without_order(part) for name, part in value["contexts"].items()}
    return Exchange(answer.rpc, answer.request, answer.code, value, answer.text)


def _listing(pages: Sequence[Answer], clock: Clock) -> Exchange:
    """All pages of one list as one exchange, with the code of the last page."""
    first, last = pages[0], pages[-1]
    plural = listed_in(first.rpc)
    nodes = [node for page in pages if page.response for node in getattr(page.response, plural)]
    order = first.request.options.order_by_field
    by = {1: "create_time_since_epoch", 2: "last_update_time_since_epoch"}.get(order.field, "id")
    positions = [(getattr(node, by), node.id) for node in nodes]
    listed = [plain(node, clock) for node in nodes]
    if by == "last_update_time_since_epoch":
        listed = [node for group in _groups(listed, by) for node in sorted(group, key=lambda n: n["id"])]
    value = {
        "sizes": [len(getattr(page.response, plural)) for page in pages if page.response],
        "tokens": [
            _plain_value(
                page.response.DESCRIPTOR.fields_by_name["next_page_token"],
                page.response.next_page_token,
                clock,
            )
            if page.response.HasField("next_page_token")
            else "unset"
            for page in pages
            if page.response
        ],
        "in order": positions == sorted(positions, reverse=not order.is_asc),
        "repeats": len(set(positions)) < len(positions),
        "endless": len(pages) >= MAX_PAGES,
        plural: listed,
    }
    return Exchange(first.rpc, first.request, last.code, value, last.text)


def _groups(listed: Sequence[dict[str, Any]], by: str) -> Iterator[list[dict[str, Any]]]:
    group: list[dict[str, Any]] = []
    for node in listed:
        if group and group[-1][by] != node[by]:
            yield group
            group = []
        group.append(node)
    if group:
        yield group


def differences(engine: Any, ours: Any, path: str = "") -> list[str]:
    """Where two plain values differ, one line a place; empty when they are the same."""
    if isinstance(engine, dict) and isinstance(ours, dict):
        found = []
        for name in sorted({*engine, *ours}):
            below = f"{path}.{name}" if path else name
            if name not in ours:
                found.append(f"{below}: engine {engine[name]!r}, headwater unset")
            elif name not in engine:
                found.append(f"{below}: engine unset, headwater {ours[name]!r}")
            else:
                found += differences(engine[name], ours[name], below)
        return found
    if isinstance(engine, list) and isinstance(ours, list):
        if len(engine) == len(ours):
            return [
                line
                for position, (theirs, our) in enumerate(zip(engine, ours, strict=True))
                for line in differences(theirs, our, f"{path}[{position}]")
            ]
        more = [value for value in engine if value not in ours]
        less = [value for value in ours if value not in engine]
        return [
            f"{path}: engine has {len(engine)}, headwater {len(ours)}; engine only {more!r}, headwater only {less!r}"
        ]
    return [] if engine == ours else [f"{path}: engine {engine!r}, headwater {ours!r}"]


def only_new_ids_differ(engine: Exchange, ours: Exchange) -> bool:
    """Whether the same was put, and only ids of new rows are higher in ours than in the engine's answer."""
    if not engine.rpc.startswith("Put") or (engine.code, ours.code) != ("OK", "OK"):
        return False
    theirs, our = _numbers(engine.value), _numbers(ours.value)
    return theirs.keys() == our.keys() and all(theirs[place] <= our[place] for place in theirs)


def _numbers(value: Any, place: str = "") -> dict[str, int]:
    """Each number in a plain answer to a write, which holds nothing but ids, by where it stands."""
    if isinstance(value, int):
        return {place: value}
    members = value.items() if isinstance(value, dict) else enumerate(value)
    return {
        inner: number
        for name, member in members
        for inner, number in _numbers(member, f"{place}.{name}").items()
    }


def disagreement(engine: Exchange, ours: Exchange, *, leaks: bool = True) -> list[str]:
    """What differs between two exchanges, and what ours does that it never may."""
    found = []
    if engine.code != ours.code:
        found.append(f"code: engine {engine.code}, headwater {ours.code}")
    else:
        found += differences(engine.value, ours.value)
    if leaks and (leaked := LEAKS.search(ours.text)) and leaked[0].lower() not in str(ours.request).lower():
        found.append(f"leak: {ours.text!r}")
    return found
