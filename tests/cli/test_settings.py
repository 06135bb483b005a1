"""One name in three spellings: which wins, and what is refused."""

from headwater.config import ServerConfig

DATABASE = ("--database-url", "sqlite://")


def port_tried(result):
    """The port in the sentence about an address that cannot be listened on."""
    return result.stderr.partition("cannot listen on ")[2].partition(": ")[0]


# 192.0.2.1 is an address of documentation, which no machine has: serve names what it would have listened on.
NOWHERE = ("--host", "192.0.2.1")


def test_a_flag_wins_over_the_environment_and_that_over_the_file(run, tmp_path):
    file = tmp_path / "headwater.toml"
    file.write_text("port = 3333\n")
    from_file = ("serve", *DATABASE, *NOWHERE, "--config", file)
    environment = {"HEADWATER_PORT": "2222"}

    assert port_tried(run("serve", *DATABASE, *NOWHERE)) == f"192.0.2.1:{ServerConfig.port}"
    assert port_tried(run(*from_file)) == "192.0.2.1:3333"
    assert port_tried(run(*from_file, env=environment)) == "192.0.2.1:2222"
    assert port_tried(run(*from_file, "--port", 1111, env=environment)) == "192.0.2.1:1111"


def test_the_settings_file_may_be_named_by_the_environment(run, tmp_path):
    file = tmp_path / "headwater.toml"
    file.write_text('database_url = "sqlite://"\nhost = "192.0.2.1"\nport = 3333\n')

    assert port_tried(run("serve", env={"HEADWATER_CONFIG": str(file)})) == "192.0.2.1:3333"


def test_an_unknown_name_in_the_file_is_refused_with_the_nearest_known_one(run, tmp_path):
    file = tmp_path / "headwater.toml"
    file.write_text("prot = 3333\n")

    result = run("serve", *DATABASE, "--config", file)

    assert result.exit_code == 2
    assert f"unknown setting 'prot' in '{file}'; did you mean 'port'?" in result.stderr


def test_a_table_in_the_file_is_refused(run, tmp_path):
    file = tmp_path / "headwater.toml"
    file.write_text("[port]\nnumber = 3333\n")

    result = run("serve", *DATABASE, "--config", file)

    assert result.exit_code == 2
    assert f"the setting 'port' in '{file}' must be a text, a number or true/false" in result.stderr


def test_a_file_that_is_not_toml_is_refused(run, tmp_path):
    file = tmp_path / "headwater.toml"
    file.write_text("port: 3333\n")

    result = run("serve", *DATABASE, "--config", file)

    assert result.exit_code == 2
    assert f"cannot read the settings file '{file}'" in result.stderr


def test_a_wrong_value_is_blamed_on_the_file_or_the_variable_it_came_from(run, tmp_path):
    file = tmp_path / "headwater.toml"
    file.write_text("port = 80.5\n")

    by_file = run("serve", *DATABASE, "--config", file)
    by_environment = run("serve", *DATABASE, env={"HEADWATER_THREADS": "many"})

    assert (by_file.exit_code, by_environment.exit_code) == (2, 2)
    assert f"Invalid value for port in {file}: '80.5' is not a valid integer" in by_file.stderr
    assert "Invalid value for HEADWATER_THREADS: 'many' is not a valid integer" in by_environment.stderr


def test_the_variable_that_kubernetes_sets_for_a_service_named_headwater_is_explained(run):
    result = run("serve", *DATABASE, env={"HEADWATER_PORT": "tcp://10.3.240.1:8080"})

    assert result.exit_code == 2
    assert "set enableServiceLinks to false in the pod, or give --port" in " ".join(result.stderr.split())


def test_serve_without_a_database_url_is_wrong_usage(run):
    result = run("serve")

    assert result.exit_code == 2
    assert "Missing option '--database-url'" in result.stderr
