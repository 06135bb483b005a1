"""From the name of an RPC and its request to the answer, in one transaction."""

import logging

from google.protobuf.message import DecodeError, Message

from headwater.errors import HeadwaterError, Internal, InvalidRequest, Unimplemented
from headwater.service.rpcs import MESSAGES, READS, WRITES
from headwater.storage.callers import PATIENT, Caller
from headwater.storage.database import Database

log = logging.getLogger(__name__)


class Service:
    """The RPCs over one database. Safe for threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def answer(self, rpc: str, request: Message, caller: Caller = PATIENT) -> Message | bytes:
        """The response of ``rpc``, or its bytes; what was written is on disk.

        Raises:
            HeadwaterError: nothing else ever; faults of our own are logged and become ``Internal``.
        """
        try:
            if rpc in READS:
                read = READS[rpc]
                return self._database.read(lambda tx: read(tx, request), caller)
            if rpc in WRITES:
                write = WRITES[rpc]
                return self._database.write(lambda tx: write(tx, request), caller)
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

    def answer_bytes(self, rpc: str, request: bytes, caller: Caller = PATIENT) -> bytes:
        """The same from serialized request to serialized response."""
        if rpc not in MESSAGES:
            raise Unimplemented(f"there is no RPC named {rpc!r}")
        try:
            message = MESSAGES[rpc][0].FromString(request)
        except DecodeError as error:
            raise InvalidRequest(f"the request is not a {rpc}Request message") from error
        answer = self.answer(rpc, message, caller)
        return answer if isinstance(answer, bytes) else answer.SerializeToString()
