"""Where the store is: which of target and database wins, over gRPC, over TLS, and what is refused."""

import json

import trustme


def types_at(run, *arguments, **options):
    """The names of the types of artifacts that a store has."""
    result = run("type", "list", "--kind", "artifact", "--json", *arguments, **options)
    assert result.exit_code == 0, result.output
    return [found["name"] for found in json.loads(result.stdout)]


TAXI_TYPES = ["Dataset", "Model", "Report"]


def test_a_server_and_its_database_answer_the_same(run, serve, taxi):
    server = serve("--database-url", taxi.url)
    asked = ("lineage", "up", taxi.report, "--json")

    by_server = run(*asked, "--target", server.address)
    by_database = run(*asked, "--database-url", taxi.url)

    assert types_at(run, "--target", server.address) == TAXI_TYPES
    assert (by_server.exit_code, by_database.exit_code) == (0, 0)
    assert json.loads(by_server.stdout) == json.loads(by_database.stdout)


def test_the_environment_and_the_file_say_where_the_store_is_too(run, taxi, tmp_path):
    file = tmp_path / "headwater.toml"
    file.write_text(f'database_url = "{taxi.url}"\nport = 9090\n')

    assert types_at(run, env={"HEADWATER_TARGET": taxi.url}) == TAXI_TYPES
    assert types_at(run, env={"HEADWATER_DATABASE_URL": taxi.url}) == TAXI_TYPES
    assert types_at(run, "--config", file) == TAXI_TYPES


def test_a_database_named_by_a_flag_wins_over_a_target_of_the_environment(run, taxi):
    nowhere = {"HEADWATER_TARGET": "localhost:1"}

    assert types_at(run, "--database-url", taxi.url, env=nowhere) == TAXI_TYPES


def test_a_target_wins_over_a_database_from_the_same_place(run, taxi):
    both = {"HEADWATER_TARGET": taxi.url, "HEADWATER_DATABASE_URL": "sqlite:////none/store.db"}

    assert types_at(run, env=both) == TAXI_TYPES


def test_two_flags_that_say_where_the_store_is_are_wrong_usage(run, taxi):
    result = run("type", "list", "--target", "localhost:1", "--database-url", taxi.url)

    assert result.exit_code == 2
    assert "give --target or --database-url, not both" in result.stderr


def test_a_command_that_is_not_told_where_the_store_is_says_how_to(run):
    result = run("artifact", "list")

    assert result.exit_code == 2
    assert "say where the store is: --target HOST:PORT (or HEADWATER_TARGET)" in result.stderr


def test_asking_a_database_that_is_not_there_makes_none(run, tmp_path):
    result = run("artifact", "list", "--target", f"sqlite:///{tmp_path}/none.db")

    assert result.exit_code == 1
    assert "'headwater db init' or 'headwater serve' makes one" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_not_there_is_named(run):
    result = run("artifact", "list", "--target", "localhost:1")

    assert result.exit_code == 1
    assert result.stderr.startswith("Error: the store at localhost:1 cannot be reached: ")


def test_a_server_with_mutual_tls_is_asked_with_the_three_files(run, serve, taxi, tmp_path):
    authority = trustme.CA()
    server, client = authority.issue_cert("localhost"), authority.issue_cert("somebody@example.org")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    for name, certificate in (("server", server), ("client", client)):
        certificate.private_key_pem.write_to_path(str(tmp_path / f"{name}.key"))
        certificate.cert_chain_pems[0].write_to_path(str(tmp_path / f"{name}.pem"))
    serving = serve(
        *("--database-url", taxi.url),
        *("--tls-cert-file", tmp_path / "server.pem"),
        *("--tls-key-file", tmp_path / "server.key"),
        *("--tls-client-ca-file", tmp_path / "ca.pem"),
    )
    target = ("--target", f"localhost:{serving.address.rpartition(':')[2]}", "--ca-file", tmp_path / "ca.pem")

    found = types_at(
        run, *target, "--cert-file", tmp_path / "client.pem", "--key-file", tmp_path / "client.key"
    )
    without = run("type", "list", *target)

    assert found == TAXI_TYPES
    assert without.exit_code == 1
