"""How often a step waits for a database that is some milliseconds away; and what grows with what."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import sqlalchemy as sa
from databases import empty_store, server_of
from faults.injection import FaultyDatabase, Plan, faulty_database
from pipelines.asking import Steps, end, end_as_hit, made, step, used
from proxies import Proxy
from support import Connect

from headwater.embedded import EmbeddedTransport
from headwater.storage import schema
from headwater.storage.opening import open_database
from headwater.v1 import pipelines_pb2 as pp

ON_SERVERS = pytest.mark.backends("postgresql", "mysql")
DELAY_MS = 5
METRICS = [
    *(pp.Metric(name=f"scalar {number}", value=number) for number in range(20)),
    *(pp.Metric(name="loss", value=number, step=number) for number in range(20)),
]


class Away(Steps):
    """A store whose database is away. It was used before, so that its types are known."""

    def __init__(self, url: str, proxy: Proxy) -> None:
        self.database = open_database(proxy.url(url), connections=1)
        super().__init__(EmbeddedTransport(self.database).call)
        self._proxy = proxy
        for lr in (1, 2):
            self.computed("warm", lr=lr, run="warm", outputs=[made(type=type_) for type_ in ("Model",)])

    def trips(self, name: str, request: Any) -> tuple[int, Any]:
        self._proxy.delay_ms = DELAY_MS
        before = self._proxy.round_trips
        answer = self.call(name, request)
        after = self._proxy.round_trips
        self._proxy.delay_ms = 0
        return after - before, answer


@pytest.fixture
def away(backend: str) -> Iterator[Away]:
    server = server_of(backend)
    with empty_store(backend) as url, Proxy(f"{server.host}:{server.port}") as proxy:
        away = Away(url, proxy)
        yield away
        away.database.close()


def outputs(count: int = 3) -> list[pp.StepOutput]:
    return [made(f"output {number}", type="Model", metrics={"auc": 1}) for number in range(count)]


def inputs(count: int) -> list[pp.StepInput]:
    return [used(f"table {number}") for number in range(count)]


@ON_SERVERS
def test_the_first_step_of_a_run_takes_three_round_trips_and_a_later_one_two(away: Away) -> None:
    first, second, third = (step(name, inputs=inputs(3)) for name in ("one", "two", "three"))
    other = step("four", inputs=[used("new")])

    assert away.trips("BeginStep", first)[0] <= 3
    assert away.trips("BeginStep", second)[0] <= 2
    assert away.trips("BeginStep", other)[0] <= 3
    away.finish(end(first, outputs=outputs()))
    assert away.trips("BeginStep", third)[0] <= 2


@ON_SERVERS
def test_a_step_that_was_tried_before_or_is_missed_takes_no_more(away: Away) -> None:
    for attempt, lr in enumerate((1, 1, 1, 2), start=1):
        request = step(lr=lr)
        trips, answer = away.trips("BeginStep", request)
        assert (answer.decision, answer.attempt) == (pp.RUN, attempt)
        assert trips <= 3
        away.finish(end(request, state=pp.COMPLETE if attempt == 3 else pp.FAILED))


@ON_SERVERS
@pytest.mark.parametrize(
    "finish",
    [
        {"outputs": outputs(), "metrics": METRICS, "usage": {"cpu_seconds": 1}},
        {"state": pp.FAILED, "error": "broken"},
        {"outputs": []},
    ],
    ids=["complete", "failed", "nothing left"],
)
def test_the_end_of_a_step_takes_three_round_trips(finish: dict[str, Any], away: Away) -> None:
    request = step(inputs=inputs(3))
    away.begin(request)

    assert away.trips("FinishStep", end(request, **finish))[0] <= 3


@ON_SERVERS
def test_a_hit_takes_two_round_trips_and_to_take_it_three(away: Away) -> None:
    away.computed(inputs=inputs(3), outputs=outputs())
    for run in ("tuesday", "wednesday"):
        request = step(run=run, inputs=inputs(3))
        trips, hit = away.trips("BeginStep", request)
        assert (hit.decision, trips) == (pp.HIT, 2)
        assert away.trips("FinishStep", end_as_hit(request, hit))[0] <= 3


@ON_SERVERS
def test_to_wait_takes_three_round_trips(away: Away) -> None:
    away.begin(step())

    trips, answer = away.trips("BeginStep", step(run="tuesday"))

    # The third asks whether the run that computes it has ended without it.
    assert (answer.decision, trips) == (pp.WAIT, 3)


@ON_SERVERS
def test_a_step_that_is_recorded_afterwards_takes_three_round_trips(away: Away) -> None:
    away.start()
    request = step(inputs=inputs(3))

    assert away.trips("FinishStep", end(request, begin=request, outputs=outputs()))[0] <= 3


@ON_SERVERS
def test_a_run_takes_three_round_trips_to_open_and_four_to_close(away: Away) -> None:
    start = pp.StartRunRequest(pipeline="churn", run="monday", worker="host:1", parameters={})

    assert away.trips("StartRun", start)[0] <= 3
    close = pp.FinishRunRequest(pipeline="churn", run="monday", state=pp.COMPLETE)
    assert away.trips("FinishRun", close)[0] <= 4


@ON_SERVERS
@pytest.mark.parametrize("count", [1, 1_000])
def test_any_number_of_steps_is_looked_up_in_few_round_trips(count: int, away: Away) -> None:
    away.computed(lr=7)
    away.begin(step(lr=8))
    request = pp.LookUpStepsRequest(steps=[step(lr=number) for number in range(7, 7 + count)])

    assert away.trips("LookUpSteps", request)[0] <= 6


# Statements


@pytest.fixture
def counted(backend: str, store_url: str) -> Iterator[tuple[FaultyDatabase, Steps]]:
    """A store that counts its statements, and what talks to it."""
    with faulty_database(backend, store_url) as database:
        yield database, Steps(EmbeddedTransport(database).call)


def statements(counted: tuple[FaultyDatabase, Steps], name: str, request: Any) -> int:
    database, steps = counted
    database.plan = Plan({})
    steps.call(name, request)
    return database.plan.seen


@ON_SERVERS
def test_statements_do_not_grow_with_inputs_and_outputs(counted: tuple[FaultyDatabase, Steps]) -> None:
    _, steps = counted
    for name in ("warm", "warmer"):
        steps.computed(name, inputs=inputs(2), outputs=outputs(2))
    steps.start("tuesday")
    seen = []
    for count in (2, 200):
        request = step(f"with {count}", inputs=[used(f"of {count}: {number}") for number in range(count)])
        hit = step(f"with {count}", run="tuesday", inputs=request.inputs)
        finish = end(request, outputs=outputs(count), metrics=METRICS)
        seen.append(
            [
                statements(counted, "BeginStep", request),
                statements(counted, "FinishStep", finish),
                statements(counted, "FinishStep", end_as_hit(hit, steps.begin(hit))),
            ]
        )

    assert seen[0] == seen[1]


# Ten thousand steps

MANY = 10_000


@pytest.fixture
def file_store(file_url: str) -> Iterator[Steps]:
    """A store that others may look into: on SQLite, a file."""
    database = open_database(file_url)
    yield Steps(EmbeddedTransport(database).call)
    database.close()


@pytest.mark.backends("mysql")
def test_the_ten_thousandth_step_of_a_run_reads_no_more_than_the_first(
    backend: str, file_url: str, file_store: Steps, connect: Connect
) -> None:
    """Half of those before are attempts at the very step that is begun. Only MySQL says what it reads."""
    file_store.computed("train")
    few = rows_of_twenty_steps(backend, file_store, 1)
    record_many(connect(file_url), 1)
    many = rows_of_twenty_steps(backend, file_store, 100)

    assert many < few + 100


def rows_of_twenty_steps(backend: str, steps: Steps, first: int) -> int:
    """The rows that are read to begin and end 20 steps."""
    requests = [step("train", lr=lr) for lr in range(first, first + 20)]
    rows = rows_read(backend)
    for request in requests:
        assert steps.begin(request).decision == pp.RUN
        steps.finish(end(request))
    return rows_read(backend) - rows


def rows_read(backend: str) -> int:
    """How many rows MySQL has read since it was started, in whatever way."""
    return sum(
        int(count) for _, count in server_of(backend).execute("SHOW GLOBAL STATUS LIKE 'Handler_read%'")
    )


def record_many(connection: sa.Connection, execution_id: int) -> None:
    """Copies of an attempt in the same run, every other one at another step, with ids that nobody gets."""
    for table, column in (
        (schema.execution_table, "id"),
        (schema.execution_property_table, "node_id"),
        (schema.attempt_table, "execution_id"),
        (schema.association_table, "execution_id"),
        (schema.event_table, "execution_id"),
    ):
        rows = connection.execute(sa.select(table).where(table.c[column] == execution_id)).mappings().all()
        copies = [_copied(row, column, number) for number in range(1_000, 1_000 + MANY) for row in rows]
        for start in range(0, len(copies), 1_000):
            connection.execute(sa.insert(table), copies[start : start + 1_000])
    connection.commit()


def _copied(row: Mapping[str, Any], column: str, number: int) -> dict[str, Any]:
    copy = {**row, column: number - 2 * MANY}
    if column == "id":
        copy |= {name: f"{row[name]}#{number}" for name in ("name", "external_id")}
    else:
        copy.pop("id", None)
    if "step" in copy:
        copy |= {"number": number} if number % 2 else {"step": f"step {number}"}
    return copy
