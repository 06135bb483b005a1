"""Whether two sides gave the same answer, so that a fast wrong answer is noticed."""

from typing import Any

from google.protobuf.message import Message

SAME = "same"
SAME_IDS = "same ids, other content"
DIFFERENT = "different ids"
TOKEN = "next_page_token"


def _key(item: Any) -> Any:
    """What identifies an element of an answer: a node's or type's id, an edge's ends, else the value."""
    if not isinstance(item, Message):
        return item
    fields = item.DESCRIPTOR.fields_by_name
    if "id" in fields:
        return item.id  # type: ignore[attr-defined]  # any node or type
    ends = [name for name in fields if name.endswith("_id") or name == "type"]
    return tuple(getattr(item, name) for name in ends)


def _content(item: Any) -> Any:
    return item.SerializeToString(deterministic=True) if isinstance(item, Message) else item


def _view(answer: Message, of: Any, *, ordered: bool) -> dict[str, list[Any]]:
    """The answer's fields by name as comparable lists; the fields of a graph stand for the graph."""
    view: dict[str, list[Any]] = {}
    for field, value in answer.ListFields():
        if field.name == TOKEN:
            continue
        if field.message_type is not None and field.message_type.name == "LineageGraph":
            view |= _view(value, of, ordered=ordered)
            continue
        # Only a repeated message may come in any order; ids given back by writes align with the request.
        single = isinstance(value, (Message, str, bytes, int, float, bool))
        items = [of(value)] if single else [of(item) for item in value]
        any_order = not ordered and field.message_type is not None
        view[field.name] = sorted(items) if any_order else items
    return view


def compare(expected: Message, found: Message, *, ordered: bool) -> str:
    """``SAME``, ``SAME_IDS`` or ``DIFFERENT``; page tokens, which are each side's own, do not count."""
    if _view(expected, _key, ordered=ordered) != _view(found, _key, ordered=ordered):
        return DIFFERENT
    if _view(expected, _content, ordered=ordered) != _view(found, _content, ordered=ordered):
        return SAME_IDS
    return SAME
