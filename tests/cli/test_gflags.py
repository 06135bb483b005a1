"""The spellings of gflags: what reaches a command, and what is refused."""

import json

import click
import pytest
from click.testing import CliRunner

from headwater.cli.gflags import GflagsCommand


@click.command(cls=GflagsCommand)
@click.option("--grpc_port", type=int)
@click.option("--mysql_user")
@click.option("--mysql_password", hide_input=True)
@click.option("--enable_upgrade", type=bool)
@click.option("--stop-grace-s", type=float)
def command(**flags):
    """Says what it was told."""
    click.echo(json.dumps({name: value for name, value in flags.items() if value is not None}))


def run(*arguments, **options):
    return CliRunner().invoke(command, arguments, **options)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--grpc_port=9"], {"grpc_port": 9}),
        (["--grpc_port", "9"], {"grpc_port": 9}),
        (["-grpc_port=9"], {"grpc_port": 9}),
        (["-grpc_port", "9"], {"grpc_port": 9}),
        (["--grpc-port=9"], {"grpc_port": 9}),
        (["--grpc_port=9", "--grpc_port=10"], {"grpc_port": 10}),
        (["--stop-grace-s=2"], {"stop_grace_s": 2.0}),
        (["--stop_grace_s", "2"], {"stop_grace_s": 2.0}),
        (["--enable_upgrade"], {"enable_upgrade": True}),
        (["-enable-upgrade"], {"enable_upgrade": True}),
        (["--enable_upgrade=true"], {"enable_upgrade": True}),
        (["--enable_upgrade=1"], {"enable_upgrade": True}),
        (["--enable_upgrade=y"], {"enable_upgrade": True}),
        (["--enable_upgrade=false"], {"enable_upgrade": False}),
        (["--enable_upgrade", "--noenable_upgrade"], {"enable_upgrade": False}),
        (["--noenable_upgrade", "--enable_upgrade=t"], {"enable_upgrade": True}),
        (["--enable_upgrade", "--grpc_port=9"], {"enable_upgrade": True, "grpc_port": 9}),
        (["--mysql_password="], {"mysql_password": ""}),
        (["--mysql_password=a=b --c"], {"mysql_password": "a=b --c"}),
        (["--mysql_password", "-p4ss"], {"mysql_password": "-p4ss"}),
        (["--mysql_password=$(PLAIN)"], {"mysql_password": "$(PLAIN)"}),
        (["--logtostderr", "-v=1", "--minloglevel", "0", "--nologtostderr"], {}),
        (["--undefok=foo,bar", "--foo", "--nobar", "--bar=1", "--grpc_port=9"], {"grpc_port": 9}),
        (["--foo=1", "--undefok=foo"], {}),
    ],
)
def test_a_spelling_is_understood(arguments, told):
    result = run(*arguments)

    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--grcp_port=9"], "unknown flag --grcp_port; did you mean --grpc_port?"),
        (["--zzz"], "unknown flag --zzz; --help lists the flags"),
        (["--nogrpc_port"], "unknown flag --nogrpc_port"),
        (["--noenable_upgrade=true"], "write --noenable_upgrade or --enable_upgrade=false"),
        (["--enable_upgrade", "false"], "write booleans as --flag=false"),
        (["--grpc_port"], "the flag --grpc_port has no value"),
        (["--mysql_password", "--mysql_user=root"], "for an empty one write --mysql_password="),
        (["--mysql_user=$(DBCONFIG_USER)"], "Kubernetes did not fill in"),
        (["--grpc_port=nine"], "not a valid integer"),
        (["--enable_upgrade=maybe"], "not a valid boolean"),
        (["--fromenv=mysql_password"], "the environment has no FLAGS_mysql_password"),
        (["--flagfile=/nowhere"], "cannot read the flag file '/nowhere': No such file"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_advice(arguments, message):
    result = run(*arguments)

    assert result.exit_code == 2
    assert message in result.stderr.replace("\n", " ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--mysql_password=pass", "t0psecret"],
        ["--mysql_pasword=t0psecret"],
        ["--enable_upgrade", "t0psecret"],
    ],
    ids=["cut off from its flag", "misspelt flag", "after a boolean"],
)
def test_a_password_in_the_wrong_place_is_not_repeated(arguments):
    result = run(*arguments)

    assert result.exit_code == 2
    assert "t0psecret" not in result.output


def test_flags_come_from_the_environment_in_the_place_of_fromenv():
    environment = {"FLAGS_mysql_password": "t0psecret", "FLAGS_grpc_port": "9"}

    result = run(
        "--fromenv=mysql_password,grpc_port", "--tryfromenv=mysql_user", "--grpc_port=10", env=environment
    )

    assert json.loads(result.stdout) == {"mysql_password": "t0psecret", "grpc_port": 10}


def test_a_flag_file_holds_flags_a_line_and_may_name_another(tmp_path):
    inner, outer = tmp_path / "inner", tmp_path / "outer"
    inner.write_text("-enable_upgrade\n")
    outer.write_text(f"# of the team\n\n  --mysql_user=root  \n--flagfile={inner}\n")

    result = run(f"--flagfile={outer}")

    assert json.loads(result.stdout) == {"mysql_user": "root", "enable_upgrade": True}


def test_a_flag_file_that_names_itself_is_refused(tmp_path):
    file = tmp_path / "flags"
    file.write_text(f"--flagfile={file}\n")

    assert "brings in itself" in run("--flagfile", str(file)).stderr
