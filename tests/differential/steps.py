"""What a sequence is made of: one request, or a few that belong together because a later one needs what an
earlier one answered (page tokens, times). A step plays the same on either side; what differs between the
sides, times and tokens, it takes from that side's own answers.
"""

import base64
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from google.protobuf import text_format
from google.protobuf.message import Message

from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpcs

from .sides import NOT_SENT, Answer, Side

MAX_PAGES = 80
"""Where following page tokens ends: the engine repeats pages for ever in some cases (Q4)."""

FillTimes = Callable[[str], str]
"""Replaces the marks ``@T12@`` in a filter by the moment, in milliseconds, when step 12 began."""

Translation = str | Callable[[Message], bool]
"""Another filter with the same meaning, or a test of one node."""


def listed_in(rpc: str) -> str:
    """The name of the list in the answers of a listing RPC: "artifacts" for GetArtifactsByType."""
    found = re.match(r"Get([A-Z][a-z]+s)", rpc)
    assert found
    return found[1].lower()


def show(message: Message) -> str:
    return text_format.MessageToString(message, as_one_line=True)


def filled(request: Message, fill_times: FillTimes) -> Message:
    """``request``, with the marks in its filters replaced."""
    filters = []
    copy = type(request)()
    copy.CopyFrom(request)
    if "options" in copy.DESCRIPTOR.fields_by_name and copy.HasField("options"):
        filters.append(copy.options)
    if isinstance(copy, rpcs.GetLineageSubgraphRequest):
        query = copy.lineage_subgraph_query_options
        for name in ("starting_artifacts", "starting_executions", "ending_artifacts", "ending_executions"):
            if query.HasField(name):
                filters.append(getattr(query, name))
    for holder in filters:
        if "filter_query" in holder.DESCRIPTOR.fields_by_name and holder.HasField("filter_query"):
            holder.filter_query = fill_times(holder.filter_query)
    return copy


@dataclass
class Step:
    """``number`` is the step's name in its sequence; it stays when a failing sequence is shortened."""

    number: int = field(default=-1, init=False)

    def play(self, side: Side, fill_times: FillTimes, reference: Sequence[Answer] | None) -> list[Answer]:
        """The answers of ``side``; ``reference`` has those of the engine when ``side`` is the other one."""
        raise NotImplementedError

    def show(self) -> str:
        raise NotImplementedError


@dataclass
class Call(Step):
    """One request."""

    rpc: str
    request: Message

    def play(self, side: Side, fill_times: FillTimes, reference: Sequence[Answer] | None) -> list[Answer]:
        return [side.call(self.rpc, filled(self.request, fill_times))]

    def show(self) -> str:
        return f"{self.rpc} {{ {show(self.request)} }}"


@dataclass
class Dump(Step):
    """Many reads, one after the other: the whole store, or what concerns one node."""

    reads: list[tuple[str, Message]]

    def play(self, side: Side, fill_times: FillTimes, reference: Sequence[Answer] | None) -> list[Answer]:
        return [side.call(rpc, request) for rpc, request in self.reads]

    def show(self) -> str:
        return "\n".join(f"{rpc} {{ {show(request)} }}" for rpc, request in self.reads)


@dataclass
class NotForEngine(Step):
    """A request that ends the engine's process; only headwater is asked."""

    rpc: str
    request: Message

    def play(self, side: Side, fill_times: FillTimes, reference: Sequence[Answer] | None) -> list[Answer]:
        if side.is_engine:
            return [Answer(self.rpc, self.request, NOT_SENT)]
        return [side.call(self.rpc, self.request)]

    def show(self) -> str:
        return f"not for the engine: {self.rpc} {{ {show(self.request)} }}"


@dataclass
class Listing(Step):
    """A list read page by page to its end, or until an error.

    ``later`` replaces options from the second page on. With ``foreign_tokens`` headwater is given the
    tokens that the engine made, as for a client that changes servers in the middle of a list. Not in lists by
    update time: what ties there on one side need not tie on the other. With ``for_engine`` the engine is asked
    for something else that ought to have the same answer, because it fails at what headwater is asked.
    """

    rpc: str
    request: Message
    later: pb.ListOperationOptions | None = None
    foreign_tokens: bool = False
    for_engine: Translation | None = None

    def play(self, side: Side, fill_times: FillTimes, reference: Sequence[Answer] | None) -> list[Answer]:
        request = filled(self.request, fill_times)
        if side.is_engine and self.for_engine is not None:
            request.options.filter_query = self._translated(side)
        answers = [side.call(self.rpc, request)]
        while len(answers) < MAX_PAGES:
            tokens = reference if self.foreign_tokens and reference is not None else answers
            if answers[-1].code != "OK" or len(tokens) < len(answers):
                break
            before = tokens[len(answers) - 1]
            if before.code != "OK" or not before.response.next_page_token:
                break
            following = type(request)()
            following.CopyFrom(request)
            if self.later is not None:
                following.options.MergeFrom(self.later)
            following.options.next_page_token = before.response.next_page_token
            if tokens is reference:
                following.options.next_page_token = _moved(before.response.next_page_token, answers[-1])
            answers.append(side.call(self.rpc, following))
        return answers

    def _translated(self, side: Side) -> str:
        """A filter that the engine understands, and that selects what the filter of the request should."""
        if isinstance(self.for_engine, str):
            return self.for_engine
        plural = listed_in(self.rpc)
        everything = f"Get{plural.title()}"
        answer = side.call(everything, getattr(rpcs, f"{everything}Request")())
        ids = [str(node.id) for node in getattr(answer.response, plural) if self.for_engine(node)]
        return f"id IN ({', '.join(ids)})" if ids else "FALSE"

    def show(self) -> str:
        later = f", from the second page on {{ {show(self.later)} }}" if self.later is not None else ""
        tokens = ", with the engine's tokens" if self.foreign_tokens else ""
        return f"{self.rpc} {{ {show(self.request)} }} to the end{later}{tokens}"


def _moved(token: str, page: Answer) -> str:
    """A token of the engine, as it would be in a store where ``page`` ended the page before.

    The two stores are equal but for their times, and a token by creation time holds one.
    """
    content = pb.ListOperationNextPageToken.FromString(
        base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    )
    if content.set_options.order_by_field.field == pb.ListOperationOptions.OrderByField.CREATE_TIME:
        nodes = getattr(page.response, listed_in(page.rpc))
        content.field_offset = nodes[-1].create_time_since_epoch if nodes else content.field_offset
    return base64.urlsafe_b64encode(content.SerializeToString()).decode().rstrip("=")


@dataclass
class WriteBack(Step):
    """Read a node, change some fields, and write it, times included: what careful clients do.

    ``occ`` asks for ``abort_if_latest_updated_time_changed``, with the time as read ("fresh") or one
    millisecond less ("stale").
    """

    kind: str
    node_id: int
    edit: Message
    clear: tuple[str, ...] = ()
    mask: tuple[str, ...] = ()
    occ: str = ""
    rpc: str = ""

    def play(self, side: Side, fill_times: FillTimes, reference: Sequence[Answer] | None) -> list[Answer]:
        plural = f"{self.kind}s"
        read_rpc = f"Get{plural.title()}ByID"
        read = side.call(
            read_rpc, getattr(rpcs, f"{read_rpc}Request")(**{f"{self.kind}_ids": [self.node_id]})
        )
        if read.code != "OK" or not getattr(read.response, plural):
            return [read]
        node = type(self.edit)()
        node.CopyFrom(getattr(read.response, plural)[0])
        node.MergeFrom(self.edit)
        for name in self.clear:
            node.ClearField(name)
        if self.occ == "stale":
            node.last_update_time_since_epoch -= 1
        request = getattr(rpcs, f"{self.rpc}Request")()
        if self.rpc == "PutExecution":
            request.execution.CopyFrom(node)
        else:
            getattr(request, plural).append(node)
        if self.mask:
            request.update_mask.paths.extend(self.mask)
        if self.occ:
            request.options.abort_if_latest_updated_time_changed = True
        return [read, side.call(self.rpc, request)]

    def show(self) -> str:
        return (
            f"read {self.kind} {self.node_id}, edit {{ {show(self.edit)} }}, clear {list(self.clear)}, write with "
            f"{self.rpc}, mask {list(self.mask)}, occ {self.occ or 'off'}"
        )


@dataclass
class Batch(Step):
    """Parents or children of several contexts in one call.

    The engine does not serve these two RPCs, so the answer to expect is put together from its one by one
    answers: contexts without any are absent, and an empty request is INVALID_ARGUMENT.
    """

    rpc: str
    request: Message

    def play(self, side: Side, fill_times: FillTimes, reference: Sequence[Answer] | None) -> list[Answer]:
        if not side.is_engine:
            return [side.call(self.rpc, self.request)]
        if not self.request.context_ids:
            return [Answer(self.rpc, self.request, "INVALID_ARGUMENT")]
        single = self.rpc.removesuffix("s")
        member = "parent_contexts" if "Parent" in single else "children_contexts"
        whole = getattr(rpcs, f"{self.rpc}Response")()
        for context_id in self.request.context_ids:
            part = side.call(single, getattr(rpcs, f"{single}Request")(context_id=context_id))
            if part.code != "OK":
                return [Answer(self.rpc, self.request, part.code, text=part.text)]
            if part.response.contexts and context_id not in whole.contexts:
                getattr(whole.contexts[context_id], member).extend(part.response.contexts)
        return [Answer(self.rpc, self.request, "OK", whole)]

    def show(self) -> str:
        return f"{self.rpc} {{ {show(self.request)} }}"
