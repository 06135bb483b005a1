"""The store is away, silent, slow, or dies: steps run all the same, in bounded time, and nothing is lost."""

import logging
import socket
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from databases import empty_store
from proxies import Proxy
from recording.seeing import attempts, ends, executions, runs

import headwater
from headwater.client.recording import File
from headwater.client.recording.breaker import Breaker
from headwater.client.recording.places import spool_directory
from headwater.client.recording.replay import replay, waiting, waiting_files
from headwater.config import ServerConfig
from headwater.errors import HeadwaterError, InvalidRequest, Unavailable
from headwater.server import Server
from headwater.v1 import pipelines_pb2 as pp


@pytest.fixture
def serving() -> Iterator[Server]:
    """A server over a store in memory."""
    with empty_store("sqlite") as url:
        server = Server(ServerConfig(url, port=0, stop_grace_s=5), private=True)
        server.start()
        yield server
        server.stop()


@pytest.fixture
def proxy(serving: Server) -> Iterator[Proxy]:
    """A line to the server that can be cut."""
    with Proxy(f"127.0.0.1:{serving.port}") as proxy:
        yield proxy


@pytest.fixture
def nowhere() -> str:
    """An address where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{taken.getsockname()[1]}"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def with_clock(client) -> Clock:
    """Let the breaker of a client go by a clock of the test's."""
    clock = Clock()
    client.recorder.breaker = Breaker(clock=clock)
    return clock


def clean(table, out):
    Path(out).write_text(Path(table).read_text())
    return File(out, type="Table")


def count(table):
    return len(Path(table).read_text())


def pipeline(run, raw, out):
    return run.call(count, run.call(clean, File(raw), str(out)))


def direct(serving, connect):
    return connect(f"127.0.0.1:{serving.port}")


def spooled(client) -> int:
    return waiting(client.recorder.spool.directory, "").records


def test_without_a_store_steps_run_and_give_the_same(connect, nowhere, raw, tmp_path, caplog):
    client = connect(nowhere)
    began = time.monotonic()
    with caplog.at_level(logging.WARNING, "headwater"):
        for _ in range(3):
            with client.run("churn") as run:
                assert pipeline(run, raw, tmp_path / "clean.csv") == 22

    assert time.monotonic() - began < 10
    (warning,) = caplog.messages
    assert f"the store {nowhere} cannot be asked (Unavailable" in warning
    assert spooled(client) == 3 * 4


def test_a_silent_store_costs_one_timeout_and_no_more(connect, proxy, raw, tmp_path, caplog):
    proxy.swallow()
    client = connect(proxy.address)
    began = time.monotonic()
    with caplog.at_level(logging.WARNING, "headwater"), client.run("churn", timeout_s=0.5) as run:
        for number in range(20):
            with run.step(f"step[{number}]", version="1") as step:
                step.output("n", value=number)

    took_s = time.monotonic() - began
    assert 0.5 <= took_s < 3
    assert len(caplog.messages) == 1
    assert spooled(client) == 22


def test_a_store_that_falls_silent_in_a_step_costs_one_timeout(connect, serving, proxy):
    client = connect(proxy.address)
    with client.run("churn", timeout_s=0.5) as run:
        with run.step("warm", version="1") as step:
            step.output("n", value=1)
        step = run.step("train", version="1").begin()
        proxy.swallow()
        began = time.monotonic()
        step.output("n", value=1)
        step.finish()
        with run.step("next", version="1") as following:
            following.output("n", value=1)
        took_s = time.monotonic() - began

    assert took_s < 2.5
    assert following.why == "the store could not be asked"


def test_what_happened_meanwhile_is_told_in_order_when_the_store_is_back(connect, proxy, raw, tmp_path):
    proxy.refuse()
    client = connect(proxy.address)
    clock = with_clock(client)
    run = client.run("churn", name="r").start()
    pipeline(run, raw, tmp_path / "clean.csv")
    assert spooled(client) == 3
    proxy.accept()
    clock.now += 100
    # gRPC takes its own time to try an address again.
    _until(lambda: _answers(client))

    with run.step("report", version="1") as step:
        step.output("n", value=1)
    run.finish()

    assert spooled(client) == 0
    assert attempts(client) == [("clean", "COMPLETE"), ("count", "COMPLETE"), ("report", "COMPLETE")]
    assert runs(client) == [("churn/r", "COMPLETE")]
    cleaned, counted = executions(client, "clean")[0], executions(client, "count")[0]
    assert ends(client, cleaned.id)["OUTPUT"]["output"] == ends(client, counted.id)["INPUT"]["table"]
    assert run.run_id is not None


def _answers(client) -> bool:
    try:
        client.list_artifact_types()
    except HeadwaterError:
        return False
    return True


def _until(condition) -> None:
    patience = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < patience
        time.sleep(0.05)


def test_outputs_learn_their_ids_when_they_are_told(connect, serving, proxy, raw, tmp_path):
    proxy.refuse()
    client = connect(proxy.address)
    clock = with_clock(client)
    run = client.run("churn", name="r").start()
    table = run.call(clean, File(raw), str(tmp_path / "clean.csv"))
    assert table.artifact_id is None
    proxy.accept()
    clock.now += 100
    _until(lambda: _answers(client))
    run.finish()

    assert client.get_artifact(table.artifact_id).uri == table.uri


def test_a_step_done_while_the_store_was_away_is_a_hit_afterwards(connect, serving, proxy, raw, tmp_path):
    proxy.refuse()
    client = connect(proxy.address)
    with client.run("churn", name="r") as run:
        pipeline(run, raw, tmp_path / "clean.csv")
    client.close()
    proxy.accept()

    other = connect(proxy.address)
    _until(lambda: _answers(other))
    done = replay(other.recorder.spool.directory, _send(other))
    assert (done.sent, done.refused) == (4, 0)
    with other.run("churn") as run:
        pipeline(run, raw, tmp_path / "clean.csv")

    assert [state for _, state in attempts(other)] == ["COMPLETE"] * 2 + ["CACHED"] * 2


def _send(client):
    from headwater.client.recording.recorder import sender

    return sender(client.transport)


def test_the_next_process_tells_what_an_earlier_one_left(connect, serving, proxy, raw, tmp_path):
    proxy.refuse()
    first = connect(proxy.address)
    with first.run("churn", name="r") as run:
        pipeline(run, raw, tmp_path / "clean.csv")
    first.close()
    proxy.accept()
    second = connect(proxy.address)
    _until(lambda: _answers(second))

    with second.run("other", name="s") as run:
        import threading

        done = threading.Event()
        run.recorder.heartbeat.do_soon(done.set)
        assert done.wait(30)

    assert sorted(attempts(second)) == [("clean", "COMPLETE"), ("count", "COMPLETE")]
    assert sorted(runs(second)) == [("churn/r", "COMPLETE"), ("other/s", "COMPLETE")]


def test_an_answer_that_was_lost_doubles_nothing(connect, serving, proxy):
    client = connect(proxy.address)
    with client.run("churn", name="r", timeout_s=2) as run:
        trap = proxy.cut_after(b"FinishStep")
        with run.step("train", version="1") as step:
            step.output("n", value=1)
        assert trap.sprung

    assert attempts(direct(serving, connect)) == [("train", "COMPLETE")]


def test_a_begin_whose_answer_was_lost_is_the_same_attempt(connect, serving, proxy):
    """The store knows the attempt, this process does not know its answer: the end finds it by its key."""
    client = connect(proxy.address, retries=0)
    clock = with_clock(client)
    with client.run("churn", name="r", timeout_s=2) as run:
        trap = proxy.cut_after(b"BeginStep")
        with run.step("train", version="1") as step:
            assert step.why == "the store could not be asked"
            assert trap.sprung
            step.output("n", value=1)
        clock.now += 100

    store = direct(serving, connect)
    _until(lambda: waiting_files(client.recorder.spool.directory) == [] or client.recorder.drain(2))
    assert attempts(store) == [("train", "COMPLETE")]


def test_a_replay_twice_doubles_nothing(connect, serving, nowhere, raw, tmp_path):
    away = connect(nowhere)
    with away.run("churn", name="r") as run:
        pipeline(run, raw, tmp_path / "clean.csv")
    away.close()
    directory = away.recorder.spool.directory
    copies = {path: path.read_bytes() for path in waiting_files(directory)}
    store = direct(serving, connect)

    for _ in range(3):
        for path, copy in copies.items():
            path.write_bytes(copy)
        done = replay(directory, _send(store))
        assert (done.refused, done.damaged, done.left) == (0, 0, 0)

    assert attempts(store) == [("clean", "COMPLETE"), ("count", "COMPLETE")]
    assert runs(store) == [("churn/r", "COMPLETE")]
    assert len(list(store.list_artifacts())) == 3


def test_a_run_that_is_strict_raises(connect, nowhere):
    client = connect(nowhere)
    with pytest.raises(Unavailable), client.run("churn", strict=True, timeout_s=1):
        raise AssertionError("the body ran")

    assert not spool_directory(nowhere).exists()


def test_a_strict_run_raises_in_mid_step(connect, serving, proxy):
    client = connect(proxy.address, retries=0)
    with (
        pytest.raises(HeadwaterError),
        client.run("churn", strict=True, timeout_s=0.5) as run,
        run.step("train") as step,
    ):
        step.output("n", value=1)
        proxy.swallow()


def test_a_strict_run_does_not_hide_the_error_of_a_step(connect, serving, proxy):
    client = connect(proxy.address, retries=0)
    with (
        pytest.raises(ZeroDivisionError),
        client.run("churn", strict=True, timeout_s=0.5) as run,
        run.step("train"),
    ):
        proxy.swallow()
        raise ZeroDivisionError


def test_the_error_of_a_step_comes_out_although_the_store_is_away(connect, nowhere):
    error = ZeroDivisionError("no data")
    with pytest.raises(ZeroDivisionError) as raised, connect(nowhere).run("churn") as run, run.step("train"):
        raise error

    assert raised.value is error


def test_wrong_use_is_said_although_the_store_is_away(connect, nowhere, tmp_path):
    client = connect(nowhere)
    with (
        client.run("churn") as run,
        pytest.raises(InvalidRequest, match="not there"),
        run.step("train", version="1") as step,
    ):
        step.output("model", tmp_path / "missing")


def test_a_store_that_is_not_one_of_ours_is_away(connect, tmp_path, caplog):
    """A server without the service of pipelines, such as ML Metadata's own."""
    from concurrent import futures

    import grpc

    server = grpc.server(futures.ThreadPoolExecutor(2))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        client = connect(f"127.0.0.1:{port}")
        with client.run("churn") as run:
            assert run.call(len, "abc") == 3
        assert "Unimplemented" in caplog.text
        assert spooled(client) == 3
    finally:
        server.stop(None).wait()


def test_what_the_store_refuses_is_set_aside_and_said(client, caplog, raw):
    with client.run("churn") as run, run.step("train", version="1") as step:
        # A type that others declared with another kind of property.
        from headwater.v1 import metadata_store_pb2 as pb

        client.put_artifact_type(pb.ArtifactType(name="Odd", properties={"digest": pb.INT}))
        step.output("model", raw, type="Odd")

    assert "the store refuses to record step 'train'" in caplog.text
    assert waiting(run.recorder.spool.directory, "").refused == 1


def test_numbers_are_kept_while_the_store_is_away(connect, nowhere, serving):
    away = connect(nowhere)
    with away.run("churn", name="r") as run, run.step("train") as step:
        for epoch in range(6_000):
            step.metric("loss", 1.0, step=epoch)
    away.close()
    store = direct(serving, connect)
    replay(away.recorder.spool.directory, _send(store))

    request = pp.GetMetricsRequest(execution_ids=[executions(store, "train")[0].id])
    (series,) = store._ask(request, pp.GetMetricsResponse).series
    assert (series.name, series.count) == ("loss", 6_000)


def test_a_full_spool_loses_aloud_and_nothing_else_breaks(connect, nowhere, monkeypatch, caplog):
    monkeypatch.setenv("HEADWATER_SPOOL_MAX_MB", "1")
    client = connect(nowhere)
    with client.run("churn") as run:
        for number in range(30):
            with run.step(f"step[{number}]", params={"text": "x" * 8000, "more": "y" * 8000}) as step:
                step.output("n", value="z" * 30_000)

    assert client.recorder.spool.lost > 0
    assert "lost so far in this process" in caplog.text


def test_a_database_that_cannot_be_opened_any_more_is_away(connect, tmp_path, raw):
    client = connect(f"sqlite:///{tmp_path}/lineage.db")
    with client.run("churn") as run:
        run.call(count, File(raw))
        client.transport.close()
        assert run.call(count, File(raw)) == 22

    assert spooled(client) == 2


@pytest.mark.backends("postgresql", "mysql")
def test_a_database_server_that_falls_silent_costs_one_timeout(database_url, connect):
    server = urlsplit(database_url)
    with Proxy(f"{server.hostname}:{server.port}") as proxy:
        client = connect(proxy.url(database_url))
        with client.run("churn", timeout_s=1) as run:
            run.call(len, "abc")
            proxy.swallow()
            began = time.monotonic()
            for number in range(5):
                with run.step(f"step[{number}]", version="1") as step:
                    step.output("n", value=number)
            took_s = time.monotonic() - began
            proxy.cut()

    assert took_s < 3
    assert spooled(client) == 5 + 1


def test_telling_the_spool_slows_no_step(connect, serving, proxy):
    proxy.refuse()
    client = connect(proxy.address)
    clock = with_clock(client)
    with client.run("churn", name="r", timeout_s=2) as run:
        for number in range(300):
            with run.step(f"step[{number}]", version="1") as step:
                step.output("n", value=number)
        proxy.accept()
        proxy.delay_ms = 5  # 300 records take seconds.

        def is_back() -> bool:
            clock.now += 100  # The channel, too, waits a moment before it connects again.
            client.recorder.drain(0.2)
            return not client.recorder.breaker.is_open

        _until(is_back)
        assert not client.recorder.spool.is_empty
        took_s = []
        for number in range(300, 305):
            began = time.monotonic()
            with run.step(f"step[{number}]", version="1") as step:
                step.output("n", value=number)
            took_s.append(time.monotonic() - began)

    def is_told() -> bool:
        clock.now += 100
        return client.recorder.drain(2)

    _until(is_told)
    assert max(took_s) < 0.5
    assert len(attempts(direct(serving, connect))) == 305


def test_a_store_that_answers_slowly_is_left_alone(connect, serving, proxy):
    client = connect(proxy.address)
    with_clock(client)
    with client.run("churn", name="r", timeout_s=2) as run:
        proxy.delay_ms = 600
        for number in range(2):
            with run.step(f"step[{number}]", version="1") as step:
                step.output("n", value=number)
        assert client.recorder.breaker.is_open
        proxy.delay_ms = 0


def tell_all(client, clock) -> None:
    """Wait until the spool is told."""

    def is_told() -> bool:
        clock.now += 100  # Whatever the breaker waits for.
        return client.recorder.drain(5)

    _until(is_told)


class Thing:
    """An object that no record can hold."""


def test_an_object_of_a_step_without_fingerprint_is_an_input_although_the_store_is_away(
    connect, serving, proxy
):
    proxy.refuse()
    client = connect(proxy.address)
    clock = with_clock(client)
    with client.run("churn", name="r") as run:
        with run.step("load") as load:
            thing = load.output("thing", value=Thing())
        with run.step("use", inputs={"thing": thing}, version="1") as use:
            use.output("n", value=1)
        assert use.fingerprint == ""
    proxy.accept()
    tell_all(client, clock)

    store = direct(serving, connect)
    assert attempts(store) == [("load", "COMPLETE"), ("use", "COMPLETE")]
    loaded, used = executions(store, "load") + executions(store, "use")
    assert ends(store, used.id)["INPUT"] == ends(store, loaded.id)["OUTPUT"]
    # Nobody knows what it was, so nobody hits who read it.
    with store.run("churn") as run, run.step("use", inputs={"thing": thing}, version="1") as again:
        again.output("n", value=1)
    assert not again.is_hit
    assert "input 'thing' has neither digest nor component" in again.why


def test_an_object_of_a_step_that_was_begun_before_the_store_went_away_is_found(connect, serving, proxy):
    client = connect(proxy.address)
    clock = with_clock(client)
    with client.run("churn", name="r") as run:
        with run.step("load") as load:
            thing = load.output("thing", value=Thing())
            proxy.refuse()
            proxy.cut()
        with run.step("use", inputs={"thing": thing}, version="1") as use:
            use.output("n", value=1)
    proxy.accept()
    tell_all(client, clock)

    store = direct(serving, connect)
    loaded, used = executions(store, "load") + executions(store, "use")
    assert ends(store, used.id)["INPUT"] == ends(store, loaded.id)["OUTPUT"]


@pytest.mark.parametrize("version", ["1", None], ids=["with fingerprint", "without fingerprint"])
def test_a_plain_value_that_was_made_while_the_store_was_away_is_the_input_that_it_was(
    connect, serving, proxy, version
):
    proxy.refuse()
    client = connect(proxy.address)
    clock = with_clock(client)
    with client.run("churn", name="r") as run:
        with run.step("load", version=version) as load:
            number = load.output("number", value=7)
        with run.step("use", inputs={"number": number}, version="1") as use:
            use.output("n", value=1)
    proxy.accept()
    tell_all(client, clock)

    store = direct(serving, connect)
    loaded, used = executions(store, "load") + executions(store, "use")
    assert ends(store, used.id)["INPUT"] == ends(store, loaded.id)["OUTPUT"]
    with store.run("churn") as run, run.step("use", inputs={"number": number}, version="1") as again:
        assert again.is_hit


def test_what_a_run_says_after_it_was_ended_for_it_counts(connect, serving, proxy):
    client = connect(proxy.address)
    clock = with_clock(client)
    store = direct(serving, connect)
    with client.run("churn", name="r") as run, run.step("load", version="1") as load:
        load.output("n", value=1)
        proxy.refuse()
        proxy.cut()
    store.end_run("churn", "r", error="its process was killed")
    ended = store.get_run("churn/r")
    assert (ended.state, ended.error) == (
        "FAILED",
        "its process was killed, so the run was closed; resume it to go on",
    )
    assert attempts(store) == [("load", "FAILED")]
    proxy.accept()
    tell_all(client, clock)

    told = store.get_run("churn/r")
    assert (told.state, told.error) == ("COMPLETE", "")
    assert attempts(store) == [("load", "COMPLETE")]
    assert not list(client.recorder.spool.directory.rglob("refused"))
    with store.run("churn") as run, run.step("load", version="1") as again:
        assert again.is_hit


@pytest.mark.backends("postgresql", "mysql")
def test_a_run_over_a_database_that_is_away_is_told_to_it_when_it_comes(database_url, raw, tmp_path, caplog):
    server = urlsplit(database_url)
    with Proxy(f"{server.hostname}:{server.port}") as proxy:
        proxy.refuse()
        with pytest.raises(Unavailable):
            headwater.connect(proxy.url(database_url))
        with headwater.connect(proxy.url(database_url), lazy=True) as client:
            clock = with_clock(client)
            with caplog.at_level(logging.WARNING, "headwater"), client.run("churn", name="r") as run:
                assert pipeline(run, raw, tmp_path / "clean.csv") == 22
            (warning,) = caplog.messages
            assert "cannot be asked (Unavailable" in warning
            with pytest.raises(Unavailable):
                list(client.runs())
            assert spooled(client) == 4
            proxy.accept()
            tell_all(client, clock)

            assert attempts(client) == [("clean", "COMPLETE"), ("count", "COMPLETE")]
            assert runs(client) == [("churn/r", "COMPLETE")]


@pytest.mark.backends("postgresql", "mysql")
def test_the_next_process_tells_a_database_that_was_away_what_an_earlier_one_left(
    database_url, raw, tmp_path
):
    server = urlsplit(database_url)
    with Proxy(f"{server.hostname}:{server.port}") as proxy:
        proxy.refuse()
        with (
            headwater.connect(proxy.url(database_url), lazy=True) as client,
            client.run("churn", name="r") as run,
        ):
            pipeline(run, raw, tmp_path / "clean.csv")
        proxy.accept()
        with headwater.connect(proxy.url(database_url), lazy=True) as client:
            with client.run("churn", name="next") as run:
                pipeline(run, raw, tmp_path / "clean.csv")
            _until(lambda: len(attempts(client)) == 4)
            assert sorted(runs(client)) == [("churn/next", "COMPLETE"), ("churn/r", "COMPLETE")]


def test_a_database_that_cannot_be_opened_costs_one_timeout(tmp_path, raw):
    path = tmp_path / "lineage.db"
    headwater.connect(f"sqlite:///{path}").close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA locking_mode=EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    with headwater.connect(f"sqlite:///{path}", lazy=True) as client:
        clock = with_clock(client)
        began = time.monotonic()
        with client.run("churn", timeout_s=0.5) as run:
            assert pipeline(run, raw, tmp_path / "clean.csv") == 22
        took_s = time.monotonic() - began
        other.close()

        assert took_s < 3
        tell_all(client, clock)
        assert runs(client) == [(f"churn/{run.name}", "COMPLETE")]


def test_a_database_that_is_refused_is_away_to_runs_until_it_is_mended(tmp_path, raw, caplog):
    path = tmp_path / "absent" / "lineage.db"
    with headwater.connect(f"sqlite:///{path}", lazy=True) as client:
        clock = with_clock(client)
        with caplog.at_level(logging.WARNING, "headwater"), client.run("churn") as run:
            assert pipeline(run, raw, tmp_path / "clean.csv") == 22
        (warning,) = caplog.messages
        assert "does not exist; create it first" in warning
        path.parent.mkdir()
        tell_all(client, clock)

        assert runs(client) == [(f"churn/{run.name}", "COMPLETE")]


def test_what_is_no_database_is_refused_at_once_also_where_it_is_opened_later():
    with pytest.raises(InvalidRequest, match="not supported"):
        headwater.connect("oracle://host/db", lazy=True)
