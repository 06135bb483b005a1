"""Walking lineage: headwater's Walk against its own GetLineageSubgraph, over gRPC, on one store.

    python tests/benchmarks/walks.py --nodes 100k,1M
    python tests/benchmarks/walks.py --nodes 100k --backend postgresql

Each question is asked by turns: as GetLineageSubgraph, which gives ids and edges at once; as a Walk with ids
only, read to its end; and as the first page of a Walk with full nodes and its contexts, which should not
depend on the size of the answer.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import backends
import grpc
import processes
import stores
from steps import number_of

sys.path.insert(0, str(processes.ROOT / "src"))

from headwater.v1 import lineage_pb2 as lp
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc
from headwater.wire import METHODS

ROUNDS = 25
_Options = pb.LineageSubgraphQueryOptions


def questions(layout: stores.Layout) -> dict[str, tuple[int, bool]]:
    """Artifact and whether it is walked downstream, by what the question is about."""
    run = layout.runs // 2
    return {
        "a model, upstream": (layout.run_artifact(run, stores.MODEL), False),
        "a chain of 100 hops, upstream": (layout.chain_artifact(0, stores.CHAIN_STEPS), False),
        "a layered graph, upstream": (layout.layer_artifact(layout.layers, 0), False),
        "a data set of a tenth of all runs, downstream": (layout.raw_dataset(0), True),
    }


def ways(channel: grpc.Channel, artifact: int, downstream: bool) -> dict[str, Callable[[], int]]:
    """Each way to ask, which gives the number of nodes."""
    method = METHODS["GetLineageSubgraph"]
    ask = channel.unary_unary(
        method.path, method.request_class.SerializeToString, method.response_class.FromString
    )
    walk = METHODS["Walk"]
    stream = channel.unary_stream(
        walk.path, walk.request_class.SerializeToString, walk.response_class.FromString
    )
    options = _Options(
        direction=_Options.DOWNSTREAM if downstream else _Options.UPSTREAM,
        max_num_hops=100,
        starting_artifacts=_Options.StartingNodes(filter_query=f"id = {artifact}"),
    )
    subgraph = rpc.GetLineageSubgraphRequest(lineage_subgraph_query_options=options)
    subgraph.read_mask.paths.extend(["artifacts", "executions", "events"])
    direction = lp.DOWNSTREAM if downstream else lp.UPSTREAM
    start = lp.StartingNodes(artifact_ids=[artifact])
    whole = lp.WalkRequest(start=start, direction=direction, max_hops=100, page_size=1_000, ids_only=True)
    pages = lp.WalkRequest(start=start, direction=direction, max_hops=100)

    def as_subgraph() -> int:
        answer = ask(subgraph).lineage_subgraph
        return len(answer.artifacts) + len(answer.executions)

    def as_walk() -> int:
        return sum(len(page.nodes) for page in stream(whole))

    def first_page() -> int:
        answer = stream(pages)
        nodes = len(next(iter(answer)).nodes)
        answer.cancel()
        return nodes

    return {"GetLineageSubgraph": as_subgraph, "Walk": as_walk, "first page": first_page}


def measure(layout: stores.Layout, backend: backends.Backend, log: Path) -> list[dict[str, object]]:
    """Milliseconds of each way for each question, and how long a Walk takes beside GetLineageSubgraph."""
    server = processes.start_headwater(backend.build(layout, "headwater"), log)
    results = []
    try:
        with grpc.insecure_channel(server.target, [("grpc.max_receive_message_length", -1)]) as channel:
            for name, (artifact, downstream) in questions(layout).items():
                asked = ways(channel, artifact, downstream)
                took: dict[str, list[float]] = {way: [] for way in asked}
                nodes = {way: ask() for way, ask in asked.items()}
                assert nodes["Walk"] == nodes["GetLineageSubgraph"], nodes
                for turn in range(ROUNDS):
                    order = list(asked)[turn % 3 :] + list(asked)[: turn % 3]
                    for way in order:
                        began = time.perf_counter()
                        asked[way]()
                        took[way].append((time.perf_counter() - began) * 1_000)
                ratios = [
                    one / other for one, other in zip(took["Walk"], took["GetLineageSubgraph"], strict=True)
                ]
                results.append(
                    {
                        "store": layout.nodes,
                        "question": name,
                        "nodes": nodes["Walk"],
                        "ms": {way: round(statistics.median(values), 2) for way, values in took.items()},
                        "walk_by_subgraph": round(statistics.median(ratios), 2),
                    }
                )
    finally:
        server.stop()
    return results


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", default="100k", help="sizes of the store, such as 100k,1M")
    parser.add_argument("--backend", choices=backends.BACKENDS, default="sqlite")
    parser.add_argument("--postgresql-url", default=backends.DEFAULT_POSTGRESQL_URL)
    parser.add_argument("--mysql-url", default=backends.DEFAULT_MYSQL_URL)
    parser.add_argument("--cache", type=Path, default=processes.default_cache())
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    backend = backends.backend_for(arguments.backend, arguments)
    for size in map(number_of, arguments.nodes.split(",")):
        for result in measure(stores.Layout(size), backend, arguments.cache / "walks.log"):
            print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
