"""From the flags of ML Metadata's server to one ``MetadataStoreServerConfig``, as the original makes it."""

import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headwater.errors import InvalidRequest

if TYPE_CHECKING:
    from headwater.v1 import metadata_store_pb2 as pb

log = logging.getLogger(__name__)

SOURCES = ("default", "config_file", "mysql", "postgresql")
"""The values of --metadata_source_config_type."""

_INT32 = range(-(2**31), 2**31)
_WHERE = re.compile(r"(\d+):(\d+) ?:")


def grpc_options_of(text: str) -> tuple[tuple[str, int | str], ...]:
    """The arguments of gRPC's server in ``name=value,...``; a value that is a whole number is one.

    Raises:
        click.UsageError: an argument without name or value, or a number that gRPC cannot take.
    """
    options: list[tuple[str, int | str]] = []
    for argument in filter(None, text.split(",")):
        name, equals, value = argument.partition("=")
        if not name or not equals:
            raise click.UsageError(
                f"--grpc_channel_arguments: {argument!r} is not NAME=VALUE; write for example "
                "grpc.max_receive_message_length=104857600"
            )
        if not re.fullmatch(r"[+-]?\d+", value):
            options.append((name, value))
        elif int(value) in _INT32:
            options.append((name, int(value)))
        else:
            raise click.UsageError(
                f"--grpc_channel_arguments: {name} is {value}, and gRPC takes numbers from "
                f"{_INT32[0]} to {_INT32[-1]}; -1 is no limit for the lengths of messages"
            )
    return tuple(options)


def wanted_by(flags: dict[str, Any]) -> "pb.MetadataStoreServerConfig":
    """What the flags ask for, in the order of precedence of the original.

    Raises:
        click.UsageError: the flags contradict each other, or one is missing.
        InvalidRequest: the configuration file cannot be read, and must be used.
    """
    from headwater.v1 import metadata_store_pb2 as pb

    source = flags["metadata_source_config_type"]
    file = flags["metadata_store_server_config_file"]
    if source == "config_file":
        if not file:
            raise click.UsageError(
                "--metadata_source_config_type=config_file needs --metadata_store_server_config_file"
            )
        return _in_file(file)
    if source == "postgresql":
        return pb.MetadataStoreServerConfig(connection_config=_postgresql(flags))
    if source == "default" and file:
        try:
            return _in_file(file)
        except InvalidRequest as error:
            log.warning("the configuration file is passed over", extra={"reason": str(error)})
    if source == "mysql" or any(flags[f"mysql_config_{name}"] for name in ("host", "port", "database")):
        return pb.MetadataStoreServerConfig(connection_config=_mysql(flags))
    log.warning(
        "no flag says where the database is: the store is in memory and is lost when the server ends",
        extra={"postgres_flags": "ignored without --metadata_source_config_type=postgresql"}
        if flags["postgres_config_host"] or flags["postgres_config_hostaddr"]
        else {},
    )
    return pb.MetadataStoreServerConfig(
        connection_config=pb.ConnectionConfig(fake_database=pb.FakeDatabaseConfig())
    )


def _in_file(name: str) -> "pb.MetadataStoreServerConfig":
    """The configuration in a file.

    Raises:
        InvalidRequest: it cannot be read. What stands there is not repeated: it may be a password.
    """
    from google.protobuf import text_format

    from headwater.v1 import metadata_store_pb2 as pb

    try:
        return text_format.Parse(Path(name).read_bytes(), pb.MetadataStoreServerConfig())
    except OSError as error:
        raise InvalidRequest(f"cannot read the configuration file {name!r}: {error.strerror}") from None
    except (text_format.ParseError, UnicodeDecodeError) as error:
        where = _WHERE.match(str(error))
        at = f" at line {where[1]}, column {where[2]}" if where else ""
        raise InvalidRequest(
            f"the configuration file {name!r} is no MetadataStoreServerConfig in protobuf's text format{at}"
        ) from None


def _mysql(flags: dict[str, Any]) -> "pb.ConnectionConfig":
    from headwater.v1 import metadata_store_pb2 as pb

    names = ("host", "port", "database", "user", "password")
    given = {name: flags[f"mysql_config_{name}"] for name in names}
    _require(given, "mysql_config_", ("host", "database"))
    return pb.ConnectionConfig(mysql=pb.MySQLDatabaseConfig(**{k: v for k, v in given.items() if v}))


def _postgresql(flags: dict[str, Any]) -> "pb.ConnectionConfig":
    from headwater.v1 import metadata_store_pb2 as pb

    prefix = "postgres_config_"
    given = {name.removeprefix(prefix): value for name, value in flags.items() if name.startswith(prefix)}
    given = {name: value for name, value in given.items() if value}
    if ("host" in given) == ("hostaddr" in given):
        raise click.UsageError(f"give exactly one of --{prefix}host and --{prefix}hostaddr")
    _require(given, prefix, ("user", "dbname"))
    ssl = {name: given.pop(name) for name in list(given) if name.startswith("ssl")}
    config = pb.PostgreSQLDatabaseConfig(**given)
    if ssl:
        config.ssloption.CopyFrom(pb.PostgreSQLDatabaseConfig.SSLOptions(**ssl))
    return pb.ConnectionConfig(postgresql=config)


def _require(given: dict[str, Any], prefix: str, names: tuple[str, ...]) -> None:
    missing = [f"--{prefix}{name}" for name in names if not given.get(name)]
    if missing:
        raise click.UsageError(f"{' and '.join(missing)} must be given too")
