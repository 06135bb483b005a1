"""One engine in this process, driven by frames on standard input; it times its own calls.

Started by ``sides.InProcess``, once with the peers interpreter for MLMD's C++ engine and once with
headwater's. A call is timed from request message to answer message on both, as a caller of either library
meets it: for the C++ engine that includes serializing the request and parsing the answer, since bytes are
what its Python binding takes (ml_metadata.MetadataStore does the same). Requests are parsed before the
clock starts and answers serialized after it stops, so the pipe costs nothing.

A frame is a pickled ``(rpc, requests, want_answers)``, answered by ``(durations_ns, answers, error)``.
"""

import argparse
import os
import pickle
import sys
import time
from collections.abc import Callable
from pathlib import Path


def open_engine(database_url: str) -> tuple[Callable, object]:
    from ml_metadata.metadata_store.pywrap.metadata_store_extension import metadata_store as engine
    from ml_metadata.proto import metadata_store_pb2 as pb
    from ml_metadata.proto import metadata_store_service_pb2 as messages

    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "peers"))
    from mlmd_bridge import connection_config

    config = connection_config(database_url)
    store = engine.CreateMetadataStore(config.SerializeToString(), pb.MigrationOptions().SerializeToString())

    def call(rpc, request):
        answer, message, code = getattr(engine, rpc)(store, request.SerializeToString())
        if code:
            raise RuntimeError(f"code {code}: {message.decode('utf-8', 'replace')}")
        return getattr(messages, f"{rpc}Response").FromString(answer)

    return call, messages


def open_headwater(database_url: str) -> tuple[Callable, object]:
    from headwater import embedded
    from headwater.v1 import metadata_store_service_pb2 as messages

    return embedded.open_transport(database_url).call, messages


def answer_frames(call: Callable, messages: object, frames, answers_to) -> None:
    clock = time.perf_counter_ns
    while True:
        try:
            rpc, raw_requests, want_answers = pickle.load(frames)
        except EOFError:
            return
        parse = getattr(messages, f"{rpc}Request").FromString
        requests = [parse(raw) for raw in raw_requests]
        durations_ns, answers, error = [], [], None
        try:
            for request in requests:
                started_ns = clock()
                answer = call(rpc, request)
                durations_ns.append(clock() - started_ns)
                if want_answers:
                    answers.append(answer.SerializeToString())
        except Exception as exc:  # any failure of the engine under test is an answer, not ours to judge
            error = f"{type(exc).__name__}: {exc}"
        pickle.dump((durations_ns, answers, error), answers_to, protocol=4)
        answers_to.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description="Answer timed batches; started by run.py.")
    parser.add_argument("engine", choices=("mlmd", "headwater"))
    parser.add_argument("--database-url", required=True)
    arguments = parser.parse_args()
    # Whatever a library prints must not end up among the frames.
    answers_to = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    opened = {"mlmd": open_engine, "headwater": open_headwater}[arguments.engine](arguments.database_url)
    answer_frames(*opened, frames=sys.stdin.buffer, answers_to=answers_to)


if __name__ == "__main__":
    main()
