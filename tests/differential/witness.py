"""The engine asked once more, to tell whether a disagreement is one of the intended ones."""

from collections.abc import Callable, Iterator, Sequence

from google.protobuf.message import Message

from headwater.v1 import metadata_store_service_pb2 as rpcs

from .sides import Answer, Side
from .steps import Call, FillTimes, Step, WriteBack

MOST_TRIALS = 100


class Witness:
    """Answers of the engine to questions that no sequence asked.

    Reads go to the engine of the sequence. Writes go to a second engine, which is brought to the same
    state first; it is started when the first is needed.
    """

    def __init__(self, engine: Side, start_second: Callable[[], Side]) -> None:
        self._engine = engine
        self._start_second = start_second
        self._second: Side | None = None
        self._played: Sequence[Step] = ()
        self._fill_times: FillTimes = str

    def follow(self, played: Sequence[Step], fill_times: FillTimes) -> None:
        """The sequence that questions are about: what was played of it, and what will be."""
        self._played = played
        self._fill_times = fill_times

    def read(self, rpc: str, request: Message) -> Answer:
        return self._engine.call(rpc, request)

    def refuses_filter(self, kind: str, text: str) -> bool:
        """Whether the engine finds fault with a filter of nodes of ``kind``, apart from their data."""
        request = getattr(rpcs, f"Get{kind.title()}sRequest")()
        request.options.filter_query = text
        return self.read(f"Get{kind.title()}s", request).code == "INVALID_ARGUMENT"

    def codes_of_less(self, rpc: str, request: Message) -> Iterator[str]:
        """What the engine says to ``request`` when one or two of its parts are left out."""
        stale = True
        for trial, less in enumerate(_less(request)):
            if trial == MOST_TRIALS:
                return
            if stale:
                self._replay()
            assert self._second
            code = self._second.call(rpc, less).code
            # What was refused has left nothing behind.
            stale = code == "OK"
            yield code

    def _replay(self) -> None:
        self._second = self._second or self._start_second()
        self._second.reset()
        for step in self._played:
            if isinstance(step, WriteBack) or (isinstance(step, Call) and step.rpc.startswith("Put")):
                step.play(self._second, self._fill_times, None)

    def close(self) -> None:
        if self._second is not None:
            self._second.close()


def _less(request: Message) -> Iterator[Message]:
    ones = list(_without_one(request))
    yield from ones
    for one in ones:
        yield from _without_one(one)


def _without_one(request: Message) -> Iterator[Message]:
    """Copies of ``request`` that lack one member of a list, or a property or external id of a member."""
    for field, value in request.ListFields():
        if field.message_type is None or field.name == "transaction_options":
            continue
        single = isinstance(value, Message)
        for position in range(1 if single else len(value)):
            if not single:
                less = _copy(request)
                del getattr(less, field.name)[position]
                if field.name in ("artifacts", "executions") and isinstance(
                    less, rpcs.PutLineageSubgraphRequest
                ):
                    # Their indexes would point at other nodes now.
                    del less.event_edges[:]
                yield less
            part = value if single else value[position]
            for cut in _cuts(part):
                less = _copy(request)
                cut(getattr(less, field.name) if single else getattr(less, field.name)[position])
                yield less


def _cuts(part: Message) -> Iterator[Callable[[Message], None]]:
    """Ways to make a node or a type smaller."""
    for group in ("properties", "custom_properties"):
        for key in getattr(part, group, ()):
            yield lambda smaller, group=group, key=key: getattr(smaller, group).__delitem__(key)
    if "external_id" in part.DESCRIPTOR.fields_by_name and part.HasField("external_id"):
        yield lambda smaller: smaller.ClearField("external_id")


def _copy(message: Message) -> Message:
    copy = type(message)()
    copy.CopyFrom(message)
    return copy
