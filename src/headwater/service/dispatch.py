"""From the name of an RPC and its request to the answer, in one transaction."""

import hashlib
import logging
import threading
import time
import uuid
from collections.abc import Iterator

from google.protobuf.message import DecodeError, Message

from headwater.errors import HeadwaterError, Internal, InvalidRequest, Unimplemented
from headwater.service.pipelines.renewing import end_expired_leases
from headwater.service.rpcs import READS, REPEATABLE, STREAMS, WRITES
from headwater.storage.callers import PATIENT, Caller
from headwater.storage.database import Database
from headwater.storage.requests import LONGEST_ID, RequestKey, find_answer, forget_old, keep_answer
from headwater.storage.transactions import Transaction
from headwater.v1.pipelines_pb2 import EndExpiredLeasesRequest
from headwater.wire import METHODS

log = logging.getLogger(__name__)

_TIDY_EVERY_S = 60.0


class Service:
    """The RPCs over one database. Safe for threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tidied_at = time.monotonic()

    def answer(
        self, rpc: str, request: Message, caller: Caller = PATIENT, key: RequestKey | None = None
    ) -> Message | bytes:
        """The response of ``rpc``, or its bytes; what was written is on disk.

        A write with a ``key`` that was carried out before is answered as it was then.

        Raises:
            HeadwaterError: nothing else ever; faults of our own are logged and become ``Internal``.
        """
        self._tidy()
        try:
            if rpc in READS:
                read = READS[rpc]
                return self._database.read(lambda tx: read(tx, request), caller)
            if rpc in WRITES:
                return self._write(rpc, request, caller, key)
        except HeadwaterError:
            raise
        except UnicodeError as error:
            raise InvalidRequest("a string of the request is not valid UTF-8") from error
        except Exception as error:
            raise _fault(rpc) from error
        raise Unimplemented(f"there is no RPC named {rpc!r}")

    def _write(self, rpc: str, request: Message, caller: Caller, key: RequestKey | None) -> Message | bytes:
        if rpc in REPEATABLE:
            key = None
        elif key is None and self._database.dialect.is_server:
            # For ourselves: a commit whose answer is lost is asked for again (decision 0010).
            key = RequestKey(uuid.uuid4().hex, "")

        write = WRITES[rpc]

        def work(tx: Transaction) -> Message | bytes:
            if key is not None and tx.is_careful:
                found = find_answer(tx, key)
                if found is not None:
                    return found
            answer = write(tx, request)
            if key is not None and tx.has_written:
                keep_answer(tx, key, answer if isinstance(answer, bytes) else answer.SerializeToString())
            return answer

        return self._database.write(work, caller)

    def _tidy(self) -> None:
        """Now and then, and not in the way of a request, end what nobody works at and forget old answers."""
        if time.monotonic() - self._tidied_at < _TIDY_EVERY_S:
            return
        self._tidied_at = time.monotonic()

        def tidy() -> None:
            try:
                self._database.write(forget_old)
                self._database.write(lambda tx: end_expired_leases(tx, EndExpiredLeasesRequest()))
            except HeadwaterError as error:
                log.warning("the store was not tidied", extra={"error": str(error)})

        threading.Thread(target=tidy, name="headwater-tidy", daemon=True).start()

    def stream(self, rpc: str, request: Message, caller: Caller = PATIENT) -> Iterator[Message]:
        """The messages that answer ``rpc``, made as they are asked for.

        Raises:
            HeadwaterError: on reading; as ``answer``.
        """
        if rpc not in STREAMS:
            raise Unimplemented(f"there is no RPC named {rpc!r}")
        try:
            yield from STREAMS[rpc](self._database, request, caller)
        except HeadwaterError:
            raise
        except UnicodeError as error:
            raise InvalidRequest("a string of the request is not valid UTF-8") from error
        except Exception as error:
            raise _fault(rpc) from error

    def stream_bytes(self, rpc: str, request: bytes, caller: Caller = PATIENT) -> Iterator[bytes]:
        """The same from a serialized request to serialized responses."""
        for message in self.stream(rpc, _parsed(rpc, request), caller):
            yield message.SerializeToString()

    def answer_bytes(
        self, rpc: str, request: bytes, caller: Caller = PATIENT, request_id: str | None = None
    ) -> bytes:
        """``answer`` from serialized request to serialized response."""
        key: RequestKey | None = None
        if request_id is not None and rpc in WRITES:
            if not 0 < len(request_id) <= LONGEST_ID:
                raise InvalidRequest(f"a request id has 1 to {LONGEST_ID} characters, not {len(request_id)}")
            key = RequestKey(request_id, hashlib.sha256(rpc.encode() + request).hexdigest())
        answer = self.answer(rpc, _parsed(rpc, request), caller, key)
        return answer if isinstance(answer, bytes) else answer.SerializeToString()


def _parsed(rpc: str, request: bytes) -> Message:
    if rpc not in METHODS:
        raise Unimplemented(f"there is no RPC named {rpc!r}")
    try:
        return METHODS[rpc].request_class.FromString(request)
    except DecodeError as error:
        raise InvalidRequest(f"the request is not a {rpc}Request message") from error


def _fault(rpc: str) -> Internal:
    """What the caller is told of a fault of ours, while it is being caught; the log has the rest."""
    log.exception("fault", extra={"rpc": rpc})
    return Internal(f"{rpc} failed because of a fault in headwater; its log has the details")
