"""From the name of an RPC and its request to the answer, in one transaction."""

import hashlib
import logging
import threading
import time
import uuid

from google.protobuf.message import DecodeError, Message

from headwater.errors import HeadwaterError, Internal, InvalidRequest, Unimplemented
from headwater.service.rpcs import MESSAGES, READS, WRITES
from headwater.storage.callers import PATIENT, Caller
from headwater.storage.database import Database
from headwater.storage.requests import LONGEST_ID, RequestKey, find_answer, forget_old, keep_answer
from headwater.storage.transactions import Transaction

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
            log.exception("fault", extra={"rpc": rpc})
            raise Internal(
                f"{rpc} failed because of a fault in headwater; its log has the details"
            ) from error
        raise Unimplemented(f"there is no RPC named {rpc!r}")

    def _write(self, rpc: str, request: Message, caller: Caller, key: RequestKey | None) -> Message | bytes:
        if key is None and self._database.dialect.is_server:
            # For ourselves: a commit whose answer is lost is asked for again (decision 0010).
            key = RequestKey(uuid.uuid4().hex, "")

        def work(tx: Transaction) -> Message | bytes:
            if key is not None and tx.is_careful:
                found = find_answer(tx, key)
                if found is not None:
                    return found
            answer = WRITES[rpc](tx, request)
            if key is not None and tx.has_written:
                keep_answer(tx, key, answer if isinstance(answer, bytes) else answer.SerializeToString())
            return answer

        self._tidy()
        return self._database.write(work, caller)

    def _tidy(self) -> None:
        """Now and then, and not in the way of a request, forget what was answered long ago."""
        if time.monotonic() - self._tidied_at < _TIDY_EVERY_S:
            return
        self._tidied_at = time.monotonic()

        def forget() -> None:
            try:
                self._database.write(forget_old)
            except HeadwaterError as error:
                log.warning("old requests were not forgotten", extra={"error": str(error)})

        threading.Thread(target=forget, name="headwater-tidy", daemon=True).start()

    def answer_bytes(
        self, rpc: str, request: bytes, caller: Caller = PATIENT, request_id: str | None = None
    ) -> bytes:
        """The same from serialized request to serialized response."""
        if rpc not in MESSAGES:
            raise Unimplemented(f"there is no RPC named {rpc!r}")
        key: RequestKey | None = None
        if request_id is not None and rpc in WRITES:
            if not 0 < len(request_id) <= LONGEST_ID:
                raise InvalidRequest(f"a request id has 1 to {LONGEST_ID} characters, not {len(request_id)}")
            key = RequestKey(request_id, hashlib.sha256(rpc.encode() + request).hexdigest())
        try:
            message = MESSAGES[rpc][0].FromString(request)
        except DecodeError as error:
            raise InvalidRequest(f"the request is not a {rpc}Request message") from error
        answer = self.answer(rpc, message, caller, key)
        return answer if isinstance(answer, bytes) else answer.SerializeToString()
