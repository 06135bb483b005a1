"""ML Metadata's own Python client against a server: what a pipeline step does, and what it reads back.

Runs in the virtual environment that has the ``ml-metadata`` wheel (``make peers``), over gRPC only.

    python mlmd_client.py HOST:PORT [CA_FILE]       # prints what it read as one JSON object
"""

import json
import sys
from pathlib import Path

from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2 as pb


def main(address: str, ca_file: str | None = None) -> None:
    host, _, port = address.rpartition(":")
    config = pb.MetadataStoreClientConfig(host=host, port=int(port))
    if ca_file:
        config.ssl_config.custom_ca = Path(ca_file).read_text()
    store = metadata_store.MetadataStore(config)
    dataset = store.put_artifact_type(pb.ArtifactType(name="Dataset", properties={"rows": pb.INT}))
    train = store.put_execution_type(pb.ExecutionType(name="Train"))
    run = store.put_context_type(pb.ContextType(name="Run"))
    given = pb.Artifact(type_id=dataset, name="taxi", uri="s3://b/é你💧")
    (given.id,) = store.put_artifacts([given])
    made = pb.Artifact(type_id=dataset, name="model")
    made.properties["rows"].int_value = 3
    made.custom_properties["note"].string_value = "100 % 'quoted'"
    execution_id, _, (context_id,) = store.put_execution(
        pb.Execution(type_id=train, name="training"),
        [
            (given, pb.Event(type=pb.Event.INPUT)),
            (made, pb.Event(type=pb.Event.OUTPUT)),
        ],
        [pb.Context(type_id=run, name="monday")],
    )
    (context,) = store.get_contexts_by_execution(execution_id)
    artifacts = {artifact.name: artifact for artifact in store.get_artifacts()}
    print(
        json.dumps(
            {
                "uri": artifacts["taxi"].uri,
                "rows": artifacts["model"].properties["rows"].int_value,
                "note": artifacts["model"].custom_properties["note"].string_value,
                "types": sorted(kind.name for kind in store.get_artifact_types()),
                "events": sorted(event.type for event in store.get_events_by_execution_ids([execution_id])),
                "context": context.name if context.id == context_id else None,
                "found": [
                    a.name
                    for a in store.get_artifacts(metadata_store.ListOptions(filter_query="name = 'taxi'"))
                ],
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
