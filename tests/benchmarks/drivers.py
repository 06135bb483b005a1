"""mysqlclient beside PyMySQL: headwater in process, the same requests in turns, each on a copy of one store.

    python tests/benchmarks/drivers.py --nodes 10k

needs an interpreter with both drivers, and with MLMD's engine (``make peers``) shows its times too. The
store is left on the server for the next run.
"""

import argparse
import contextlib
import statistics
import tempfile
from pathlib import Path

import answers
import backends
import measuring
import operations
import processes
import sides
from on_mysql import Mysql
from stores import Layout

DRIVERS = ("mysqldb", "pymysql")
OPERATIONS = ",".join(
    (
        "put_execution_hook",
        "put_artifacts_1000",
        "put_lineage_100",
        "get_artifacts_by_id_1",
        "get_artifacts_by_id_100",
        "list_by_update_time_first",
        "page_of_a_large_context",
        "lineage_chain_100",
    )
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=backends.parse_size, default=10_000, help="default 10k")
    parser.add_argument("--mysql-url", default=backends.DEFAULT_MYSQL_URL, help="default %(default)s")
    parser.add_argument("--operations", default=OPERATIONS, help="comma-separated globs")
    parser.add_argument("--repeat", type=int, default=200, help="calls of an operation, default %(default)s")
    parser.add_argument("--seconds", type=float, default=5, help="of an operation, default %(default)s")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as opened:
        backend, layout = Mysql(arguments.mysql_url), Layout(arguments.nodes)
        directory = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="headwater-drivers-")))
        taking_part = [_open(name, backend, layout, directory, opened) for name in DRIVERS]
        with contextlib.suppress(processes.NotAvailable):
            processes.peers_python()
            taking_part.append(_open("engine", backend, layout, directory, opened))
        print(f"{backend.version()}, {arguments.nodes} nodes; milliseconds a call, and their quotients")
        names = [side.name for side in taking_part]
        print(f"{'':28}{''.join(f'{name:>10}' for name in names)}   pymysql/mysqldb")
        for operation in operations.matching(arguments.operations):
            result = measuring.measure(
                operation, layout, taking_part, repeat=arguments.repeat, seconds=arguments.seconds
            )
            medians = [
                {name: statistics.median(own) for name, own in each.items()} for each in result["rounds"]
            ]
            times = "".join(
                f"{statistics.median(one[name] for one in medians) / 1000:10.2f}" for name in names
            )
            ratio = statistics.median(one["pymysql"] / one["mysqldb"] for one in medians)
            different = [name for name, verdict in result["answers"].items() if verdict == answers.DIFFERENT]
            print(
                f"{operation.name:28}{times}   {ratio:.2f}{' ANSWERS DIFFER' if different else ''}",
                flush=True,
            )


def _open(
    name: str, backend: Mysql, layout: Layout, directory: Path, opened: contextlib.ExitStack
) -> sides.Side:
    """A process that answers with the driver ``name``, or MLMD's engine."""
    store = backend.build(layout, "mlmd" if name == "engine" else "headwater")
    database = backend.copy(store, f"{directory.name.replace('-', '_')}_{name}")
    opened.callback(backend.drop, database)
    url = database if name == "engine" else database.replace("mysql://", f"mysql+{name}://", 1)
    side = sides.InProcess(name, sides.Place(database, url), log=directory / f"{name}.log")
    opened.callback(side.close)
    return side


if __name__ == "__main__":
    main()
