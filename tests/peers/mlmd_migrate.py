"""ML Metadata's own migrations: take a database to an older schema version, or back to the newest.

Runs in the virtual environment of ``mlmd_bridge``, which it shares the reading of URLs with.

    python mlmd_migrate.py --down-to 8 sqlite:////tmp/old.db
    python mlmd_migrate.py --up sqlite:////tmp/old.db
"""

import argparse

from ml_metadata.metadata_store.pywrap.metadata_store_extension import metadata_store as engine
from ml_metadata.proto import metadata_store_pb2 as pb
from mlmd_bridge import connection_config


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument("--down-to", type=int, metavar="VERSION")
    way.add_argument("--up", action="store_true")
    parser.add_argument("url")
    arguments = parser.parse_args()
    options = pb.MigrationOptions(enable_upgrade_migration=True)
    if arguments.down_to is not None:
        options = pb.MigrationOptions(downgrade_to_schema_version=arguments.down_to)
    config = connection_config(arguments.url)
    try:
        engine.CreateMetadataStore(config.SerializeToString(), options.SerializeToString())
    except RuntimeError as error:
        # A downgrade that worked ends with this too, since the engine cannot serve what it left.
        if arguments.up or not str(error).startswith("Downgrade migration was performed"):
            raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
